"""Scores beside those of baselines on the same samples and with the same settings: on both sides, or on one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vlalign.display import visible
from vlalign.display.format import interval, number, p_equation, plural
from vlalign.scoring.conditions import conditions
from vlalign.scoring.summary import p_of_record
from vlalign.store.key import is_baseline

if TYPE_CHECKING:
    from vlalign.scoring.record import ScoreRecord

_OTHER = (
    "trivial pairs of these results are of other samples or settings, so they are not compared: make and score those "
    "of these samples (`vlalign baselines`)"
)


def is_trivial(record: ScoreRecord) -> bool:
    """Return whether both sides of a record are baselines."""
    return all(_baseline_sides(record))


def has_baseline(record: ScoreRecord) -> bool:
    """Return whether a side of a record is a baseline."""
    return any(_baseline_sides(record))


def is_random(key: Mapping[str, Any]) -> bool:
    """Return whether a run key is that of a model of random weights."""
    model = key.get("model")
    return isinstance(model, Mapping) and "random" in model


class Baselines:
    """The scores of baselines among records, by the conditions under which scores may be compared.

    Args:
        records: of any pairs.
    """

    def __init__(self, records: Iterable[ScoreRecord]) -> None:
        self._records: dict[str, list[ScoreRecord]] = {}
        for one in sorted(filter(has_baseline, records), key=lambda one: -one.score):
            self._records.setdefault(conditions(one, one.title).id, []).append(one)

    def trivial(self, record: ScoreRecord) -> list[ScoreRecord]:
        """Return the trivial pairs that a record may be compared with, best first."""
        return [one for one in self._of(record) if is_trivial(one)]

    def beside_one(self, record: ScoreRecord) -> list[list[ScoreRecord]]:
        """Return for each model of a record its pairs with baselines, best first, where there are any."""
        hashes = [side["run"]["hash"] for side in (record.x, record.y) if side["run"]]
        mixed: list[list[ScoreRecord]] = [[] for _ in hashes]
        for one in self._of(record):
            if not is_trivial(one):
                side = one.y if _baseline_sides(one)[0] else one.x
                if side["run"] and side["run"]["hash"] in hashes:
                    mixed[hashes.index(side["run"]["hash"])].append(one)
        return [pairs for pairs in mixed if pairs]

    def text(self, record: ScoreRecord) -> str:
        """Return :meth:`lines` as one text."""
        return "; ".join(self.lines(record))

    def lines(self, record: ScoreRecord) -> list[str]:
        """Return what baselines reach beside a pair of models, in words; empty for other pairs and without baselines.

        The best pair of features, of random weights, and of each model with a baseline, with interval and p-value. If
        all trivial pairs of the metric are of other samples or settings the only line states that.
        """
        if has_baseline(record):
            return []
        kinds = [*_by_kind(self.trivial(record)), *self.beside_one(record)]
        if not kinds:
            others = (one for same in self._records.values() for one in same if one.metric == record.metric)
            return [_OTHER] if any(map(is_trivial, others)) else []
        return list(map(_first_text, kinds))

    def _of(self, record: ScoreRecord) -> list[ScoreRecord]:
        return self._records.get(conditions(record, record.title).id, []) if self._records else []


def _baseline_sides(record: ScoreRecord) -> list[bool]:
    return [bool(side["run"]) and is_baseline(side["run"]["key"]) for side in (record.x, record.y)]


def pairs_text(pairs: Sequence[ScoreRecord]) -> str:
    """Return the first of sorted trivial pairs of features, and of those of random weights, in words."""
    return "; ".join(map(_first_text, _by_kind(pairs)))


def _by_kind(pairs: Sequence[ScoreRecord]) -> list[list[ScoreRecord]]:
    """Return trivial pairs of features, and those of random weights, where there are any."""
    kinds: list[list[ScoreRecord]] = [[], []]
    for one in pairs:
        kinds[is_random(one.x["run"]["key"])].append(one)
    return [same for same in kinds if same]


def _first_text(pairs: Sequence[ScoreRecord]) -> str:
    """Return the first pair with its score, interval and p-value, and the number of all."""
    best = pairs[0]
    facts = [] if best.interval is None else [interval(best.interval["low"], best.interval["high"], 3)]
    facts += [] if best.null is None else [p_equation(p_of_record(best))]
    among = f", best of {plural(len(pairs), 'pair')}" if len(pairs) > 1 else ""
    spread = f" ({', '.join(facts)})" if facts else ""
    return f"{visible(best.title)} {number(best.score)}{spread}{among}"
