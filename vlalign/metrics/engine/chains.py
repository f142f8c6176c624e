"""Chains of matches between two ordered lists: matches whose positions rise in both.

The entries of a list are distinct, so a longest chain is a longest common subsequence. A cheapest alignment of two
lists of length k is a chain too: between two matches of it that are ``p`` and ``q`` entries apart, ``max(p, q) - 1``
edits are needed. With the shift ``d = a - b`` of a match, m matches save ``m`` edits of the k that no match would need,
less every fall of ``d`` along the chain, which starts and ends at 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vlalign.metrics.base import Floats
from vlalign.metrics.engine.matches import Groups

_Positions = NDArray[np.int32]
_NONE = -(2**30)  # worth of a chain that is none


def best_chains(groups: Groups, shifts_cost: bool) -> Floats:
    """What the best chain of each group [G] is worth: its length, less the falls of its shift if ``shifts_cost``.

    Without cost this is the length of the longest common subsequence, with it k minus the Levenshtein distance.
    """
    worth = np.zeros(len(groups.count))
    for size in np.flatnonzero(np.bincount(groups.count)):  # groups of one size together
        chosen = np.flatnonzero(groups.count == size)
        at = groups.first[chosen] + np.arange(size)[:, None]
        worth[chosen] = _best(groups.a[at].astype(np.int32), groups.b[at].astype(np.int32), shifts_cost)
    return worth


def _best(a: _Positions, b: _Positions, shifts_cost: bool) -> _Positions:
    """As :func:`best_chains`, of groups [size, G] of one size with rising ``b``: best chain that ends in each match."""
    shift = a - b if shifts_cost else np.zeros_like(a)
    best = np.minimum(shift, 0) + 1
    for last in range(1, len(a)):
        before = best[:last] + np.minimum(shift[last] - shift[:last], 0) + 1
        before[a[:last] > a[last]] = _NONE
        np.maximum(best[last], before.max(axis=0), out=best[last])
    whole: _Positions = (best - np.maximum(shift, 0)).max(axis=0)
    return np.maximum(whole, 0)
