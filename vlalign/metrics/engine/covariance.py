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

_EDGES = 2**23  # sorted at once
_CELLS = 2**20  # of a 0/1 matrix


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
        same, mutual = _common_edges(lists)
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


def _common_edges(lists: Ints) -> tuple[Floats, Floats]:
    """Count equal and opposite edges [L, L] of all pairs of layers.

    Edges are sorted by their two samples. A 0/1 matrix states for each two samples which layers have an edge between
    them, in which direction; the products of its columns are the counts, which float32 holds exactly.
    """
    layers, n, _ = lists.shape
    own = np.arange(n)[:, None]
    counts = np.zeros((2 * layers, 2 * layers))
    parts, step = -(-lists.size // _EDGES), max(1, _CELLS // (2 * layers))
    for part in range(parts):
        keys = []
        for layer, one in enumerate(lists):
            key = np.minimum(one, own) * n
            key += np.maximum(one, own)
            key *= 2 * layers
            key += (one > own) * layers + layer
            keys.append(key.ravel() if parts == 1 else key[(one + own) % parts == part])
        samples, column = np.divmod(np.sort(np.concatenate(keys)), 2 * layers)
        firsts = np.flatnonzero(np.diff(samples, prepend=-1))  # of each two samples
        ends = np.append(firsts[1:], len(samples))
        row = np.repeat(np.arange(len(firsts)), ends - firsts)
        for start in range(0, len(firsts), step):
            here = slice(firsts[start], ends[start : start + step][-1])
            edges = np.zeros((step, 2 * layers), dtype=np.float32)
            edges[row[here] - start, column[here]] = 1.0
            counts += edges.T @ edges
    up, down = slice(layers), slice(layers, None)
    return counts[up, up] + counts[down, down], counts[up, down] + counts[down, up]


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
