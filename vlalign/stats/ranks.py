"""Ranks that claim no more than intervals do."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from vlalign.errors import VlalignError


def rank_ranges(intervals: Sequence[tuple[float, float] | None]) -> list[tuple[int, int] | None]:
    """First and last rank [M] that values with intervals (low, high) may have; larger is better.

    The first is 1 + the number of intervals that lie entirely above one's own; the last is the number of intervals
    less those that lie entirely below. These are the ranks of all values that lie in the intervals, so a wide interval
    gives a wide range, and one whose ends are both at least as high has both ranks at least as good. Intervals that
    overlap or touch are not told apart. Without an interval no rank is claimed, and none is taken from others.

    Overlap of two intervals is a careful criterion, not a test: differences that a paired test finds
    (:func:`vlalign.scoring.compare.compare_runs`) may share a rank.

    Raises:
        VlalignError: an interval whose ends are not numbers in ascending order.

    >>> rank_ranges([(0.59, 0.61), (0.54, 0.56), (0.3, 0.7), None])
    [(1, 2), (2, 3), (1, 3), None]
    """
    known = [found for found in intervals if found is not None]
    for low, high in known:
        if not low <= high:
            raise VlalignError(f"an interval needs its lower end first, got {low} to {high}")
    lows, highs = sorted(low for low, _ in known), sorted(high for _, high in known)
    return [
        None
        if found is None
        else (1 + len(lows) - bisect_right(lows, found[1]), len(highs) - bisect_left(highs, found[0]))
        for found in intervals
    ]
