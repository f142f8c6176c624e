"""Exact covariance, over all row permutations, of the shared neighbours of all layer pairs.

For neighbour graphs A of the layers of x, B of those of y, and a uniformly random permutation π, the count of a layer
pair is ``Z_ab = Σ_ij A_ij B_π(i)π(j)``. The expectation of ``Z_ab Z_cd`` depends only on which indices of two entries
coincide (as in :mod:`vlalign.metrics.engine.moments`, whose sums are those of one graph with itself), so sums of all
pairs of layers of *one* side give the covariance of the whole grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats, Ints

_BLOCK = 2**24  # comparisons of neighbours, or entries of adjacency matrices, at once
_DENSE = 4  # times k² samples, up to which adjacency matrices are faster than comparisons of lists


@dataclass(frozen=True)
class CrossSums:
    """Sums [L, L] of all pairs of graphs P, Q of one side, and the edges [L] of each."""

    edges: Floats  # |P|
    same: Floats  # q = Σ P_ij Q_ij
    mutual: Floats  # M = Σ P_ij Q_ji
    rows: Floats  # rr = Σ_i out_P(i) out_Q(i) - q
    columns: Floats  # cc = Σ_j in_P(j) in_Q(j) - q
    row_column: Floats  # rc = Σ_i out_P(i) in_Q(i) - M
    column_row: Floats  # cr = Σ_i in_P(i) out_Q(i) - M

    @classmethod
    def of(cls, lists: Ints) -> CrossSums:
        """Compute the sums of neighbour lists [L, N, k] without repeated neighbours and without the sample itself."""
        layers, n, k = lists.shape
        indegree = np.stack([np.bincount(one.ravel(), minlength=n) for one in lists]).astype(np.float64)
        same, mutual = (_of_matrices if n <= _DENSE * k * k else _of_lists)(lists)
        outside = np.full((layers, layers), float(n) * k * k)  # Σ_i out_P(i) out_Q(i), and of out and in
        return cls(
            np.full(layers, float(n * k)), same, mutual, outside - same, indegree @ indegree.T - same,
            outside - mutual, outside - mutual,
        )  # fmt: skip

    @property
    def apart(self) -> Floats:
        """Σ P_ij Q_kl over four different samples."""
        near = self.same + self.mutual + self.rows + self.columns + self.row_column + self.column_row
        return np.asarray(np.outer(self.edges, self.edges) - near, dtype=np.float64)


def _of_lists(lists: Ints) -> tuple[Floats, Floats]:
    """Count equal and opposite edges [L, L] by comparing the lists [L, N, k] of each sample."""
    layers, n, k = lists.shape
    same, mutual = np.zeros((layers, layers)), np.zeros((layers, layers))
    step = max(1, _BLOCK // (k * k))
    for start in range(0, n, step):
        rows = np.arange(start, min(n, start + step))
        for a in range(layers):
            own = lists[a, rows]
            for b in range(layers):
                if b >= a:
                    same[a, b] += np.count_nonzero(own[:, :, None] == lists[b, rows][:, None, :])
                back = lists[b, own.ravel()].reshape(len(rows), -1)
                mutual[a, b] += np.count_nonzero(back == rows[:, None])
    return np.triu(same) + np.triu(same, 1).T, mutual


def _of_matrices(lists: Ints) -> tuple[Floats, Floats]:
    """Count as :func:`_of_lists`, by products of blocks of adjacency matrices, whose counts float32 holds exactly."""
    layers, n, k = lists.shape
    same, mutual = np.zeros((layers, layers)), np.zeros((layers, layers))
    by_neighbour = [np.argsort(one, axis=None, kind="stable") for one in lists]
    step = max(1, _BLOCK // (layers * n))
    for start in range(0, n, step):
        stop = min(n, start + step)
        edges, opposite = np.zeros((2, layers, stop - start, n), dtype=np.float32)
        for a, (one, order) in enumerate(zip(lists, by_neighbour, strict=True)):
            np.put_along_axis(edges[a], one[start:stop], 1.0, axis=1)
            ends = one.ravel()[order]
            low, high = np.searchsorted(ends, (start, stop))
            opposite[a, ends[low:high] - start, order[low:high] // k] = 1.0
        edges, opposite = edges.reshape(layers, -1), opposite.reshape(layers, -1)
        same += edges @ edges.T
        mutual += edges @ opposite.T
    return same, mutual


def shared_neighbour_moments(x: Ints, y: Ints) -> tuple[Floats, Floats]:
    """Compute mean and covariance of the shared neighbours of all layer pairs over all permutations of the rows of y.

    Args:
        x: neighbour lists [Lx, N, k], N >= 4, of different neighbours that are not the sample itself.
        y: those of the other side [Ly, N, k].

    Returns:
        Mean count [Lx, Ly], and covariance [Lx, Ly, Lx, Ly] of the counts of layer pairs.

    Raises:
        VlalignError: fewer than 4 samples.

    Mantel 1967, "The detection of disease clustering and a generalized regression approach", for one pair of graphs.
    """
    n = x.shape[1]
    if n < 4:
        raise VlalignError(f"the covariance of shared neighbours needs at least 4 samples, got {n}")
    a, b = CrossSums.of(x), CrossSums.of(y)
    n2 = float(n) * (n - 1)
    n3 = n2 * (n - 2)
    n4 = n3 * (n - 3)
    terms = [
        (a.same, b.same, n2), (a.mutual, b.mutual, n2), (a.rows, b.rows, n3), (a.columns, b.columns, n3),
        (a.row_column, b.row_column, n3), (a.column_row, b.column_row, n3), (a.apart, b.apart, n4),
    ]  # fmt: skip
    mean = np.outer(a.edges, b.edges) / n2
    second = sum(np.einsum("ac,bd->abcd", p / count, q) for p, q, count in terms)
    return mean, np.asarray(second - mean[:, :, None, None] * mean, dtype=np.float64)
