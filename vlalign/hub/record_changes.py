"""What becomes of each score record in a data set: new, there already, or in the place of another."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from vlalign.files import parse_json
from vlalign.hub.repo import Target, checksums, fetch
from vlalign.scoring.collect import Found
from vlalign.store.checksums import canonical

FOLDER = "results"
#: what the same command measures anew each time
_BESIDE = ("seconds", "environment")


@dataclass
class Plan:
    """Where the records of a push go.

    Attributes:
        new: path -> record, with its content, that nothing lies at.
        replaced: the same, at which another record lies.
        same: paths that hold one of the records already, or one that differs only in how long and where it took.
    """

    new: dict[str, tuple[Found, bytes]] = field(default_factory=dict)
    replaced: dict[str, tuple[Found, bytes]] = field(default_factory=dict)
    same: set[str] = field(default_factory=set)

    @property
    def uploads(self) -> dict[str, tuple[Found, bytes]]:
        """What changes there."""
        return {**self.new, **self.replaced}

    def takes(self, path: str) -> bool:
        """Whether a record of this push has the path."""
        return any(path in paths for paths in (self.new, self.replaced, self.same))


def plan_records(records: Iterable[Found], target: Target, there: Collection[str]) -> Plan:
    """Find a path for each record.

    A content that is there under any name stays there. Others are called by their record's name; where two contents of
    one push have one name, or one that is there and of this push has it, the name ends in a part of the checksum.

    Args:
        records: to push.
        target: the data set.
        there: paths of the records that it holds.
    """
    plan = Plan()
    holds = {target.files[path]: path for path in sorted(there, reverse=True)}
    other: dict[bytes, Found] = {}
    for found in records:
        data = found.file.read_bytes()
        at = next((holds[one] for one in checksums(data) if one in holds), None)
        if at is None:
            other.setdefault(data, found)
        else:
            plan.same.add(at)
    rest, rivals = [], _by_name(there)
    for data, found in other.items():
        plain = f"{FOLDER}/{found.record.filename}"
        if equal := _equal(data, target, rivals.get(plain, [])):
            plan.same.add(equal)
        else:
            rest.append((plain, found, data))
    for plain, found, data in rest:
        apart = f"{plain.removesuffix('.json')}-{hashlib.sha256(data).hexdigest()[:8]}.json"
        path = apart if plan.takes(plain) or found.path == apart else plain  # so called where it comes from
        (plan.replaced if path in target.files else plan.new)[path] = (found, data)
    return plan


def _by_name(paths: Iterable[str]) -> dict[str, list[str]]:
    """Paths by the name that they would have if no part of a checksum told them apart."""
    found: dict[str, list[str]] = {}
    for path in sorted(paths):
        for name in {path, re.sub(r"-[0-9a-f]{8}\.json$", ".json", path)}:
            found.setdefault(name, []).append(path)
    return found


def _equal(data: bytes, target: Target, rivals: list[str]) -> str | None:
    """Which of the records there was computed the same."""
    own = _content(data) if rivals else None
    return next((path for path, other in fetch(target, rivals).items() if _content(other) == own), None)


def _content(data: bytes) -> str | None:
    """A record without what differs from run to run; None for what is none."""
    try:
        told: Any = parse_json(data)
        return canonical({name: value for name, value in told.items() if name not in _BESIDE})
    except (ValueError, AttributeError):
        return None
