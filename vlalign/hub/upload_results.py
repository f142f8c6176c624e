"""Push of score records: as they are, with a table of all and a card, in one commit."""

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
from vlalign.hub.readme import README, read_readme
from vlalign.hub.record_changes import FOLDER, Plan, plan_records
from vlalign.hub.record_sources import is_repo, read_results
from vlalign.hub.record_table import from_parquet, groups_of, row_of, to_parquet
from vlalign.hub.repo import Target, commit, fetch, open_target
from vlalign.scoring.collect import Invalid, Located
from vlalign.scoring.record import ScoreRecord
from vlalign.scoring.validation import validate_record
from vlalign.store.checksums import pretty

log = logging.getLogger(__name__)

TABLE, INDEX = "scores.parquet", "vlalign/results.json"
_GROUPS = 30  # tables on the card


@dataclass(frozen=True)
class PushedResults:
    """Result of a push, or of its dry run.

    Attributes:
        target: the repository before the push.
        new: paths of new records.
        replaced: paths of records that replace others.
        same: paths of records that existed, unchanged or computed equally at another time or place.
        total: records in the data set now.
        invalid: files without a valid record, which were left out.
        commit: None for a dry run, or without changes.
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
    """Push score records to a data set of the Hub, byte for byte, and keep its existing ones.

    A record that exists under any name, or that differs from an existing one in ``seconds`` and ``environment`` only,
    is not pushed again.

    Args:
        sources: as for :func:`vlalign.hub.read_results`; records of other data sets of the Hub may be gathered too.
        repo: ``owner/name``; created if it does not exist.
        private, revision, tag, dry_run: as for :func:`vlalign.hub.push`.
        force: replace other records of the same name and an edited card, and write next to files of others.
        licence: of the data set (default: that of an earlier push, else unknown).

    Raises:
        VlalignError: no valid record, or the first problem; nothing is visible on the Hub then.
    """
    results = read_results(sources)
    records = [located for located in results.records if not _refuse(located, results.invalid)]
    for bad in results.invalid:
        log.warning("left out %s in %s: %s", bad.path, bad.source, bad.reason)
    if not records:
        first = results.invalid[0]
        raise VlalignError(
            f"none of {len(results.invalid)} files is a sound score record, first {first.path}: {first.reason}"
        )
    target = open_target(repo, branch=revision, tag=tag, private=private)
    ours = INDEX in target.files
    existing = {path for path in target.files if ours and path.startswith(f"{FOLDER}/")}
    readme = read_readme(target, {*existing, *({TABLE, INDEX} if ours else ())}, licence=licence, force=force)
    plan = plan_records(records, target, existing)
    if plan.replaced and not force:
        pairs = "1 pair" if len(plan.replaced) == 1 else f"{len(plan.replaced)} pairs"
        raise VlalignError(
            f"data set {repo!r} holds other records of {pairs}, first {min(plan.replaced)}: give --force to replace "
            "them, or name another --repo"
        )
    new, replaced, same = sorted(plan.new), sorted(plan.replaced), sorted(plan.same)
    result = PushedResults(target, new, replaced, same, len(existing.union(plan.uploads)), results.invalid)
    if dry_run:
        return result
    files = {path: data for path, (_, data) in plan.uploads.items()}
    rows = _merge(target, existing, plan)
    commands = _commands(target) if ours else []
    names = [source if is_repo(source) else os.path.basename(os.path.abspath(source)) for source in sources]
    command = command_line("push-results", *names, repo=repo, license=licence, revision=revision)
    if files and command not in commands:
        commands.append(command)
    made = {TABLE: to_parquet(rows)}
    made[INDEX] = pretty({"format": 1, "kind": "results", "records": result.total, "commands": commands})
    text = card(rows, repo, branch=target.branch, licence=readme.licence or "unknown", commands=commands)
    made[README] = readme.seal(text)
    if not files and tag is None and all(target.holds(path, data) for path, data in made.items()):
        return result
    title = ("1 score record" if len(files) == 1 else f"{len(files)} score records") if files else "Card and table"
    return replace(result, commit=commit(target, files | made, (), title))


def _refuse(located: Located, invalid: list[Invalid]) -> bool:
    """Return whether a record has no row in a table; it is then added to the invalid ones."""
    try:
        row_of(located.record, located.path, b"")
    except VlalignError as error:
        invalid.append(Invalid(located.source, located.path, str(error)))
        return True
    return False


def _commands(target: Target) -> list[str]:
    """Return the recorded commands of earlier pushes."""
    try:
        commands = parse_json(fetch(target, [INDEX])[INDEX])["commands"]
    except (ValueError, KeyError, TypeError):
        return []
    return [one for one in commands if isinstance(one, str)] if isinstance(commands, list) else []


def _merge(target: Target, existing: set[str], plan: Plan) -> list[dict[str, Any]]:
    """Return the rows of all records after the push."""
    rows = {path: row_of(located.record, path, data) for path, (located, data) in plan.uploads.items()}
    kept = {path: target.files[path] for path in existing if path not in rows}
    table = from_parquet(fetch(target, [TABLE])[TABLE]) if kept and TABLE in target.files else []
    old = {row["file"]: row for row in table if kept.get(row["file"]) in (row["blob"], row["sha256"])}
    for path, data in fetch(target, sorted(set(kept) - set(old))).items():  # changed by hand, or of an earlier version
        try:
            record = ScoreRecord.from_dict(parse_json(data), path)
            validate_record(record)
            old[path] = row_of(record, path, data)
        except (VlalignError, ValueError) as error:
            log.warning("%s is in the data set but not in its table: %s", path, error)
    return [*old.values(), *rows.values()]


def card(rows: Sequence[Mapping[str, Any]], repo: str, *, branch: str, licence: str, commands: Sequence[str]) -> str:
    """Render the README.md of a data set of score records; ``commands`` are those that pushed them."""
    names = sorted({name for row in rows for name in row["models"]})
    data = sorted({name for row in rows for name in row["datasets"] if name.count("/") == 1})
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
