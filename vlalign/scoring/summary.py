"""A score in words: its facts by name, and the verdict in one sentence, never stronger than its interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from vlalign.display import visible
from vlalign.display.format import DASH, interval, number, p_equation, p_text
from vlalign.metrics.base import value_text

if TYPE_CHECKING:
    from vlalign.scoring.record import ScoreRecord

_MEANINGS = {
    "chance": "mean score of these two layers when the rows are paired at random",
    "z": "distance from chance in standard deviations of random pairings, for these two layers alone",
    "neighbours": "share of the exact neighbours that the approximate search finds, on x and on y, lowest over layers",
    "null": "largest score over all layer pairs at random pairings: what selecting the best pair gives by itself",
    "p-value": "share of random pairings whose best layer pair scores at least as much",
    "calibrated": "0 at the null's 95% point and 1 at a perfect score, so that metrics, N and k can be compared",
    "within": "largest score over all layer pairs when pairs are shuffled inside categories; explained: what is left "
    "above chance at the best layer pair when each sample is paired with another one of its category",
    "hubness": "skewness of how often samples are neighbours of others: hubs in most lists distort neighbour scores",
}
#: words for how far a score is from the null's 95% point (0) to perfect (1), by the least value that earns them
_STRENGTHS = ((0.75, "very strong"), (0.5, "strong"), (0.25, "moderate"), (0.1, "weak"), (0.0, "very weak"))
_LEVEL = 0.05
_LEAST_RECALL = 0.99  # of approximate neighbours, without a note


def score_facts(record: ScoreRecord) -> dict[str, str]:
    """Return by name the score, its interval, layers, chance level and null."""
    rows = {
        "verdict": verdict(record),
        "score": number(record.score) + spread_text(record),
    }
    if has_layers(record):
        rows["best of"] = f"{len(record.axes['x'])} × {len(record.axes['y'])} layer pairs"
        best = (visible(f"{record.best[side]['name']} of {getattr(record, side)['model']}") for side in "xy")
        rows["layers"] = "  ×  ".join(best)
    if search := record.preprocessing.get("neighbours"):
        shares = " and ".join(f"{search['recall'][side]:.1%}" for side in "xy")
        rows["neighbours"] = f"approximate ({search['method']}): {shares} of the exact ones of {search['rows']} samples"
    if record.chance is not None:
        times = record.times_chance
        far = f"; the score is {times:.1f} times that" if times is not None and 1 < times < 1e4 else ""
        rows["chance"] = f"{number(record.chance)}{far}"
    if record.moments is not None and record.moments.get("z") is not None:
        z = record.moments["z"]
        side = "above" if z >= 0 else "below"
        rows["z"] = f"{abs(z):.1f} sd {side} chance (exact mean and sd of this layer pair)"
    if (null := record.null) is not None:
        early = f", stopped early of {null.get('asked')}" if null["stopped"] else ""
        blocks = f" of {null['blocks']} groups" if null.get("blocks") else ""
        pairings = f"{null['permutations']} random pairings{blocks}{early}"
        pairings += ", each with its own best layer pair" if has_layers(record) else ""
        mean, largest, point = (value_or_dash(null.get(name)) for name in ("mean", "max", "threshold"))
        rows["null"] = f"mean {mean}, largest {largest} of {pairings}"
        if null.get("method") == "analytic":
            rows["null"] = f"mean {mean}, 95% point {point}: analytic, from the exact covariance of layer pairs"
        rows["p-value"] = p_of_record(record)
        if record.calibrated is not None:
            level = f"{1 - alpha:.0%}" if isinstance(alpha := null.get("alpha"), float) else "95%"
            rows["calibrated"] = f"{record.calibrated:.4f}  (0 at the null's {level} point, 1 at perfect)"
        for one in null.get("within") or []:
            rows[f"within {visible(one['name'])}"] = _within_fact(one)
    return rows


def recall_notes(preprocessing: Mapping[str, Any]) -> list[str]:
    """Return a note for a record whose approximate neighbours lack more than 1 % of the exact ones on a side."""
    search = preprocessing.get("neighbours")
    least = 1.0 if search is None else min(search["recall"].values())
    if least >= _LEAST_RECALL:
        return []
    return [
        f"the approximate neighbours of a side hold {least:.1%} of the exact ones, so the score is not that of exact "
        "neighbours: use --neighbours exact"
    ]


def _within_fact(one: Mapping[str, Any]) -> str:
    """Return the null inside the categories of one column."""
    kind = "strata" if one["cut"] else "categories"
    text = f"mean {number(one['mean'])}, largest {number(one['max'])} of {one['permutations']} pairings inside "
    text += f"{one['categories']} {kind}; {p_equation(_p_of_null(one))}"
    share = share_text(one["explained"])
    return text if share == DASH else f"{text}; {visible(one['name'])} explains {share} of what is above chance"


def share_text(spread: Mapping[str, Any]) -> str:
    """Return which share of a score above chance is explained, with its interval; a dash where it is not known."""
    share, low, high = (spread.get(name) for name in ("share", "low", "high"))
    if share is None:
        return DASH
    ends = "" if low is None or high is None else f" ({_limited(low)} to {_limited(high)})"
    return _limited(share) + ends


def _limited(share: float) -> str:
    return _percent(min(1.0, max(0.0, share)))


def has_layers(record: ScoreRecord) -> bool:
    """Return whether the record has several layer pairs, of which one was selected."""
    return len(record.axes["x"]) * len(record.axes["y"]) > 1


def meanings_of(record: ScoreRecord) -> dict[str, str]:
    """Return what the names of a record's facts mean, each in one line."""
    known = {*score_facts(record), *(["hubness"] if "hub_skewness" in (record.checks.get("x") or {}) else [])}
    known |= {name.partition(" ")[0] for name in known}
    return {name: meaning for name, meaning in _MEANINGS.items() if name in known}


def spread_text(record: ScoreRecord) -> str:
    """Return the interval of a score, to follow it."""
    half = record.interval
    if half is None:
        return ""
    level = f"{half['level']:.0%} interval" if half.get("level") else "interval"
    return f"  {level} {interval(half['low'], half['high'])} ({half.get('count')} half-samples)"


def p_of_record(record: ScoreRecord) -> str:
    """Return the p-value of a score; with its sign where none of its permutations reached the score."""
    return DASH if record.null is None or record.p_value is None else _p_of_null(record.null)


def _p_of_null(null: Mapping[str, Any]) -> str:
    least = 0.0 if null["stopped"] else null.get("p_least", 1 / (null["permutations"] + 1))
    return p_text(null["p_value"], least)


def verdict(record: ScoreRecord) -> str:
    """Return what a score means in plain words, from its p-value, its calibrated score and the low end of its interval.

    The word for the strength is that of the low end of the interval on the calibrated scale, on which 0 is the null's
    95% point and 1 a perfect score; without an interval it is that of the score. Scores without a permutation null are
    not called above chance.
    """
    if record.null is None or record.p_value is None:
        return "not tested: there is no permutation null, so the score is not compared with chance"
    p = p_equation(p_of_record(record))
    selected = f"{p}, layer selection included" if has_layers(record) else p
    if record.p_value > _LEVEL:
        return f"indistinguishable from chance ({selected})"
    if record.calibrated is None:
        return f"above chance ({selected}); too few permutations to state how strong"
    threshold = record.null.get("threshold")
    low = record.calibrated
    spread = ""
    if record.interval is not None and isinstance(threshold, float) and threshold < 1:
        ends = [max(0.0, (record.interval[end] - threshold) / (1 - threshold)) for end in ("low", "high")]
        low = min(low, ends[0])
        spread = f" ({_percent(ends[0])} to {_percent(min(1.0, ends[1]))})"
    if not low > 0:
        doubt = f"but its interval reaches below the null's 95% point: not settled by {record.n} samples"
        return f"above chance ({p}), {doubt}"
    strength = next(word for least, word in _STRENGTHS if low >= least)
    way = f"{_percent(record.calibrated)} of the way from the null's 95% point to perfect"
    return "; ".join([f"above chance ({p}), {strength}: {way}{spread}", *_of_categories(record.null)])


def _of_categories(null: Mapping[str, Any]) -> list[str]:
    """Return the part of a score above chance that the column with the largest share explains; nothing without one.

    Most of a score is called coarse only where the whole interval of the share lies above one half.
    """
    known = [one for one in null.get("within") or [] if one["explained"].get("share") is not None]
    if not known:
        return []
    one = max(known, key=lambda one: float(one["explained"]["share"]))
    name, low = visible(one["name"]), one["explained"].get("low")
    if one["p_value"] > _LEVEL:
        return [f"no better than pairs shuffled inside {name} ({p_equation(_p_of_null(one))})"]
    share = f"{name} explains {share_text(one['explained'])} of what is above chance"
    coarse = "strata" if one["cut"] else "categories"
    return [f"most of it is coarse {coarse}: {share}" if low is not None and low > 0.5 else share]


def _percent(share: float) -> str:
    """Return a share as a percentage, with a digit below 10 and close to 100."""
    return f"{share:.0%}" if 0.1 <= share <= 0.99 or share in (0, 1) else f"{share:.1%}"


def value_or_dash(value: Any, form: str = "{:.4f}") -> str:
    """Return a value that a record may lack, or hold as anything."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return form.format(value)
    return DASH if value is None else str(value)


def paired_by(pairings: Iterable[Any]) -> str:
    """Return how rows were paired, ``id`` or ``row``, as a text; empty where it is not known.

    >>> paired_by(["id"]), paired_by(["id", "row"])
    ('paired by id', 'paired by id and by the order of rows')
    """
    texts = {"id": "by id", "row": "by the order of rows"}
    given = list(pairings)
    known = [text for name, text in texts.items() if name in given]
    return f"paired {' and '.join(known)}" if known else ""


def measured(record: ScoreRecord) -> str:
    """Return metric, its parameters, number of samples, how they are paired, and preset."""
    parameters = [f"{name} = {value_text(value)}" for name, value in record.metric["params"].items()]
    pairing = paired_by([record.pairing.get("by")])
    items = record.pairing.get("positives")
    n = f"N = {record.n}" + (f" items of {items.get('samples')} samples" if isinstance(items, dict) else "")
    parts = [record.metric["name"], *parameters, n, pairing]
    return ", ".join([part for part in parts if part] + [f"preset {record.preprocessing['preset']}"])
