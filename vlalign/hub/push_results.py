"""Pushing score records: as they are, with a table of all and a card, in one commit."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlalign.errors import VlalignError
from vlalign.hub.cards import render, size_category, versions
from vlalign.hub.repo import Target, commit, fetch, look
from vlalign.hub.results import Invalid, Results, read_results
from vlalign.hub.table import from_parquet, groups_of, row_of, to_parquet
from vlalign.score.collect import find_flaw
from vlalign.score.record import ScoreRecord
from vlalign.store.files import pretty

log = logging.getLogger(__name__)

FOLDER, TABLE, INDEX = "results", "scores.parquet", "vlalign/results.json"


@dataclass(frozen=True)
class PushedResults:
    """What was pushed, or would be.

    Attributes:
        target: the repository as it was before.
        new: records that were not there.
        replaced: records of which another version was there.
        same: records that were there as they are.
        total: records there now.
        invalid: files that hold no sound record, and were left out.
        commit: None for a dry run, or if nothing had to be changed.
    """

    target: Target
    new: list[str]
    replaced: list[str]
    same: list[str]
    total: int
    invalid: list[Invalid]
    commit: str | None = None


def push_results(
    sources: Sequence[str],
    repo: str,
    *,
    private: bool = False,
    revision: str | None = None,
    tag: str | None = None,
    dry_run: bool = False,
    force: bool = False,
    licence: str = "unknown",
) -> PushedResults:
    """Push score records to a data set of the Hub, byte for byte, beside those that are there.

    Args:
        sources: as for :func:`vlalign.hub.read_results`; records of other data sets of the Hub may be gathered too.
        repo: ``owner/name``; made if it is not there.
        private, revision, tag, dry_run: as for :func:`vlalign.hub.push`.
        force: write beside files of others.
        licence: of the data set.

    Raises:
        VlalignError: no sound record, or the first thing that is wrong; nothing can be seen on the Hub then.
    """
    results = read_results(sources)
    for bad in results.invalid:
        log.warning("left out %s in %s: %s", bad.path, bad.source, bad.reason)
    if not results.records:
        first = results.invalid[0]
        raise VlalignError(
            f"none of {len(results.invalid)} files is a sound score record, first {first.path}: {first.reason}"
        )
    target = look(repo, branch=revision, tag=tag, private=private)
    ours = INDEX in target.files
    there = {path for path in target.files if ours and path.startswith(f"{FOLDER}/")}
    target.check_foreign({*there, *({TABLE, INDEX} if ours else ())}, ours=ours, force=force)
    files, rows = _name(results)
    state = {path: _state(target, path, data) for path, data in files.items()}
    new, replaced, same = (sorted(p for p, s in state.items() if s == name) for name in ("new", "replaced", "same"))
    total = len(there | set(files))
    done = PushedResults(target, new, replaced, same, total, results.invalid)
    if dry_run:
        return done
    merged = _merge(target, there, rows)
    content: dict[str, Path | bytes] = {path: data for path, data in files.items() if state[path] != "same"}
    made = {TABLE: to_parquet(merged), INDEX: pretty({"format": 1, "kind": "results", "records": total})}
    made["README.md"] = card(merged, repo, branch=target.branch, licence=licence).encode()
    if not (new or replaced or tag) and all(target.holds(path, data) for path, data in made.items()):
        return done
    oid = commit(target, {**content, **made}, (), f"{len(files)} score records")
    return PushedResults(target, new, replaced, same, total, results.invalid, oid)


def _name(results: Results) -> tuple[dict[str, bytes], dict[str, dict[str, Any]]]:
    """Paths and contents of the records in the data set, and their rows; equal ones once, different ones apart."""
    files: dict[str, bytes] = {}
    rows: dict[str, dict[str, Any]] = {}
    for found in results.records:
        data = found.file.read_bytes()
        path = f"{FOLDER}/{found.record.filename}"
        apart = f"{path.removesuffix('.json')}-{hashlib.sha256(data).hexdigest()[:8]}.json"
        if files.get(path, data) != data or found.path == apart:  # so called already where it comes from
            path = apart
        files[path] = data
        rows[path] = row_of(found.record, path)
    return files, rows


def _state(target: Target, path: str, data: bytes) -> str:
    if path not in target.files:
        return "new"
    return "same" if target.holds(path, data) else "replaced"


def _merge(target: Target, there: set[str], rows: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of all records there will be."""
    kept = there - set(rows)
    table = from_parquet(fetch(target, [TABLE])[TABLE]) if kept and TABLE in target.files else []
    old = {row["file"]: row for row in table if row["file"] in kept}
    for path, data in fetch(target, sorted(kept - set(old))).items():  # put there by hand
        try:
            record = ScoreRecord.from_dict(json.loads(data), path)
            if flaw := find_flaw(record):
                raise VlalignError(flaw)
            old[path] = row_of(record, path)
        except (VlalignError, ValueError) as error:
            log.warning("%s is in the data set but not in its table: %s", path, error)
    return [*old.values(), *rows.values()]


def card(rows: Sequence[Mapping[str, Any]], repo: str, *, branch: str, licence: str) -> str:
    """The README.md of a data set of score records."""
    names = sorted({str(row[side]).split()[0] for row in rows for side in ("x", "y") if str(row[side]).strip()})
    data = sorted({name for row in rows for name in str(row["data"]).split(" and ") if name.count("/") == 1})
    metadata = {
        "pretty_name": f"Alignment of {len(names)} models",
        "license": licence,
        "size_categories": [size_category(len(rows))],
        "task_categories": ["feature-extraction"],
        "tags": ["vlalign", "vlalign-results", "representation-alignment", "leaderboard"],
        "source_datasets": data or ["original"],
        "models": [name for name in names if name.count("/") == 1],
        "configs": [{"config_name": "scores", "default": True, "data_files": [{"split": "train", "path": TABLE}]}],
    }
    return render(
        "results",
        metadata,
        title=metadata["pretty_name"],
        repo=repo,
        records=len(rows),
        groups=groups_of(rows),
        revision="" if branch == "main" else f', revision="{branch}"',
        at_revision="" if branch == "main" else f"@{branch}",
        command=f"vlalign push-results results --repo {repo}",
        made_with=versions(),
    )
