"""Push of features: select runs, compare with existing ones, build, validate, one commit."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vlalign.display import command_line, some
from vlalign.errors import VlalignError
from vlalign.files import check_space, work_folder, write_whole
from vlalign.hub.build import build_runs, card
from vlalign.hub.metadata import DATA, DTYPES, FOLDER, About, read_all_abouts
from vlalign.hub.naming import name_runs
from vlalign.hub.parquet import row_bytes
from vlalign.hub.readme import README, read_readme
from vlalign.hub.repo import Target, commit, fetch, open_target
from vlalign.paths import user_path
from vlalign.store import FeatureStore, Run

log = logging.getLogger(__name__)

#: state of a configuration in a push
NEW, SAME, REPLACED, MEASURED = "new", "there already", "replaced", "token norms added"


@dataclass(frozen=True)
class Item:
    """One run to push: its configuration, its state on the Hub, and its approximate size in bytes."""

    run: Run
    config: str
    state: str
    bytes: int


@dataclass(frozen=True)
class Pushed:
    """Result of a push, or of its dry run.

    Attributes:
        target: the repository before the push.
        items: every run.
        kept: existing configurations that stay.
        abouts: descriptions of the built configurations; empty for a dry run.
        commit: None for a dry run, or without changes.
        pull_request: URL of the pull request that holds the commit; None for a commit to the branch.
    """

    target: Target
    items: list[Item]
    kept: list[str] = field(default_factory=list)
    abouts: list[About] = field(default_factory=list)
    commit: str | None = None
    pull_request: str | None = None


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
    create_pr: bool = False,
) -> Pushed:
    """Push runs of a store as a data set of the Hub, one configuration each, in one commit.

    Everything is built and read back in a local folder before anything is uploaded. Configurations of earlier pushes
    stay; the same features are not uploaded twice.

    Args:
        store: folder of the feature store.
        repo: ``owner/name``; created if it does not exist.
        models: push these only (by :meth:`FeatureStore.select`).
        perturb: push these only: ``char_delete:30``, ``char_delete`` (all rates), ``none`` (unedited).
        dtype: of the features on the Hub, ``float16`` (rounded; the loss is measured and reported) or ``float32``
            (exact).
        private: make a new repository private.
        revision: branch, created from ``main`` if it does not exist.
        tag: to set on the commit.
        dry_run: check everything and change nothing.
        force: replace existing features of the same run and an edited card, and write next to files of others.
        out: keep the built files in this folder, which must be new, empty or of an earlier push; if all features
            exist on the Hub, nothing is built.
        licence: of the data set on the Hub (default: that of an earlier push, else of the models).
        create_pr: open a pull request instead of a commit, which needs no permission to write. It renews the card too:
            push again if another one was merged before. Without new features none is opened.

    Raises:
        VlalignError: the first problem; nothing is visible on the Hub then.
    """
    if dtype not in DTYPES:
        raise VlalignError(f"features are pushed as float16 or float32, not {dtype}")
    runs = choose(FeatureStore(store), models, perturb)
    folder = None if out is None else _check_out(user_path(out))
    target = open_target(repo, branch=revision, tag=tag, private=private, create_pr=create_pr)
    paths = [path for path in target.files if path.startswith(f"{FOLDER}/") and path.endswith(".json")]
    existing = read_all_abouts(fetch(target, paths), repo)
    own = {path for about in existing for path in about.paths}
    readme = read_readme(target, own, licence=licence, force=force)
    items = plan(runs, existing, target, dtype)
    if changed := [item.config for item in items if item.state == REPLACED and not force]:
        raise VlalignError(
            f"data set {repo!r} holds other features under {some(changed)} (another precision, other samples or "
            "files): give --force to replace them, or name another --repo"
        )
    fresh = [item for item in items if item.state != SAME]
    kept = [about for about in existing if about.config not in {item.config for item in fresh}]
    result = Pushed(target, items, [about.config for about in kept])
    if dry_run or (create_pr and not fresh):
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
        paths = [path for about in abouts for path in about.paths]
        files: dict[str, Path | bytes] = {path: build / path for path in [*paths, README]}
        still = {part.path for about in kept for part in about.files}
        gone = {path for path in own if path.startswith(f"{DATA}/") and path not in still}
        title = f"Features of {len(fresh)} {'run' if len(fresh) == 1 else 'runs'} as {dtype}"
        built = time.perf_counter()
        done = commit(target, files, gone, title)
        log.info("built in %.1f s, uploaded in %.1f s", built - start, time.perf_counter() - built)
    return Pushed(target, items, result.kept, abouts, done.oid, done.pr_url)


def choose(store: FeatureStore, models: Sequence[str], perturb: Sequence[str]) -> list[Run]:
    """Select the runs that pass the filters, in the store's order.

    Raises:
        VlalignError: a filter matches nothing, or the store has no complete run.
    """
    runs = store.runs()
    if not runs:
        raise VlalignError(f"no complete run in {store.root}: extract features first")
    if models:
        selected = {run.path for name in models for run in store.select(name)}
        runs = [run for run in runs if run.path in selected]
    if perturb:
        wanted = {"" if text == "none" else text for text in perturb}
        edits = {run.key.edits for run in runs}
        for text in wanted:
            if not any(_fits(one, text) for one in edits):
                has = ", ".join(sorted(one or "none" for one in edits))
                raise VlalignError(f"no run with --perturb {text or 'none'} in {store.root}: it has {has}")
        runs = [run for run in runs if any(_fits(run.key.edits, text) for text in wanted)]
    return runs


def _fits(edits: str, wanted: str) -> bool:
    return edits == wanted or (wanted != "" and edits.partition(":")[0] == wanted and " " not in edits)


def plan(runs: Sequence[Run], existing: Sequence[About], target: Target, dtype: str) -> list[Item]:
    """Name the runs' configurations and compare them with the existing ones."""
    by_name = {about.config: about for about in existing}
    names = name_runs([run.key for run in runs], {name: about.key for name, about in by_name.items()})
    items = []
    for run, name in zip(runs, names, strict=True):
        old, state = by_name.get(name), NEW
        if old is not None:
            whole = all(target.files.get(part.path) == part.sha256 for part in old.files)
            state = SAME if whole and old.holds(run, dtype) else REPLACED
            if state == SAME and old.norms is None and run.token_norms() is not None:
                state = MEASURED
        items.append(Item(run, name, state, run.n * row_bytes(run, dtype)))
    return items


def _check_out(folder: Path) -> Path:
    taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken and not (folder / FOLDER).is_dir():
        raise VlalignError(f"{folder} exists and holds something else: name a new folder with --out")
    return folder


@contextmanager
def _folder(kept: Path | None, need: int) -> Iterator[Path]:
    """Open the folder to build in: the one to keep, or one that is removed afterwards."""
    if kept is None:
        check_space(Path(tempfile.gettempdir()), need)
        with work_folder() as folder:
            yield folder
    else:
        check_space(kept, need)
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
