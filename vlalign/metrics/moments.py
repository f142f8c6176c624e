"""Exact mean and variance, over all row permutations, of the inner product of two matrices of sample pairs.

For matrices A, B [N, N] with zero diagonal and a uniformly random permutation π, ``Z = Σ_ij A_ij B_π(i)π(j)``. Its
moments need six sums of each matrix (Mantel 1967, in the general form for unsymmetric matrices), so a z-value costs
nothing beside the score. Neighbour graphs, centred Gram matrices and dissimilarities are all such matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlalign.metrics.base import Floats


@dataclass(frozen=True)
class PairSums:
    """Sums of one matrix A [N, N] with zero diagonal that the moments are made of."""

    total: float  # S = Σ A_ij
    squares: float  # q = Σ A_ij²
    mutual: float  # M = Σ A_ij A_ji
    rows: float  # rr = Σ_i (Σ_j A_ij)² - q
    columns: float  # cc = Σ_j (Σ_i A_ij)² - q
    crossed: float  # rc = Σ_i (Σ_j A_ij)(Σ_j A_ji) - M

    @classmethod
    def of(cls, rows: Floats, columns: Floats, squares: float, mutual: float) -> PairSums:
        """From row sums [N], column sums [N], Σ A_ij² and Σ A_ij A_ji."""
        return cls(
            total=float(rows.sum()),
            squares=squares,
            mutual=mutual,
            rows=float(rows @ rows) - squares,
            columns=float(columns @ columns) - squares,
            crossed=float(rows @ columns) - mutual,
        )


def permutation_moments(a: Sequence[PairSums], b: Sequence[PairSums], n: int) -> tuple[Floats, Floats]:
    """Mean and sd [len(a), len(b)] of ``Σ_ij A_ij B_π(i)π(j)`` over all permutations π of ``n`` >= 4 samples.

    The expectation of a product of two entries depends only on which indices coincide, hence the terms: the same entry,
    the opposite entry, a shared row, column, or one of each, and no shared index.
    """

    def column(name: str, side: Sequence[PairSums]) -> Floats:
        return np.array([getattr(sums, name) for sums in side], dtype=np.float64)

    def apart(side: Sequence[PairSums]) -> Floats:
        total, rest = column("total", side), np.zeros(len(side))
        for name, times in (("squares", 1), ("mutual", 1), ("rows", 1), ("columns", 1), ("crossed", 2)):
            rest += times * column(name, side)
        return total**2 - rest

    def outer(name: str) -> Floats:
        return np.outer(column(name, a), column(name, b))

    n2 = float(n) * (n - 1)
    n3 = n2 * (n - 2)
    n4 = n3 * (n - 3)
    mean = outer("total") / n2
    second = (outer("squares") + outer("mutual")) / n2
    second += (outer("rows") + outer("columns") + 2 * outer("crossed")) / n3
    second += np.outer(apart(a), apart(b)) / n4
    return mean, np.sqrt(np.maximum(second - mean**2, 0.0))
