"""Matches between the neighbour lists of many layers: samples in both lists of a row, with their positions.

For each block of rows a table holds at which position the list of row i in layer l has sample j; the lists of the other
side look their entries up, all layers of the table at once. Random pairings match in about k / N of the entries, so
permutations cost little beside the look-ups; the table of a block serves all of them.

Matches whose positions rise in both lists form a chain. The entries of a list are distinct, so a longest chain is a
longest common subsequence. A cheapest alignment of two lists of length k is a chain too: between two matches of it
that are ``p`` and ``q`` entries apart, ``max(p, q) - 1`` edits are needed. With the shift ``d = a - b`` of a match, m
matches save ``m`` edits of the k that lists without matches need, less every fall of ``d`` along the chain, which
starts and ends at 0.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vlalign.metrics.base import Floats, Ints
from vlalign.metrics.engine.neighbour_lists import Lists, NeighbourMetric, checked_lists, of_sides
from vlalign.metrics.engine.ties import Sided

if TYPE_CHECKING:
    from torch import Tensor

_TABLE_BYTES = 32 * 2**20  # of positions [rows, N, layers] held at once
_LOOKUP_BYTES = 2**20  # of positions looked up at once, which bounds the matches of one block
_NO_CHAIN = -(2**30)  # worth of matches that are no chain
_Positions = NDArray[np.int32]


@dataclass(frozen=True)
class Matches:
    """Entries in both lists: ``x_list[x][row, a] == y_list[y][row, b]``, in no particular order."""

    permutation: int  # which of the permutations
    row: Ints  # [M] row of x, and of the permuted y
    x: Ints  # [M] layer of x
    y: Ints  # [M] layer of y
    a: Ints  # [M] position in the list of x, from 0
    b: Ints  # [M] position in the list of y


@dataclass(frozen=True)
class Groups:
    """Matches of one row and layer pair together, ordered by their position in the list of y."""

    row: Ints  # [G] row of x, and of the permuted y
    pair: Ints  # [G] layer of x * Ly + layer of y
    first: Ints  # [G] where the group begins in a and b
    count: Ints  # [G] its matches, at least 1
    a: Ints  # [M] positions in the list of x
    b: Ints  # [M] positions in the list of y


def find_matches(nx: Lists, ny: Lists, permutations: Ints | None = None, back: bool = False) -> Iterator[Matches]:
    """Yield all matches between the lists of all layer pairs, after the rows of y are permuted, in blocks of rows.

    All matches of one row come in the same block. Memory is bounded whatever N, except for the copy of the lists.

    Args:
        nx, ny: neighbour lists [Lx, N, k] and [Ly, N, k], each row without repetition.
        permutations: int64 [P, N], each row a permutation of 0..N-1: sample i of the permuted y is ``perm[i]`` of y.
            None for the identity alone.
        back: reverse the edges of x: matches are then ``j = y_list[y][row, b]`` with ``x_list[x][j, a] == row``.

    Raises:
        VlalignError: if the lists are not integer [L, N, k] of row numbers, or differ in N or k.

    >>> import torch
    >>> nx, ny = torch.tensor([[[1, 2], [0, 2], [0, 1]]]), torch.tensor([[[2, 1], [0, 2], [0, 1]]])
    >>> matches = next(find_matches(nx, ny))
    >>> sorted(zip(matches.row.tolist(), matches.a.tolist(), matches.b.tolist()))
    [(0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 1), (2, 0, 0), (2, 1, 1)]
    """
    lists = [np.stack(side).astype(np.int64) for side in checked_lists(nx, ny)]
    # Either side can be the table, the other one permuted by the inverse; reversed edges must be those of the table.
    swap = len(lists[0]) < len(lists[1]) and not back
    table, other = lists[::-1] if swap else lists
    layers, n, k = table.shape
    dtype = np.min_scalar_type(k)
    lanes = 8 // dtype.itemsize
    words = -(-layers // lanes)
    width = other.shape[0] * k
    rows = max(1, min(n, _TABLE_BYTES // (8 * words * n), _LOOKUP_BYTES // (8 * words * width)))
    flat = np.ascontiguousarray(other.transpose(1, 0, 2)).reshape(n, width)
    positions = np.zeros((rows * n, words * lanes), dtype=dtype)
    by_word = positions.view(np.uint64)
    looked_up = np.empty((rows * width, words), dtype=np.uint64)
    inverse = np.arange(n)
    inverses = None
    if permutations is not None:
        inverses = np.empty_like(permutations)
        np.put_along_axis(inverses, permutations, inverse[None], axis=1)
    for start in range(0, n, rows):
        stop = min(n, start + rows)
        base = np.arange(stop - start)[:, None] * n
        filled = _fill(positions, table, start, stop, back)
        for p in range(1 if permutations is None else len(permutations)):
            if permutations is None or inverses is None:
                index = flat[start:stop] + base
            else:
                inverse = inverses[p]
                forward, relabel = (inverse, permutations[p]) if swap else (permutations[p], inverse)
                index = relabel.take(flat.take(forward[start:stop], axis=0)) + base
            part = looked_up[: index.size]
            by_word.take(index.ravel(), axis=0, out=part, mode="clip")
            hit = np.flatnonzero(part.ravel() != 0)
            entries = part.ravel()[hit].view(dtype)
            entry = np.flatnonzero(entries != 0)
            word = hit[entry // lanes]
            place, layer = word // words, word % words * lanes + entry % lanes
            local, place = place // width, place % width
            row = inverse[start + local] if swap and permutations is not None else start + local
            of_table, of_other = entries[entry].astype(np.int64) - 1, place % k
            if swap:
                yield Matches(p, row, place // k, layer, of_other, of_table)
            else:
                yield Matches(p, row, layer, place // k, of_table, of_other)
        for layer, at in enumerate(filled):
            positions[at, layer] = 0


def _fill(positions: NDArray[Any], table: Ints, start: int, stop: int, back: bool) -> list[Ints]:
    """Write position + 1 of sample j in the list of row i (or of i in that of j) at [(i - start) * N + j, layer]."""
    n, k = table.shape[1:]
    filled = []
    values = np.broadcast_to(np.arange(1, k + 1), (n, k))
    for layer, lists in enumerate(table):
        if back:
            inside = np.nonzero((lists >= start) & (lists < stop))
            at, value = (lists[inside] - start) * n + inside[0], values[inside]
        else:
            at = (lists[start:stop] + np.arange(stop - start)[:, None] * n).ravel()
            value = values[: stop - start].ravel()
        positions[at, layer] = value
        filled.append(at)
    return filled


def group(matches: Matches, pairs: tuple[int, int], k: int) -> Groups:
    """Group the matches by row and layer pair; ``pairs`` are the numbers of layers (Lx, Ly)."""
    lx, ly = pairs
    keys = np.sort((((matches.row * lx + matches.x) * ly + matches.y) * k + matches.b) * k + matches.a)
    triple, place = keys // (k * k), keys % (k * k)
    first = np.flatnonzero(np.diff(triple, prepend=-1))
    count = np.diff(first, append=len(keys))
    row, pair = np.divmod(triple[first], lx * ly)
    return Groups(row, pair, first, count, a=place % k, b=place // k)


def best_chains(groups: Groups, shifts_cost: bool) -> Floats:
    """Compute the worth [G] of each group's best chain: its length, less the falls of its shift if ``shifts_cost``.

    Without cost this is the length of the longest common subsequence, with it k minus the Levenshtein distance.
    """
    worth = np.zeros(len(groups.count))
    for size in np.flatnonzero(np.bincount(groups.count)):  # groups of one size together
        chosen = np.flatnonzero(groups.count == size)
        at = groups.first[chosen] + np.arange(size)[:, None]
        worth[chosen] = _best(groups.a[at].astype(np.int32), groups.b[at].astype(np.int32), shifts_cost)
    return worth


def _best(a: _Positions, b: _Positions, shifts_cost: bool) -> _Positions:
    """Compute :func:`best_chains` of groups [size, G] of one size with rising ``b``."""
    shift = a - b if shifts_cost else np.zeros_like(a)
    best = np.minimum(shift, 0) + 1  # best chain that ends in each match
    for last in range(1, len(a)):
        before = best[:last] + np.minimum(shift[last] - shift[:last], 0) + 1
        before[a[:last] > a[last]] = _NO_CHAIN
        np.maximum(best[last], before.max(axis=0), out=best[last])
    whole: _Positions = (best - np.maximum(shift, 0)).max(axis=0)
    return np.maximum(whole, 0)


@dataclass(frozen=True)
class MatchMetric(NeighbourMetric):
    """A metric that is a mean over rows of a function of the row's matches, 0 where it has no matches."""

    back: ClassVar[bool] = False  # reverse the edges of x

    @abstractmethod
    def of_groups(self, groups: Groups) -> Floats:
        """Compute the value [G] of each row and layer pair that has matches."""

    def grid(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> Floats:
        return self._values(x, y, None)[0]

    def permuted(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]], permutations: Ints) -> Floats:
        return self._values(x, y, permutations)

    def per_sample(self, x: Sided[Tensor], y: Sided[Tensor]) -> Floats:
        values = np.zeros(len(x.x))
        for matches in find_matches([x.x], [y.y], back=self.back):
            groups = group(matches, (1, 1), self.k)
            values[groups.row] = self.of_groups(groups)
        return values

    def _values(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]], permutations: Ints | None) -> Floats:
        lx, ly, n = len(x), len(y), len(x[0].x)
        sums = np.zeros((1 if permutations is None else len(permutations), lx * ly))
        for matches in find_matches(*of_sides(x, y), permutations, self.back):
            groups = group(matches, (lx, ly), self.k)
            sums[matches.permutation] += np.bincount(groups.pair, self.of_groups(groups), minlength=lx * ly)
        return sums.reshape(-1, lx, ly) / n
