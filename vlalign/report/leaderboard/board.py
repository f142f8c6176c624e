"""What a leaderboard shows: groups of records that may be compared, the models in them, ranks and q-values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.models.registry import ALIASES, SOURCES
from vlalign.report.format import p_text
from vlalign.report.score import false_discovery
from vlalign.scoring.collect import Collected, Invalid
from vlalign.scoring.conditions import Conditions, conditions, precision_of
from vlalign.stats.ranks import rank_ranges

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord

ALL = "all pairs"  # instead of a reference: every pair of a group
#: raised where a record is not as its format says
FLAWED = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, VlalignError)
_UNITS = {"bits_per_byte": "bits per byte"}


@dataclass(frozen=True)
class Model:
    """One side of records: a run of a model, or tensors.

    Attributes:
        id: hash of its run; for tensors a name of its own.
        name: shown; with precision or digits of the key where several runs of a model are there.
        family: of the registry; else what the key says of the architecture, else the name.
        precision: quantization, or the dtype of the weights; empty where the key does not say.
    """

    id: str
    name: str
    family: str
    modality: str
    params: int | None
    precision: str
    edits: str
    run: str


@dataclass(frozen=True)
class Entry:
    """A record on the board; x and y are ids of its models."""

    record: ScoreRecord
    source: str
    path: str
    conditions: Conditions
    x: str
    y: str
    page: str  # of the pair, relative to the site

    @property
    def corrected(self) -> float | None:
        """``(s − c) / (1 − c)`` with the chance level c."""
        chance = self.record.chance
        return None if chance is None or chance >= 1 else (self.record.score - chance) / (1 - chance)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Low and high of the interval."""
        found = self.record.interval
        return None if found is None else (float(found["low"]), float(found["high"]))

    def performance(self, side: str) -> tuple[str, float] | None:
        """Name and value of the performance of a side: bits per byte if it has them, else the first."""
        found = self.record.measured(side)
        known = {k: v for k, v in found.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        name = "bits_per_byte" if "bits_per_byte" in known else next(iter(known), None)
        return None if name is None else (_UNITS.get(name, name), float(known[name]))

    def truncated(self, side: str) -> int:
        """How many captions of a side were truncated to its longest input."""
        count = self.record.measured(side).get("truncated")
        return count if isinstance(count, int) else 0


@dataclass(frozen=True)
class Row:
    """A model in the ranking of one reference: ``model`` is its side of ``entry``, empty for a pair of all pairs.

    ``rank`` is the first and the last that its interval allows.
    """

    entry: Entry
    model: str
    rank: tuple[int, int] | None
    q: float | None


@dataclass(frozen=True)
class Ranking:
    """Models by alignment to a reference, best first.

    Attributes:
        reference: id of its model, or ``ALL``.
        side: that the reference stands on where the metric tells the sides apart, else empty.
    """

    reference: str
    side: str
    rows: list[Row]


@dataclass(frozen=True)
class Group:
    """Records that may be compared with each other, and with no others."""

    conditions: Conditions
    entries: list[Entry]
    rankings: list[Ranking]  # most rows first, then most with a performance; that of all pairs last


@dataclass(frozen=True)
class Duplicate:
    """A record of a pair that another record of the same conditions is shown for."""

    source: str
    path: str
    shown: Entry
    same: bool  # whether both have the same score

    @property
    def score(self) -> str:
        """Whether both have the same score, in words."""
        return "the same" if self.same else "another"


@dataclass
class Board:
    """Everything on a leaderboard; groups with most records first."""

    groups: list[Group] = field(default_factory=list)
    models: dict[str, Model] = field(default_factory=dict)
    invalid: list[Invalid] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)

    @property
    def entries(self) -> list[Entry]:
        """Of all groups."""
        return [entry for group in self.groups for entry in group.entries]

    def model(self, entry: Entry, side: str) -> Model:
        """The model of a side."""
        return self.models[getattr(entry, side)]


def make_board(collected: Collected) -> Board:
    """Group, rank and name what was collected; a record that lacks what the board shows joins the invalid ones."""
    board = Board(invalid=list(collected.invalid))
    entries = []
    sides: dict[str, Mapping[str, Any]] = {}
    for found in collected.records:
        try:
            entry = _entry(found.record, found.source, found.path)
            own = {entry.x: found.record.x, entry.y: found.record.y}
            _try_alone(entry, own)
        except FLAWED as error:
            board.invalid.append(not_whole(found.source, found.path, error))
            continue
        entries.append(entry)
        sides |= own
    board.models = _models(sides)
    for shown in _by_conditions(entries).values():
        board.groups.append(_group(_first_of_each_pair(shown, board), board.models))
    board.groups.sort(key=lambda group: (-len(group.entries), group.conditions.title))
    return board


def not_whole(source: str, path: str, error: Exception) -> Invalid:
    """A record that something failed on."""
    told = f"{type(error).__name__} {' '.join(str(error).split())}"
    return Invalid(source, path, f"not a whole score record: {told}")


def _try_alone(entry: Entry, sides: Mapping[str, Mapping[str, Any]]) -> None:
    """Everything that is done with it among others: what fails here would take them with it there."""
    p_text(entry.record)
    _says_most(entry)
    _group([entry], _models(sides))


def _entry(record: ScoreRecord, source: str, path: str) -> Entry:
    where = f"{source} {path}"
    found = conditions(record, where)
    ids = [
        record_side["run"]["hash"] if record_side["run"] else f"{side} of {where}"
        for side, record_side in _both(record)
    ]
    page = hashlib.sha256("\0".join([found.id, *ids]).encode("utf-8", "replace")).hexdigest()[:16]
    return Entry(record, source, path, found, ids[0], ids[1], f"pairs/{page}.html")


def _both(record: ScoreRecord) -> list[tuple[str, dict[str, Any]]]:
    return [("x", record.x), ("y", record.y)]


def _by_conditions(entries: list[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.conditions.id, []).append(entry)
    return found


def _first_of_each_pair(entries: list[Entry], board: Board) -> list[Entry]:
    """One entry a pair, the one that says most; the others are told as duplicates."""
    pairs: dict[Any, list[Entry]] = {}
    for entry in entries:
        pair: Any = frozenset((entry.x, entry.y)) if entry.conditions.symmetric else (entry.x, entry.y)
        pairs.setdefault(pair, []).append(entry)
    shown = []
    for same in pairs.values():
        first, *others = sorted(same, key=_says_most)
        shown.append(first)
        for other in others:
            equal = other.record.score == first.record.score
            board.duplicates.append(Duplicate(other.source, other.path, first, equal))
    return shown


def _says_most(entry: Entry) -> tuple[int, bool, bool]:
    null = entry.record.null
    asked = 0 if null is None else int(null.get("asked") or null["permutations"])
    return -asked, entry.record.interval is None, entry.record.curves is None


def _group(entries: list[Entry], models: Mapping[str, Model]) -> Group:
    rankings: dict[tuple[str, str], list[tuple[Entry, str]]] = {}
    for entry in entries:
        for side, other in (("x", "y"), ("y", "x")) if entry.x != entry.y else (("x", "y"),):
            key = getattr(entry, side), "" if entry.conditions.symmetric else side
            rankings.setdefault(key, []).append((entry, other))
    found = [Ranking(reference, side, _rows(rows)) for (reference, side), rows in rankings.items()]
    found.sort(key=lambda one: (-len(one.rows), -_performing(one), models[one.reference].name, one.side))
    found.append(Ranking(ALL, "", _rows([(entry, "") for entry in entries])))
    return Group(entries[0].conditions, entries, found)


def _performing(ranking: Ranking) -> int:
    """Models in a ranking of which the performance is known."""
    return sum(row.entry.performance(row.model) is not None for row in ranking.rows)


def _rows(members: list[tuple[Entry, str]]) -> list[Row]:
    """Ranks and q-values among the members."""
    members = sorted(members, key=lambda member: -member[0].record.score)
    ranks = rank_ranges([entry.interval for entry, _ in members])
    q_values = false_discovery([entry.record for entry, _ in members])
    return [Row(entry, side, rank, q) for (entry, side), rank, q in zip(members, ranks, q_values, strict=True)]


def _models(sides: Mapping[str, Mapping[str, Any]]) -> dict[str, Model]:
    """Models by id; names of their own where several runs have one title."""
    titles: dict[str, list[str]] = {}
    for name, side in sides.items():
        titles.setdefault(side["model"], []).append(name)
    found = {}
    for title, names in titles.items():
        precisions = [precision_of(sides[name]) for name in names]
        for name, precision in zip(names, precisions, strict=True):
            shown = title
            if len(names) > 1:
                own = bool(precision) and precisions.count(precision) == 1
                shown = (
                    f"{title} ({precision})"
                    if own
                    else f"{title}@{name[:8]}"
                    if sides[name]["run"]
                    else f"{title}, {name}"
                )
            found[name] = _model(name, shown, precision, sides[name])
    return found


def _model(name: str, shown: str, precision: str, side: Mapping[str, Any]) -> Model:
    key = _key(side)
    told = key.get("model") if isinstance(key.get("model"), dict) else {}
    assert isinstance(told, dict)
    spec = ALIASES.get(str(told.get("name"))) or SOURCES.get(str(told.get("source")))
    title = str(side["model"])
    plain = str(told.get("name") or title)
    return Model(
        id=name,
        name=shown,
        family=spec.family if spec is not None and spec.family else str(told.get("architecture") or plain),
        modality=str(side.get("modality") or "unknown"),
        params=None if spec is None else spec.params,
        precision=precision,
        edits=title.removeprefix(plain).strip(),
        run=str(side["run"]["hash"]) if side["run"] else "",
    )


def _key(side: Mapping[str, Any]) -> dict[str, Any]:
    key = side["run"]["key"] if side["run"] else {}
    return key if isinstance(key, dict) else {}
