"""Changes of a data set of score records by a push: new records, unchanged ones, and replaced ones."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from vlalign.files import parse_json
from vlalign.hub.repo import Target, checksums, fetch
from vlalign.scoring.collect import Located
from vlalign.store.checksums import canonical

FOLDER = "results"
#: fields that differ each time the same command runs
_VOLATILE = ("seconds", "environment")


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


def plan_records(records: Iterable[Located], target: Target, existing: Collection[str]) -> Plan:
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
