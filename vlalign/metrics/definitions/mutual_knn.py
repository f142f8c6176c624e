"""Mutual k-nearest-neighbour alignment: of one pair, of all layer pairs at once, and under row permutations.

``score = mean_i |kNN_X(i) ∩ kNN_Y(i)| / k`` (Huh et al., "The Platonic Representation Hypothesis", arXiv 2405.07987);
its expectation under a random pairing of the rows is ``k / (N - 1)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vlalign.metrics.base import (
    CountMoments,
    Floats,
    Info,
    Ints,
    Moments,
    check_features,
    same_rows,
    whole_number,
)
from vlalign.metrics.engine.covariance import shared_neighbour_moments
from vlalign.metrics.engine.moments import permutation_moments
from vlalign.metrics.engine.neighbour_lists import NeighbourMetric, checked_lists, graph_sums, stacked
from vlalign.metrics.engine.neighbours import knn
from vlalign.metrics.engine.ties import Sided

if TYPE_CHECKING:
    from torch import Tensor

_TABLE_BYTES = 32 * 2**20  # of bit masks [rows, N] held at once
_WORD = 32  # layers per mask word
_NIBBLE, _BYTE = 15, 17  # 15 masks fit a 4-bit counter, 17 such sums fit an 8-bit counter


def mutual_knn(x: ArrayLike, y: ArrayLike, k: int = 10) -> float:
    """Compute the mean overlap of every row's ``k`` nearest neighbours in two representations of the same samples.

    Args:
        x, y: features [N, D1] and [N, D2], rows paired. Neighbours are by inner product: normalise the rows for cosine.
        k: number of neighbours, 1 <= k < N.

    Returns:
        A share in [0, 1]; chance is ``k / (N - 1)``. Ties are broken at random, independently for x and for y, so a
        layer with more than ``k`` identical rows has less than 1 with itself, and constant layers are at chance.

    Raises:
        VlalignError: as :func:`vlalign.metrics.engine.neighbours.knn`, or if the numbers of rows differ.

    >>> import torch
    >>> x = torch.eye(4)[[0, 0, 1, 1]]
    >>> mutual_knn(x, 2 * x, k=1)
    1.0
    """
    k = whole_number(k, "k", "mutual_knn")
    x, y = check_features(x, "x"), check_features(y, "y")
    same_rows(x, y)
    return mutual_knn_from_neighbours(knn(x, k), knn(y, k, side="y"))


def mutual_knn_from_neighbours(nx: Tensor, ny: Tensor) -> float:
    """Compute :func:`mutual_knn` of two neighbour lists [N, k] (each row without repetition)."""
    counts = overlap_counts(nx.unsqueeze(0), ny.unsqueeze(0))
    return float(counts[0, 0] / nx.numel())


def overlap_counts(nx: Tensor, ny: Tensor) -> Ints:
    """Count shared neighbours, summed over samples, of all layer pairs at once.

    Args:
        nx, ny: neighbour lists [Lx, N, k] and [Ly, N, k], each row without repetition.

    Returns:
        int64 [Lx, Ly]; divide by ``N * k`` for the mutual-kNN scores.

    >>> import torch
    >>> nx = torch.tensor([[[1], [0], [0]], [[2], [2], [1]]])
    >>> overlap_counts(nx, nx).tolist()
    [[3, 0], [0, 3]]
    """
    return overlap_counts_permuted(nx, ny, None)[0]


def overlap_counts_permuted(nx: Tensor, ny: Tensor, permutations: Ints | None) -> Ints:
    """Compute :func:`overlap_counts` after the rows of y are permuted, for each permutation.

    No distances are needed: sample i of the permuted y is ``perm[i]`` of y, its neighbours are relabelled by the
    inverse. Exact. For each block of rows a table of bit masks holds which layers of one side have sample j among the
    neighbours of row i; the lists of the other side look their masks up, and the bits are summed in parallel counters.

    Args:
        nx, ny: neighbour lists [Lx, N, k] and [Ly, N, k], each row without repetition.
        permutations: int64 [P, N], each row a permutation of 0..N-1; None for the identity alone.

    Returns:
        int64 [P, Lx, Ly].
    """
    a, b = checked_lists(nx, ny)
    # Either side can be the table; permuting the other side by the inverse gives the same overlaps.
    swap = len(a) * -(-len(b) // _WORD) < len(b) * -(-len(a) // _WORD)
    table, looked_up = (b, a) if swap else (a, b)
    n = table.shape[1]
    count = 1 if permutations is None else len(permutations)
    result = np.zeros((count, len(table), len(looked_up)), dtype=np.int64)
    flat = np.ascontiguousarray(looked_up.transpose(1, 0, 2)).reshape(n, -1)  # [N, L * k]
    rows = min(n, max(1, _TABLE_BYTES // (4 * n)))
    inverse = np.empty(n, dtype=np.int64)
    for start in range(0, n, rows):
        stop = min(n, start + rows)
        tables = [_masks(table[low : low + _WORD, start:stop], n) for low in range(0, len(table), _WORD)]
        base = np.arange(stop - start, dtype=np.int64)[:, None] * n
        index = np.empty((stop - start, flat.shape[1]), dtype=np.int64)
        counter = _BitCounter(stop - start, len(looked_up), table.shape[2])
        for p in range(count):
            if permutations is None:
                index[:] = flat[start:stop]
            else:
                inverse[permutations[p]] = np.arange(n)
                forward, relabel = (inverse, permutations[p]) if swap else (permutations[p], inverse)
                np.take(relabel, flat.take(forward[start:stop], axis=0), out=index, mode="clip")
            np.add(index, base, out=index)
            for word, masks in enumerate(tables):
                low = word * _WORD
                bits = counter.count(masks, index)
                result[p, low : low + _WORD] += bits[: len(table) - low]
    return result.transpose(0, 2, 1) if swap else result


def _masks(lists: Ints, n: int) -> NDArray[np.uint32]:
    """Build flat masks [rows * N]: bit l of entry i * N + j is set if layer l of ``lists`` [L <= 32, rows, k] lists j
    for row i."""
    rows = lists.shape[1]
    masks = np.zeros(rows * n, dtype=np.uint32)
    base = np.arange(rows, dtype=np.int64)[:, None] * n
    for layer, neighbours in enumerate(lists):
        masks[(neighbours + base).ravel()] |= np.uint32(1 << layer)
    return masks


class _BitCounter:
    """Counter of the 32 bits of looked-up masks [rows, L * k] over rows and neighbours, with its buffers made once.

    Masks are added as words: first eight 4-bit counters a word (up to 15 addends), then four 8-bit counters (17 of
    those), so the rows have the shape [15, 17, q].
    """

    def __init__(self, rows: int, layers: int, k: int) -> None:
        self.rows, self.layers, self.k = rows, layers, k
        groups = -(-rows // (_NIBBLE * _BYTE))
        self.masks = np.zeros((_NIBBLE * _BYTE * groups, layers * k), dtype=np.uint32)  # rows past the end stay zero
        self.shifted = np.empty_like(self.masks)
        self.stacked = self.shifted.reshape(_NIBBLE, _BYTE, groups, layers * k)

    def count(self, masks: NDArray[np.uint32], index: Ints) -> Ints:
        """Count how often each bit is set in ``masks[index]``, for each of the L lists: int64 [32, L]."""
        np.take(masks, index, out=self.masks[: self.rows], mode="clip")
        bits = np.empty((4, 8, self.layers), dtype=np.int64)
        for low in range(4):
            np.right_shift(self.masks, np.uint32(low), out=self.shifted)
            np.bitwise_and(self.shifted, np.uint32(0x11111111), out=self.shifted)
            nibbles = np.add.reduce(self.stacked, axis=0, dtype=np.uint32)
            for high in (0, 4):
                lanes = np.add.reduce((nibbles >> np.uint32(high)) & np.uint32(0x0F0F0F0F), axis=0, dtype=np.uint32)
                # "<u4" puts counter b of a word in byte b, whatever the machine
                parts = lanes.astype("<u4", copy=False).view(np.uint8).reshape(-1, self.layers, self.k, 4)
                bits[:, low + high] = parts.sum(axis=(0, 2), dtype=np.int64).T
        return bits.reshape(32, self.layers)


@dataclass(frozen=True)
class MutualKnn(NeighbourMetric):
    """The metric as the scorer uses it: neighbour lists once per layer, then all layer pairs together."""

    name: ClassVar[str] = "mutual_knn"
    info: ClassVar[Info] = Info(
        summary="shared k nearest neighbours, mean over samples: |kNN_X(i) ∩ kNN_Y(i)| / k",
        range="[0, 1]; chance k / (N − 1)",
        invariances="rotation and isotropic scaling",
        cost="N²·D per layer, N·k per pair",
        source="Huh et al. 2024 (arXiv 2405.07987)",
    )

    def grid(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> Floats:
        return overlap_counts(*stacked(x, y)) / (len(x[0].x) * self.k)

    def permuted(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]], permutations: Ints) -> Floats:
        return overlap_counts_permuted(*stacked(x, y), permutations) / (len(x[0].x) * self.k)

    def moments(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> Moments:
        """Compute the exact mean k / (N - 1) and sd, which depends on how often samples are neighbours of others."""
        n = len(x[0].x)
        mean, sd = permutation_moments([graph_sums(layer.x) for layer in x], [graph_sums(layer.y) for layer in y], n)
        return Moments(mean / (n * self.k), sd / (n * self.k))

    def count_moments(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> CountMoments:
        """Compute exact mean and covariance of the shared neighbours of all layer pairs, in the order of rows."""
        mean, covariance = shared_neighbour_moments(*checked_lists(*stacked(x, y)))
        return CountMoments(mean.ravel(), covariance.reshape(mean.size, mean.size), len(x[0].x) * self.k)
