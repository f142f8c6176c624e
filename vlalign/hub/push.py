"""Pushing features: choose, check what is there, build, validate, one commit."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vlalign.display import command_line
from vlalign.errors import VlalignError
from vlalign.files import work_folder, write_whole
from vlalign.hub.build import build_runs, card, describe
from vlalign.hub.metadata import DATA, DTYPES, FOLDER, About, read_all_abouts
from vlalign.hub.naming import name_runs
from vlalign.hub.parquet import row_bytes
from vlalign.hub.readme import README, look_at_readme
from vlalign.hub.repo import Target, commit, fetch, look
from vlalign.paths import user_path
from vlalign.store import FeatureStore, Run
from vlalign.store.checksums import check_space

log = logging.getLogger(__name__)

#: of a configuration in a push
NEW, SAME, REPLACED = "new", "there already", "replaced"


@dataclass(frozen=True)
class Item:
    """One run to push: its configuration, what becomes of it there, and about how many bytes it takes."""

    run: Run
    config: str
    state: str
    bytes: int


@dataclass(frozen=True)
class Pushed:
    """What a push does or did.

    Attributes:
        target: the repository as it was before.
        items: every run.
        kept: configurations that were there and stay.
        abouts: of what was built; empty for a dry run.
        commit: None for a dry run, or if nothing had to be changed.
    """

    target: Target
    items: list[Item]
    kept: list[str] = field(default_factory=list)
    abouts: list[About] = field(default_factory=list)
    commit: str | None = None


def push(
    store: str | Path,
    repo: str,
    *,
    models: Sequence[str] = (),
    perturb: Sequence[str] = (),
    dtype: str = "float16",
    private: bool = False,
    revision: str | None = None,
    tag: str | None = None,
    dry_run: bool = False,
    force: bool = False,
    out: str | Path | None = None,
    licence: str | None = None,
) -> Pushed:
    """Push runs of a store as a data set of the Hub, one configuration each, in one commit.

    Everything is built and read back in a local folder before anything is uploaded. Configurations that vlalign pushed
    there earlier stay; the same features are not uploaded twice.

    Args:
        store: folder of the feature store.
        repo: ``owner/name``; made if it is not there.
        models: push these only (as :meth:`FeatureStore.select` finds them).
        perturb: push these only: ``char_delete:30``, ``char_delete`` (all rates), ``none`` (unedited).
        dtype: of the features there, ``float16`` (rounded; the loss is measured and told) or ``float32`` (exact).
        private: make a new repository private.
        revision: branch, made from ``main`` if it is not there.
        tag: to set on the commit.
        dry_run: check everything and change nothing.
        force: replace features of the same run that are there and a card that was edited, and write beside files of
            others.
        out: keep what is built in this folder, which must be new, empty or of an earlier push; where all is there
            already, nothing is built and nothing kept.
        licence: of the data set on the Hub (default: as an earlier push gave it, else of the models).

    Raises:
        VlalignError: the first thing that is wrong; nothing can be seen on the Hub then.
    """
    if dtype not in DTYPES:
        raise VlalignError(f"features are pushed as float16 or float32, not {dtype}")
    runs = choose(FeatureStore(store), models, perturb)
    folder = None if out is None else _check_out(user_path(out))
    target = look(repo, branch=revision, tag=tag, private=private)
    there = read_abouts(target)
    own = {path for about in there for path in (about.path, *(part.path for part in about.parts))}
    target.check_foreign(own, ours=bool(there), force=force)
    readme = look_at_readme(target, ours=bool(there), licence=licence, force=force)
    items = plan(runs, there, target, dtype)
    if changed := [item.config for item in items if item.state == REPLACED and not force]:
        raise VlalignError(
            f"data set {repo!r} holds other features under {', '.join(changed[:3])}"
            + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
            + " (another precision, other samples or files): give --force to replace them, or name another --repo"
        )
    fresh = [item for item in items if item.state != SAME]
    kept = [about for about in there if about.config not in {item.config for item in fresh}]
    result = Pushed(target, items, [about.config for about in kept])
    if dry_run:
        return result
    command = command_line(
        "push", os.path.basename(os.path.abspath(store)) or "features", repo=repo, model=list(models or ()),
        perturb=list(perturb or ()), dtype=dtype, license=licence, revision=revision,
    )  # fmt: skip
    with _folder(folder if fresh else None, sum(item.bytes for item in fresh)) as build:
        start = time.perf_counter()
        abouts = build_runs([(item.run, item.config) for item in fresh], build, dtype, command)
        text = readme.seal(card([*kept, *abouts], repo, branch=target.branch, licence=readme.licence))
        write_whole(build / README, text)
        if not fresh and tag is None and target.holds(README, text):
            return result
        paths = [path for about in abouts for path in (about.path, *(part.path for part in about.parts))]
        files: dict[str, Path | bytes] = {path: build / path for path in [*paths, README]}
        still = {part.path for about in kept for part in about.parts}
        gone = {path for path in own if path.startswith(f"{DATA}/") and path not in still}
        title = f"Features of {len(fresh)} {'run' if len(fresh) == 1 else 'runs'} as {dtype}"
        built = time.perf_counter()
        made = commit(target, files, gone, title)
        log.info("built in %.1f s, uploaded in %.1f s", built - start, time.perf_counter() - built)
    return Pushed(target, items, result.kept, abouts, made)


def choose(store: FeatureStore, models: Sequence[str], perturb: Sequence[str]) -> list[Run]:
    """The runs that the filters leave, in the store's order.

    Raises:
        VlalignError: a filter fits nothing, or the store has no complete run.
    """
    runs = store.runs()
    if not runs:
        raise VlalignError(f"no complete run in {store.root}: extract features first")
    if models:
        found = {run.path for name in models for run in store.select(name)}
        runs = [run for run in runs if run.path in found]
    if perturb:
        wanted = {"" if text == "none" else text for text in perturb}
        edits = {run.key.edits for run in runs}
        for text in wanted:
            if not any(_fits(one, text) for one in edits):
                has = ", ".join(sorted(one or "none" for one in edits))
                raise VlalignError(f"no run with --perturb {text or 'none'} in {store.root}: there are {has}")
        runs = [run for run in runs if any(_fits(run.key.edits, text) for text in wanted)]
    return runs


def _fits(edits: str, wanted: str) -> bool:
    return edits == wanted or (wanted != "" and edits.partition(":")[0] == wanted and " " not in edits)


def read_abouts(target: Target) -> list[About]:
    """What the configurations that are there say about themselves.

    Raises:
        VlalignError: one cannot be read by this version.
    """
    paths = [path for path in target.files if path.startswith(f"{FOLDER}/") and path.endswith(".json")]
    return read_all_abouts(fetch(target, paths), target.repo)


def plan(runs: Sequence[Run], there: Sequence[About], target: Target, dtype: str) -> list[Item]:
    """Names of the runs' configurations, and whether they are there already."""
    by_name = {about.config: about for about in there}
    names = name_runs([run.key for run in runs], {name: about.key for name, about in by_name.items()})
    items = []
    for run, name in zip(runs, names, strict=True):
        old, state = by_name.get(name), NEW
        if old is not None:
            new = About(**describe(run, name, dtype), parts=old.parts, precision=old.precision)
            whole = all(target.files.get(part.path) == part.sha256 for part in old.parts)
            state = SAME if whole and new.same_content(old) else REPLACED
        items.append(Item(run, name, state, run.n * row_bytes(run, dtype)))
    return items


def _check_out(folder: Path) -> Path:
    taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken and not (folder / FOLDER).is_dir():
        raise VlalignError(f"{folder} is there and holds something else: name a new folder with --out")
    return folder


@contextmanager
def _folder(kept: Path | None, need: int) -> Iterator[Path]:
    """The folder to build in: the one to keep, or one that is removed afterwards."""
    if kept is None:
        check_space(Path(tempfile.gettempdir()), need)
        with work_folder() as folder:
            yield folder
    else:
        check_space(kept, need)
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
