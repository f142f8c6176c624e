"""Scores beside those of trivial pairs: baselines of both sides, on the same samples and with the same settings."""

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
    return all(side["run"] and is_baseline(side["run"]["key"]) for side in (record.x, record.y))


def is_random(key: Mapping[str, Any]) -> bool:
    """Return whether a run key is that of a model of random weights."""
    model = key.get("model")
    return isinstance(model, Mapping) and "random" in model


def trivial_pairs(record: ScoreRecord, records: Iterable[ScoreRecord]) -> list[ScoreRecord]:
    """Return the trivial pairs that a record may be compared with, best first: equal samples, metric and settings."""
    own = conditions(record, record.title).id
    pairs = [one for one in records if is_trivial(one) and conditions(one, one.title).id == own]
    return sorted(pairs, key=lambda one: -one.score)


def beside_text(record: ScoreRecord, records: Sequence[ScoreRecord]) -> str:
    """Return the best trivial pair of features and of random weights with interval and p-value, in words.

    Args:
        record: of two models; the text is empty for a trivial pair.
        records: that may hold trivial pairs; without any the text is empty, and if all are of other samples or
            settings it states that.
    """
    if is_trivial(record):
        return ""
    pairs = trivial_pairs(record, records)
    if not pairs:
        others = (one for one in records if is_trivial(one) and one.metric == record.metric)
        return _OTHER if next(others, None) is not None else ""
    return pairs_text(pairs)


def pairs_text(pairs: Sequence[ScoreRecord]) -> str:
    """Return the first of sorted trivial pairs of features, and of those of random weights, in words."""
    kinds: list[list[ScoreRecord]] = [[], []]
    for one in pairs:
        kinds[is_random(one.x["run"]["key"])].append(one)
    return "; ".join(_first_text(same) for same in kinds if same)


def _first_text(pairs: Sequence[ScoreRecord]) -> str:
    """Return the first pair with its score, interval and p-value, and the number of all."""
    best = pairs[0]
    facts = [] if best.interval is None else [interval(best.interval["low"], best.interval["high"], 3)]
    facts += [] if best.null is None else [p_equation(p_of_record(best))]
    among = f", best of {plural(len(pairs), 'pair')}" if len(pairs) > 1 else ""
    spread = f" ({', '.join(facts)})" if facts else ""
    return f"{visible(best.title)} {number(best.score)}{spread}{among}"
