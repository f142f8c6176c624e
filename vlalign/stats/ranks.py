"""Ranges of ranks that follow from intervals."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from vlalign.errors import VlalignError


def rank_ranges(intervals: Sequence[tuple[float, float] | None]) -> list[tuple[int, int] | None]:
    """Compute the first and last rank [M] that values with intervals (low, high) may have; larger is better.

    The first is 1 + the number of intervals that lie entirely above; the last is the number of intervals less those
    that lie entirely below. These are the ranks of all values that lie in the intervals, so a wide interval gives a
    wide range, and one whose ends are both at least as high has both ranks at least as good. Intervals that overlap or
    touch are not distinguished. A value without an interval has no rank and does not affect the others.

    Overlap of two intervals is a careful criterion, not a test: differences that a paired test detects
    (:func:`vlalign.scoring.compare.compare_runs`) may share a rank.

    Raises:
        VlalignError: an interval whose ends are not numbers in ascending order.

    >>> rank_ranges([(0.59, 0.61), (0.54, 0.56), (0.3, 0.7), None])
    [(1, 2), (2, 3), (1, 3), None]
    """
    known = [interval for interval in intervals if interval is not None]
    for low, high in known:
        if not low <= high:
            raise VlalignError(f"an interval needs its lower end first, got {low} to {high}")
    lows, highs = sorted(low for low, _ in known), sorted(high for _, high in known)
    return [
        None if one is None else (1 + len(lows) - bisect_right(lows, one[1]), len(highs) - bisect_left(highs, one[0]))
        for one in intervals
    ]
