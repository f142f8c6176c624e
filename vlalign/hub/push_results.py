"""Pushing score records: as they are, with a table of all and a card, in one commit."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vlalign.display import command_line
from vlalign.errors import VlalignError
from vlalign.files import parse_json
from vlalign.hub.cards import render, size_category, versions
from vlalign.hub.readme import README, look_at_readme
from vlalign.hub.record_changes import FOLDER, Plan, plan_records
from vlalign.hub.record_sources import Found, Invalid, is_repo, read_results
from vlalign.hub.record_table import from_parquet, groups_of, row_of, to_parquet
from vlalign.hub.repo import Target, commit, fetch, look
from vlalign.scoring.collect import find_flaw
from vlalign.scoring.record import ScoreRecord
from vlalign.store.checksums import pretty

log = logging.getLogger(__name__)

TABLE, INDEX = "scores.parquet", "vlalign/results.json"
_GROUPS = 30  # tables on the card


@dataclass(frozen=True)
class PushedResults:
    """What was pushed, or would be.

    Attributes:
        target: the repository as it was before.
        new: paths of records that were not there.
        replaced: paths of records in the place of which another was.
        same: paths of records that were there, as they are or computed the same at another time or place.
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
    licence: str | None = None,
) -> PushedResults:
    """Push score records to a data set of the Hub, byte for byte, beside those that are there.

    A record that is there under any name, or that differs from one there in ``seconds`` and ``environment`` only, is
    not pushed again.

    Args:
        sources: as for :func:`vlalign.hub.read_results`; records of other data sets of the Hub may be gathered too.
        repo: ``owner/name``; made if it is not there.
        private, revision, tag, dry_run: as for :func:`vlalign.hub.push`.
        force: replace other records of the same name and a card that was edited, and write beside files of others.
        licence: of the data set (default: as an earlier push gave it, else unknown).

    Raises:
        VlalignError: no sound record, or the first thing that is wrong; nothing can be seen on the Hub then.
    """
    results = read_results(sources)
    records = [found for found in results.records if not _refuse(found, results.invalid)]
    for bad in results.invalid:
        log.warning("left out %s in %s: %s", bad.path, bad.source, bad.reason)
    if not records:
        first = results.invalid[0]
        raise VlalignError(
            f"none of {len(results.invalid)} files is a sound score record, first {first.path}: {first.reason}"
        )
    target = look(repo, branch=revision, tag=tag, private=private)
    ours = INDEX in target.files
    there = {path for path in target.files if ours and path.startswith(f"{FOLDER}/")}
    target.check_foreign({*there, *({TABLE, INDEX} if ours else ())}, ours=ours, force=force)
    readme = look_at_readme(target, ours=ours, licence=licence, force=force)
    plan = plan_records(records, target, there)
    if plan.replaced and not force:
        pairs = "1 pair" if len(plan.replaced) == 1 else f"{len(plan.replaced)} pairs"
        raise VlalignError(
            f"data set {repo!r} holds other records of {pairs}, first {min(plan.replaced)}: give --force to replace "
            "them, or name another --repo"
        )
    new, replaced, same = sorted(plan.new), sorted(plan.replaced), sorted(plan.same)
    done = PushedResults(target, new, replaced, same, len(there.union(plan.uploads)), results.invalid)
    if dry_run:
        return done
    files = {path: data for path, (_, data) in plan.uploads.items()}
    rows = _merge(target, there, plan)
    commands = _commands(target) if ours else []
    names = [source if is_repo(source) else os.path.basename(os.path.abspath(source)) for source in sources]
    command = command_line("push-results", *names, repo=repo, license=licence, revision=revision)
    if files and command not in commands:
        commands.append(command)
    made = {TABLE: to_parquet(rows)}
    made[INDEX] = pretty({"format": 1, "kind": "results", "records": done.total, "commands": commands})
    told = card(rows, repo, branch=target.branch, licence=readme.licence or "unknown", commands=commands)
    made[README] = readme.seal(told)
    if not files and tag is None and all(target.holds(path, data) for path, data in made.items()):
        return done
    title = ("1 score record" if len(files) == 1 else f"{len(files)} score records") if files else "Card and table"
    return replace(done, commit=commit(target, files | made, (), title))


def _refuse(found: Found, invalid: list[Invalid]) -> bool:
    """Whether a record has no row in a table; it is then told with the invalid ones."""
    try:
        row_of(found.record, found.path, b"")
    except VlalignError as error:
        invalid.append(Invalid(found.source, found.path, str(error)))
        return True
    return False


def _commands(target: Target) -> list[str]:
    """Those that pushed what is there, as far as it was noted."""
    try:
        told = parse_json(fetch(target, [INDEX])[INDEX])["commands"]
    except (ValueError, KeyError, TypeError):
        return []
    return [one for one in told if isinstance(one, str)] if isinstance(told, list) else []


def _merge(target: Target, there: set[str], plan: Plan) -> list[dict[str, Any]]:
    """The rows of all records there will be."""
    rows = {path: row_of(found.record, path, data) for path, (found, data) in plan.uploads.items()}
    kept = there - set(rows)
    table = from_parquet(fetch(target, [TABLE])[TABLE]) if kept and TABLE in target.files else []
    told = {path: target.files[path] for path in kept}
    old = {row["file"]: row for row in table if told.get(row["file"]) in (row["blob"], row["sha256"])}
    for path, data in fetch(target, sorted(kept - set(old))).items():  # changed by hand, or of an earlier version
        try:
            record = ScoreRecord.from_dict(parse_json(data), path)
            if flaw := find_flaw(record):
                raise VlalignError(flaw)
            old[path] = row_of(record, path, data)
        except (VlalignError, ValueError) as error:
            log.warning("%s is in the data set but not in its table: %s", path, error)
    return [*old.values(), *rows.values()]


def card(rows: Sequence[Mapping[str, Any]], repo: str, *, branch: str, licence: str, commands: Sequence[str]) -> str:
    """The README.md of a data set of score records; ``commands`` are those that pushed them."""
    names = sorted({str(row[side]).split()[0] for row in rows for side in ("x", "y") if str(row[side]).strip()})
    data = sorted({name for row in rows for name in str(row["data"]).split(" and ") if name.count("/") == 1})
    groups = groups_of(rows)
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
        groups=groups[:_GROUPS],
        more=len(groups) - _GROUPS,
        revision="" if branch == "main" else f', revision="{branch}"',
        at_revision="" if branch == "main" else f"@{branch}",
        commands=commands,
        made_with=versions(),
    )
