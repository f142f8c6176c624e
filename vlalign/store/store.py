"""The feature store: a folder of runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from vlalign.errors import VlalignError, did_you_mean
from vlalign.files import one_line
from vlalign.paths import user_path
from vlalign.store.key import RunKey, diff_keys
from vlalign.store.layout import Layout, Problem
from vlalign.store.manifest import Manifest, recorded_checksum
from vlalign.store.run import IncompleteRunError, Run, read_key
from vlalign.store.shard import ShardError, check_shard, read_header
from vlalign.store.writer import RunWriter

log = logging.getLogger(__name__)


class FeatureStore:
    """A folder of runs, ``<root>/<model>/<key>``. Nothing is created before a writer.

    Args:
        root: the store's folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = user_path(root)

    def __repr__(self) -> str:
        return f"FeatureStore({str(self.root)!r})"

    def _open_all(self) -> tuple[list[Run], list[tuple[Path, str]], list[tuple[Path, str]]]:
        """Return the complete runs, folders of runs that are not complete, and those that cannot be used."""
        if not self.root.is_dir():
            problem = "is not a folder" if self.root.exists() else "does not exist"
            raise VlalignError(
                f"the feature store {self.root} {problem}: extract features into it first, or correct the path"
            )
        try:
            models = sorted(path for path in self.root.iterdir() if path.name[0] != "." and path.name != "lost+found")
        except OSError as error:
            raise VlalignError(f"cannot read the feature store {self.root}: {one_line(error)}") from error
        runs, incomplete, unusable, folders = [], [], [], list[Path]()
        for model in models:
            try:
                if model.is_dir():
                    folders += [path for path in sorted(model.iterdir()) if path.is_dir()]
            except OSError as error:
                unusable.append((model, f"cannot be read: {one_line(error)}"))
        for folder in folders:
            try:
                if Layout(folder).is_run():
                    runs.append(Run(folder))
            except IncompleteRunError as error:
                incomplete.append((folder, str(error)))
            except VlalignError as error:
                unusable.append((folder, str(error)))
            except OSError as error:
                unusable.append((folder, f"cannot be read: {one_line(error)}"))
        return sorted(runs, key=lambda run: (run.key.modality, run.key.slug, run.key.short)), incomplete, unusable

    def runs(self) -> list[Run]:
        """Return the complete runs, sorted by modality, model and key; unusable folders are logged as warnings.

        Raises:
            VlalignError: the store does not exist.
        """
        return self.runs_and_incomplete()[0]

    def incomplete(self) -> list[Path]:
        """Return the folders of runs that are not complete or cannot be used.

        Raises:
            VlalignError: the store does not exist.
        """
        _, incomplete, unusable = self._open_all()
        return sorted(path for path, _ in [*incomplete, *unusable])

    def runs_and_incomplete(self) -> tuple[list[Run], list[Path]]:
        """Return :meth:`runs` and :meth:`incomplete`, from one reading of the store.

        Raises:
            VlalignError: the store does not exist.
        """
        runs, incomplete, unusable = self._open_all()
        for path, reason in unusable:
            log.warning("left out: %s", reason if str(path) in reason else f"{path} {reason}")
        return runs, sorted(path for path, _ in [*incomplete, *unusable])

    def path(self, key: RunKey) -> Path:
        """Return the folder of the run that `key` identifies; it need not exist."""
        return Layout.of(self.root, key).folder

    def is_complete(self, key: RunKey) -> bool:
        """Return whether the run that `key` identifies has its manifest."""
        return Layout.of(self.root, key).manifest.is_file()

    def open(self, key: RunKey) -> Run | None:
        """Return the complete run of exactly this key; None without one, or with a warning if its manifest is damaged.

        Raises:
            VlalignError: the folder holds another key.
        """
        layout = Layout.of(self.root, key)
        if not layout.manifest.is_file():
            return None
        read_key(layout, expected=key)
        try:
            return Run(layout.folder)
        except VlalignError as error:
            log.warning("%s", error)
            return None

    def writer(self, key: RunKey, ids: Sequence[str], shard_rows: int = 128) -> RunWriter:
        """Create the folder of the run that `key` identifies and return its writer.

        Raises:
            VlalignError: see `RunWriter`.
        """
        return RunWriter(self.root, key, ids, shard_rows)

    def find(self, query: str, *, modality: str | None = None) -> Run:
        """Return the only run that `query` names.

        Args:
            query: a model's name, alias, source or folder name, the first digits (4 or more) of a key's hash, or both
                as ``name@digits``; a name alone is that of the unedited data, if such a run exists, and
                ``"name char_delete:30"`` that of edited data.
            modality: consider only ``text`` or ``vision`` runs.

        Raises:
            VlalignError: no run fits (the message lists the runs) or several do (it lists their differences).
        """
        runs = self.select(query, modality=modality)
        runs = [run for run in runs if not run.key.edits] or runs
        if len(runs) > 1:
            shown = ", ".join(_names(runs)[:6]) + (" …" if len(runs) > 6 else "")
            differences = [line for run in runs[1:] for line in diff_keys(runs[0].key, run.key)]
            differences = [re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1…", line) for line in differences]
            raise VlalignError(
                f"{query!r} fits {len(runs)} runs in {self.root}: {shown}; they differ in "
                f"{'; '.join(list(dict.fromkeys(differences))[:6])}; name one of them with its @digits "
                "(`vlalign runs` shows which is which)"
            )
        return runs[0]

    def select(self, query: str, *, modality: str | None = None) -> list[Run]:
        """Return all runs that `query` names, as for :meth:`find`, whatever the data, edits and precision.

        Raises:
            VlalignError: no run fits.
        """
        runs = [run for run in self.runs() if modality in (None, run.key.modality)]
        kind = f"{modality} run" if modality else "run"
        if not runs:
            left = len(self.incomplete())
            hint = f" ({left} not complete: run the same extraction again)" if left else ""
            raise VlalignError(f"no complete {kind} in {self.root}{hint}: extract features first")
        matching = _match(runs, query)
        if not matching:
            names = sorted({run.key.model for run in runs})
            shown = ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
            hint = did_you_mean(query.partition("@")[0], names) or f": it has {shown}"
            raise VlalignError(f"no {kind} {query!r} in {self.root}{hint}")
        return matching

    def verify(self) -> list[Problem]:
        """Check every shard of every run, complete or not; the list is empty if all is well.

        Raises:
            VlalignError: the store does not exist or holds no run.
        """
        runs, incomplete, unusable = self._open_all()
        if not runs and not incomplete and not unusable:
            raise VlalignError(f"no run in {self.root}: extract features first, or correct the path")
        problems = [problem for run in runs for problem in run.verify()]
        for path, reason in [*incomplete, *unusable]:
            problems.append(Problem(path, reason))
            problems += _check_unfinished(Layout(path))
        for run in runs:
            for key in sorted(run.path.glob("*/*/key.json")):
                problems.append(Problem(key.parent, "a run inside a run, which is not read: move it out or remove it"))
        return problems


def _match(runs: list[Run], query: str) -> list[Run]:
    """Return runs by exact name, else ignoring case, else by the last part of the name, else by hash."""
    name, at, digits = query.rpartition("@")
    if named := _match_name(runs, query):
        return named
    if at and re.fullmatch("[0-9a-fA-F]+", digits):
        named = _match_name(runs, name) if name else runs
        return [run for run in named if run.key.hash.startswith(digits.lower())]
    if re.fullmatch("[0-9a-fA-F]{4,64}", query):
        return [run for run in runs if run.key.hash.startswith(query.lower())]
    return []


def _match_name(runs: list[Run], query: str) -> list[Run]:
    def names(run: Run) -> list[str]:
        model = run.key.data["model"]
        known = [run.key.model, run.key.slug, *(str(model[field]) for field in ("alias", "source") if model.get(field))]
        return known + [f"{name} {run.key.edits}" for name in known if run.key.edits]

    for fold in (str, str.casefold, lambda text: text.rpartition("/")[2].casefold()):
        if matching := [run for run in runs if fold(query) in map(fold, names(run))]:
            return matching
    return []


def _names(runs: list[Run]) -> list[str]:
    """Return ``name@digits`` of each run, with enough digits to distinguish them (8 at least)."""
    length = next(k for k in (8, 16, 32, 64) if len({run.key.hash[:k] for run in runs}) == len(runs) or k == 64)
    return [f"{run.key.title}@{run.key.hash[:length]}" for run in runs]


def _check_unfinished(layout: Layout) -> list[Problem]:
    """Check the shards of a run without a usable manifest against their checksum files."""
    problems = []
    try:
        entries = {entry.file: entry for entry in Manifest.read(layout.manifest).shards}
    except VlalignError:
        entries = {}
    for path in sorted(layout.folder.glob("shard-*.safetensors")):
        try:
            header = read_header(path)
            sha256, _ = recorded_checksum(path, entries.get(path.name))
            check_shard(path, sha256, None, header.key, header.shard, header.count, None)
        except ShardError as error:
            problems.append(Problem(path, str(error)))
        except OSError as error:
            problems.append(Problem(path, f"cannot be read: {one_line(error)}"))
    return problems
