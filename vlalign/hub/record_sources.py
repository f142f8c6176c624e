"""Score records of local folders and of data sets of the Hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from vlalign.errors import VlalignError
from vlalign.paths import user_path
from vlalign.remote import hub_errors, resolve_revision
from vlalign.scoring.collect import Collected, add, collect, record_files

_SCHEME = "hf://datasets/"
_REPO = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+?)(@(?P<revision>[^\s@]+))?")


def read_results(sources: Sequence[str]) -> Collected:
    """Read the score records of several sources.

    Args:
        sources: files, folders, and data sets of the Hub as ``owner/name``, ``owner/name@revision`` or
            ``hf://datasets/owner/name@revision``; local paths have priority over the Hub.

    Returns:
        Records and files without one, each with its source as given and its path in the source.

    Raises:
        VlalignError: no sources; a source does not exist, cannot be reached, or holds no JSON file at all.
    """
    if not sources:
        raise VlalignError("no results given: name folders, files or data sets of the Hub (owner/name)")
    results = Collected()
    for on_hub, group in groupby(sources, is_repo):
        if on_hub:
            for source in group:
                _read_repo(source, results)
        else:
            collected = collect(list(group))
            results.records += collected.records
            results.invalid += collected.invalid
    return results


def is_repo(source: str) -> bool:
    """Return whether a source is on the Hub.

    >>> [is_repo(source) for source in ("hf://datasets/a/b", "owner/name@v1", "./results", "a/b/c", "a/b.json")]
    [True, True, False, False, False]
    """
    if source.startswith(_SCHEME):
        return True
    if user_path(source).exists() or source.startswith((".", "~", "/")) or source.endswith(".json"):
        return False
    return _REPO.fullmatch(source) is not None


def split_source(source: str) -> tuple[str, str | None]:
    """Return name and revision of a source on the Hub.

    Raises:
        VlalignError: another form of name.
    """
    match = _REPO.fullmatch(source.removeprefix(_SCHEME))
    if match is None:
        raise VlalignError(f"{source!r} is no data set of the Hub: write {_SCHEME}owner/name or …@revision")
    return match["repo"], match["revision"]


def _read_repo(source: str, results: Collected) -> None:
    """Read the records of a data set of the Hub and add them to the results.

    Raises:
        VlalignError: as :func:`read_results`.
    """
    from huggingface_hub import snapshot_download

    repo, revision = split_source(source)
    try:
        commit = resolve_revision(repo, kind="dataset", revision=revision)
    except VlalignError as error:
        if source.startswith(_SCHEME):
            raise
        raise VlalignError(f"no local file or folder {source}, and on the Hub: {error}") from error
    with hub_errors(repo, kind="dataset", revision=revision):
        folder = Path(
            snapshot_download(
                repo, repo_type="dataset", revision=commit, allow_patterns="*.json", ignore_patterns="vlalign/*"
            )
        )
    try:
        files = record_files(folder)
    except VlalignError as error:
        raise VlalignError(f"no score records in data set {repo!r}: push some with `vlalign push-results`") from error
    names = [(file, file.relative_to(folder).as_posix()) for file in files]
    add(results, source, [(file, name) for file, name in names if not name.startswith("vlalign/")])
