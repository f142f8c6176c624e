"""The verdict on a score in one sentence, never stronger than its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlalign.display.format import DASH, p_equation, p_text

if TYPE_CHECKING:
    from vlalign.scoring.record import ScoreRecord

#: words for how far a score is from the null's 95 % point (0) to perfect (1), by the least value that earns them
_STRENGTHS = ((0.75, "very strong"), (0.5, "strong"), (0.25, "moderate"), (0.1, "weak"), (0.0, "very weak"))
_LEVEL = 0.05


def p_of_record(record: ScoreRecord) -> str:
    """Return the p-value of a score; with its sign where none of its permutations reached the score."""
    if record.null is None or record.p_value is None:
        return DASH
    return p_text(record.p_value, 0.0 if record.null["stopped"] else 1 / (record.null["permutations"] + 1))


def verdict(record: ScoreRecord) -> str:
    """Return what a score means in plain words, from its p-value, its calibrated score and the low end of its interval.

    The word for the strength is that of the low end of the interval on the calibrated scale, on which 0 is the null's
    95 % point and 1 a perfect score; without an interval it is that of the score. Scores without a permutation null are
    not called above chance.
    """
    if record.null is None or record.p_value is None:
        return "not tested: there is no permutation null, so the score is not compared with chance"
    p = p_equation(p_of_record(record))
    if record.p_value > _LEVEL:
        return f"indistinguishable from chance ({p}, layer selection included)"
    if record.calibrated is None:
        return f"above chance ({p}, layer selection included); too few permutations to state how strong"
    threshold = record.null.get("threshold")
    low = record.calibrated
    spread = ""
    if record.interval is not None and isinstance(threshold, float) and threshold < 1:
        ends = [max(0.0, (record.interval[end] - threshold) / (1 - threshold)) for end in ("low", "high")]
        low = min(low, ends[0])
        spread = f" ({_percent(ends[0])} to {_percent(min(1.0, ends[1]))})"
    if not low:
        return f"above chance ({p}), but its interval reaches down to chance: not settled by {record.n} samples"
    strength = next(word for least, word in _STRENGTHS if low >= least)
    way = f"{_percent(record.calibrated)} of the way from the null's 95 % point to perfect"
    return f"above chance ({p}), {strength}: {way}{spread}"


def _percent(share: float) -> str:
    """Return a share as a whole percentage, or with a digit where that would be 0 or 100."""
    return f"{share:.0%}" if 0.01 <= share <= 0.99 or share in (0, 1) else f"{share:.1%}"
