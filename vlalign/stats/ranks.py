"""Ranks that claim no more than intervals do."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from vlalign.errors import VlalignError


def shared_ranks(intervals: Sequence[tuple[float, float] | None]) -> list[int | None]:
    """Ranks [M] of values with intervals (low, high): 1 + the number of intervals that lie entirely above one's own.

    Larger is better. Intervals that overlap or touch are not told apart, so everything that nothing lies entirely above
    shares rank 1; as in standard competition ranking, ranks are left out after ties. Without an interval no rank is
    claimed, and none is taken from others.

    Overlap of two intervals is a careful criterion, not a test: differences that a paired test finds
    (:func:`vlalign.score.compare.compare_runs`) may share a rank.

    Raises:
        VlalignError: an interval whose ends are not numbers in ascending order.

    >>> shared_ranks([(0.5, 0.6), (0.4, 0.55), (0.3, 0.45), (0.1, 0.2), None])
    [1, 1, 2, 4, None]
    """
    for found in intervals:
        if found is not None and not found[0] <= found[1]:
            raise VlalignError(f"an interval needs its lower end first, got {found[0]} to {found[1]}")
    lows = sorted(found[0] for found in intervals if found is not None)
    return [None if found is None else 1 + len(lows) - bisect_right(lows, found[1]) for found in intervals]
