"""Contents of a leaderboard: groups of records that may be compared, the models in them, ranks and q-values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.models.registry import ALIASES, SOURCES, family_of
from vlalign.scoring.beside import Baselines, is_trivial
from vlalign.scoring.collect import Collected, Invalid
from vlalign.scoring.conditions import Conditions, conditions
from vlalign.scoring.naming import differences, precision_of, run_facts, run_names
from vlalign.scoring.summary import p_of_record
from vlalign.scoring.tables import false_discovery
from vlalign.stats.ranks import rank_ranges
from vlalign.store.key import BASELINE, is_baseline
from vlalign.store.probes import OF_TEXT

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord

ALL = "all pairs"  # instead of a reference: every pair of a group
#: raised where a record does not follow its format
FLAWED = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, VlalignError)
_UNITS = {"bits_per_byte": "bits per byte"}


@dataclass(frozen=True)
class Model:
    """One side of records: a run of a model, or tensors.

    Attributes:
        id: hash of its run; for tensors a unique name.
        name: its name, with precision or digits of the key where the board has several runs of the model.
        family: of the registry; else the architecture in the key, else the name; of baselines "baseline".
        precision: quantization, or the dtype of the weights; empty where the key does not state it.
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
        """``(s − c) / (1 − c)`` with the chance level c, None without one."""
        chance = self.record.chance
        return None if chance is None or chance >= 1 else (self.record.score - chance) / (1 - chance)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Low and high of the interval."""
        spread = self.record.interval
        return None if spread is None else (float(spread["low"]), float(spread["high"]))

    def performance(self, side: str) -> tuple[str, float] | None:
        """Return name and value of the performance of a side: the first of its probes, else bits per byte."""
        measured = self.record.measured(side)
        known = {k: v for k, v in measured.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        name = next((name for name in known if name not in OF_TEXT), "bits_per_byte")
        return (_UNITS.get(name, name), float(known[name])) if name in known else None

    def truncated(self, side: str) -> int:
        """Return how many captions of a side's bits per byte were truncated to its longest input."""
        count = self.record.measured(side).get("truncated")
        performance = self.performance(side)
        is_of_text = performance is not None and performance[0] == _UNITS["bits_per_byte"]
        return count if isinstance(count, int) and is_of_text else 0


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
        side: the reference's side where the metric distinguishes the sides, else empty.
    """

    reference: str
    side: str
    rows: list[Row]


@dataclass(frozen=True)
class Group:
    """Records that may be compared with each other, and with no others."""

    conditions: Conditions
    entries: list[Entry]
    rankings: list[Ranking]  # most rows first, then most with a performance; baselines, then that of all pairs last

    @property
    def trivial(self) -> list[ScoreRecord]:
        """Scores of baselines with baselines, best first."""
        records = [entry.record for entry in self.entries if is_trivial(entry.record)]
        return sorted(records, key=lambda record: -record.score)


@dataclass(frozen=True)
class Duplicate:
    """A record of a pair whose other record of the same conditions is shown instead."""

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

    @cached_property
    def baselines(self) -> Baselines:
        """Scores of baselines, by conditions."""
        return Baselines(entry.record for entry in self.entries)

    @property
    def entries(self) -> list[Entry]:
        """Of all groups."""
        return [entry for group in self.groups for entry in group.entries]

    def model(self, entry: Entry, side: str) -> Model:
        """Return the model of a side."""
        return self.models[getattr(entry, side)]


def make_board(collected: Collected) -> Board:
    """Group, rank and name the collected records; one that lacks what the board shows joins the invalid ones."""
    board = Board(invalid=list(collected.invalid))
    entries = []
    sides: dict[str, Mapping[str, Any]] = {}
    for one in collected.records:
        try:
            entry = _entry(one.record, one.source, one.path)
            own = {entry.x: one.record.x, entry.y: one.record.y}
            _try_alone(entry, own)
        except FLAWED as error:
            board.invalid.append(flawed(one.source, one.path, error))
            continue
        entries.append(entry)
        sides |= own
    board.models = _models(sides)
    for shown in _by_conditions(entries).values():
        board.groups.append(_group(_one_of_each_pair(shown, board), board.models))
    board.groups.sort(key=lambda group: (-len(group.entries), group.conditions.title))
    return board


def flawed(source: str, path: str, error: Exception) -> Invalid:
    """Return the record that caused an error as an invalid one."""
    reason = f"{type(error).__name__} {' '.join(str(error).split())}"
    return Invalid(source, path, f"not a whole score record: {reason}")


def _try_alone(entry: Entry, sides: Mapping[str, Mapping[str, Any]]) -> None:
    """Do with one entry all that is done with many, so that a flawed record fails alone."""
    p_of_record(entry.record)
    _thoroughness(entry)
    group_titles([_group([entry], _models(sides))])


def _entry(record: ScoreRecord, source: str, path: str) -> Entry:
    where = f"{source} {path}"
    shared = conditions(record, where)
    x, y = (_id_of(about, f"{side} of {where}") for side, about in (("x", record.x), ("y", record.y)))
    page = hashlib.sha256("\0".join([shared.id, x, y]).encode("utf-8", "replace")).hexdigest()[:16]
    return Entry(record, source, path, shared, x, y, f"pairs/{page}.html")


def _id_of(side: Mapping[str, Any], place: str) -> str:
    """Return the id of a side's model: hash of its run, else name and content of its array, else its place."""
    if side["run"]:
        return str(side["run"]["hash"])
    content = (side.get("tensor") or {}).get("sha256")
    return f"{side['model']} {content[:16]}" if isinstance(content, str) else place


def _by_conditions(entries: list[Entry]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.conditions.id, []).append(entry)
    return groups


def _one_of_each_pair(entries: list[Entry], board: Board) -> list[Entry]:
    """Return one entry of each pair, the most thorough; the others become duplicates of the board."""
    pairs: dict[Any, list[Entry]] = {}
    for entry in entries:
        pair: Any = frozenset((entry.x, entry.y)) if entry.conditions.symmetric else (entry.x, entry.y)
        pairs.setdefault(pair, []).append(entry)
    shown = []
    for same in pairs.values():
        first, *others = sorted(same, key=_thoroughness)
        shown.append(first)
        for other in others:
            equal = other.record.score == first.record.score
            board.duplicates.append(Duplicate(other.source, other.path, first, equal))
    return shown


def _thoroughness(entry: Entry) -> tuple[int, bool, bool]:
    """Return a key that sorts the record with most permutations or an analytic null, interval and curves first."""
    null = entry.record.null
    asked = 0 if null is None else int(null.get("asked") or null["permutations"] or len(null.get("maxima") or []))
    return -asked, entry.record.interval is None, entry.record.curves is None


def _group(entries: list[Entry], models: Mapping[str, Model]) -> Group:
    rankings: dict[tuple[str, str], list[tuple[Entry, str]]] = {}
    for entry in entries:
        for side, other in (("x", "y"), ("y", "x")) if entry.x != entry.y else (("x", "y"),):
            key = getattr(entry, side), "" if entry.conditions.symmetric else side
            rankings.setdefault(key, []).append((entry, other))
    ranked = [Ranking(reference, side, _rows(rows)) for (reference, side), rows in rankings.items()]
    ranked.sort(
        key=lambda one: (
            models[one.reference].family == BASELINE, -len(one.rows), -_with_performance(one),
            models[one.reference].name, one.side,
        )
    )  # fmt: skip
    ranked.append(Ranking(ALL, "", _rows([(entry, "") for entry in entries])))
    return Group(entries[0].conditions, entries, ranked)


def _with_performance(ranking: Ranking) -> int:
    """Return how many models of a ranking have a known performance."""
    return sum(row.entry.performance(row.model) is not None for row in ranking.rows)


def _rows(members: list[tuple[Entry, str]]) -> list[Row]:
    """Return the members, best first, with ranks and q-values among them."""
    members = sorted(members, key=lambda member: -member[0].record.score)
    ranks = rank_ranges([entry.interval for entry, _ in members])
    q_values = false_discovery([entry.record for entry, _ in members])
    return [Row(entry, side, rank, q) for (entry, side), rank, q in zip(members, ranks, q_values, strict=True)]


def _models(sides: Mapping[str, Mapping[str, Any]]) -> dict[str, Model]:
    """Return the models by id; several runs of one title are named by what differs, such as ``(224 px)``."""
    titles: dict[str, list[str]] = {}
    for name, side in sides.items():
        titles.setdefault(side["model"], []).append(name)
    models: dict[str, Model] = {}
    for title, names in titles.items():
        runs = [name for name in names if sides[name]["run"]]
        shown = {name: title if len(names) == 1 else f"{title}, {name}" for name in names}
        shown |= zip(runs, run_names([sides[name] for name in runs]), strict=True)
        models |= {name: _model(name, shown[name], precision_of(sides[name]), sides[name]) for name in names}
    return models


def group_titles(groups: Sequence[Group]) -> list[str]:
    """Return for each group in what it differs from the others of its metric; digits of hashes only if nothing else."""
    titles = [group.conditions.title for group in groups]
    for metric in {group.conditions.metric for group in groups}:
        places = [i for i, group in enumerate(groups) if group.conditions.metric == metric]
        texts = differences([_group_facts(groups[i]) for i in places])
        for i, text in zip(places, texts, strict=True):
            parts = groups[i].conditions.parts
            titles[i] = text if text and texts.count(text) == 1 else ", ".join(filter(None, [text, parts["data"]]))
    return titles


def _group_facts(group: Group) -> dict[str, str]:
    """Return by name, in words, in what groups of one metric may differ."""
    parts, record = group.conditions.parts, group.entries[0].record
    facts = {"preset": f"preset {parts['preset']}", "N": f"N = {parts['N']}", "variant": parts.get("variant", "")}
    if not group.conditions.known:
        return facts | {"name": "samples not recorded"}
    runs = [run_facts(side) for side in (record.x, record.y)]
    facts |= {name: "; ".join(sorted({run[fact] for run in runs} - {""})) for name, fact in
              (("name", "data"), ("caption", "caption"))}  # fmt: skip
    edits = [
        edit
        for side in (record.x, record.y)
        for edit in side["run"]["key"].get("perturbations") or ()
        if isinstance(edit, dict)
    ]
    return facts | {"edits": ", ".join(f"{edit.get('operation')}:{edit.get('rate')}" for edit in edits)}


def _model(name: str, shown: str, precision: str, side: Mapping[str, Any]) -> Model:
    key = side["run"]["key"] if side["run"] else {}
    about = key.get("model") if isinstance(key, dict) else {}
    about = about if isinstance(about, dict) else {}
    spec = ALIASES.get(str(about.get("name"))) or SOURCES.get(str(about.get("source")))
    title = str(side["model"])
    plain = str(about.get("name") or title)
    return Model(
        id=name,
        name=shown,
        family=BASELINE if is_baseline(key) else family_of(about, title),
        modality=str(side.get("modality") or "unknown"),
        params=None if spec is None else spec.params,
        precision=precision,
        edits=title.removeprefix(plain).strip(),
        run=str(side["run"]["hash"]) if side["run"] else "",
    )
