"""Push of score records: as they are, with a table of all and a card, in one commit."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vlalign.display import command_line
from vlalign.errors import VlalignError
from vlalign.files import parse_json
from vlalign.hub.cards import render, size_category, versions
from vlalign.hub.readme import README, Readme, read_readme
from vlalign.hub.record_sources import is_repo, read_results
from vlalign.hub.record_table import from_parquet, groups_of, row_of, to_parquet
from vlalign.hub.repo import Target, checksums, commit, fetch, open_target
from vlalign.scoring.collect import Invalid, Located
from vlalign.scoring.record import ScoreRecord
from vlalign.scoring.validation import validate_record
from vlalign.store.checksums import canonical, pretty

log = logging.getLogger(__name__)

TABLE, INDEX = "scores.parquet", "vlalign/results.json"
FOLDER = "results"
#: fields that differ each time the same command runs
_VOLATILE = ("seconds", "environment")
_GROUPS = 30  # tables on the card


@dataclass
class Plan:
    """Paths of the records of a push.

    Attributes:
        new: new path -> record, with its content.
        replaced: the same, for paths that hold another record.
        same: paths that already hold one of the records, or one that differs only in ``seconds`` and ``environment``.
    """

    new: dict[str, tuple[Located, bytes]] = field(default_factory=dict)
    replaced: dict[str, tuple[Located, bytes]] = field(default_factory=dict)
    same: set[str] = field(default_factory=set)

    @property
    def uploads(self) -> dict[str, tuple[Located, bytes]]:
        """All records to upload."""
        return {**self.new, **self.replaced}

    def has(self, path: str) -> bool:
        """Return whether a record of this push has the path."""
        return any(path in paths for paths in (self.new, self.replaced, self.same))


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
        pull_request: URL of the pull request that holds the commit; None for a commit to the branch.
    """

    target: Target
    new: list[str]
    replaced: list[str]
    same: list[str]
    total: int
    invalid: list[Invalid]
    commit: str | None = None
    pull_request: str | None = None


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
    create_pr: bool = False,
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
        create_pr: open a pull request instead of a commit, which needs no permission to write. It adds records alone
            where there are some already, so that pull requests do not conflict: the next push, such as
            ``push_results([repo], repo)``, renews table and card.

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
    target = open_target(repo, branch=revision, tag=tag, private=private, create_pr=create_pr)
    ours = INDEX in target.files
    existing = {path for path in target.files if ours and path.startswith(f"{FOLDER}/")}
    only_records = create_pr and ours
    own = {*existing, *({TABLE, INDEX} if ours else ())}
    readme = Readme() if only_records else read_readme(target, own, licence=licence, force=force)
    plan = _plan(records, target, existing)
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
    if only_records and not files:
        return result
    title = ("1 score record" if len(files) == 1 else f"{len(files)} score records") if files else "Card and table"
    if only_records:
        return _committed(result, files, title)
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
    return _committed(result, files | made, title)


def _committed(result: PushedResults, files: Mapping[str, Path | bytes], title: str) -> PushedResults:
    """Commit the files and return the result of the push."""
    done = commit(result.target, files, (), title)
    return replace(result, commit=done.oid, pull_request=done.pr_url)


def _plan(records: Iterable[Located], target: Target, existing: Collection[str]) -> Plan:
    """Choose a path for each record.

    Content that exists under any name keeps that name. Others take their record's name; where two contents of one push
    have one name, or an existing one that belongs to this push has it, the name ends in a part of the checksum.

    Args:
        records: to push.
        target: the data set.
        existing: paths of its records.
    """
    plan = Plan()
    by_checksum = {target.files[path]: path for path in sorted(existing, reverse=True)}
    rivals: dict[str, list[str]] = {}  # paths by their names without a part of the checksum
    for path in sorted(existing):
        for name in {path, re.sub(r"-[0-9a-f]{8}\.json$", ".json", path)}:
            rivals.setdefault(name, []).append(path)
    other: dict[bytes, Located] = {}
    for located in records:
        data = located.file.read_bytes()
        path_of_same = next((by_checksum[one] for one in checksums(data) if one in by_checksum), None)
        if path_of_same is None:
            other.setdefault(data, located)
        else:
            plan.same.add(path_of_same)
    rest = []
    for data, located in other.items():
        plain = f"{FOLDER}/{located.record.filename}"
        if equal := _equal(data, target, rivals.get(plain, [])):
            plan.same.add(equal)
        else:
            rest.append((plain, located, data))
    for plain, located, data in rest:
        distinct = f"{plain.removesuffix('.json')}-{hashlib.sha256(data).hexdigest()[:8]}.json"
        path = distinct if plan.has(plain) or located.path == distinct else plain  # its name in the source
        (plan.replaced if path in target.files else plan.new)[path] = (located, data)
    return plan


def _equal(data: bytes, target: Target, rivals: list[str]) -> str | None:
    """Return the path of an existing record that was computed equally."""
    own = _content(data) if rivals else None
    return next((path for path, other in fetch(target, rivals).items() if _content(other) == own), None)


def _content(data: bytes) -> str | None:
    """Return a record without its volatile fields; None if it is no record."""
    try:
        content: Any = parse_json(data)
        return canonical({name: value for name, value in content.items() if name not in _VOLATILE})
    except (ValueError, AttributeError):
        return None


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
