"""Exact mean and variance, over all row permutations, of the inner product of two matrices of sample pairs.

For matrices A, B [N, N] and a uniformly random permutation π, ``Z = Σ_ij A_ij B_π(i)π(j)``. Its moments need a few sums
of each matrix (Mantel 1967, in the general form for unsymmetric matrices): a z-value costs nothing beside the score.
Neighbour graphs, Gram matrices and dissimilarities are all such matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlalign.metrics.base import Floats


@dataclass(frozen=True)
class PairSums:
    """The sums of one matrix A [N, N] that the moments need: of entries off the diagonal, and of the diagonal a_i.

    Without arguments those of a matrix of zeros.
    """

    total: float = 0.0  # S = Σ A_ij
    squares: float = 0.0  # q = Σ A_ij²
    mutual: float = 0.0  # M = Σ A_ij A_ji
    rows: float = 0.0  # rr = Σ_i (Σ_j A_ij)² - q
    columns: float = 0.0  # cc = Σ_j (Σ_i A_ij)² - q
    crossed: float = 0.0  # rc = Σ_i (Σ_j A_ij)(Σ_j A_ji) - M
    trace: float = 0.0  # Σ a_i
    trace_squares: float = 0.0  # Σ a_i²
    trace_rows: float = 0.0  # Σ_i a_i Σ_j A_ij
    trace_columns: float = 0.0  # Σ_i a_i Σ_j A_ji

    @classmethod
    def of(
        cls, rows: Floats, columns: Floats, squares: float, mutual: float, diagonal: Floats | None = None
    ) -> PairSums:
        """Make them of row and column sums [N], Σ A_ij² and Σ A_ij A_ji without the diagonal, and the diagonal [N]."""
        more = () if diagonal is None else (diagonal.sum(), diagonal @ diagonal, diagonal @ rows, diagonal @ columns)
        return cls(
            float(rows.sum()),
            squares,
            mutual,
            float(rows @ rows) - squares,
            float(columns @ columns) - squares,
            float(rows @ columns) - mutual,
            *(float(value) for value in more),
        )

    def scaled(self, factor: float) -> PairSums:
        """Return the sums of ``factor * A``."""
        linear = {"total", "trace"}
        return PairSums(**{k: v * (factor if k in linear else factor**2) for k, v in self.__dict__.items()})


def permutation_moments(a: Sequence[PairSums], b: Sequence[PairSums], n: int) -> tuple[Floats, Floats]:
    """Compute mean and sd [len(a), len(b)] of ``Σ_ij A_ij B_π(i)π(j)`` over all permutations π of ``n`` >= 4 samples.

    The expectation of a product of two entries depends only on which indices coincide, hence the terms: the same entry,
    the opposite entry, a shared row, a shared column, one of each, no shared index; and likewise with the diagonal.
    """

    def column(name: str, side: Sequence[PairSums]) -> Floats:
        return np.array([getattr(sums, name) for sums in side], dtype=np.float64)

    def apart(side: Sequence[PairSums]) -> Floats:  # Σ A_ij A_kl over four different samples
        near = sum(column(name, side) for name in ("squares", "mutual", "rows", "columns", "crossed", "crossed"))
        return np.asarray(column("total", side) ** 2 - near, dtype=np.float64)

    def diagonal_apart(side: Sequence[PairSums]) -> Floats:  # Σ a_l A_ij over three different samples
        whole = column("trace", side) * column("total", side)
        return whole - column("trace_rows", side) - column("trace_columns", side)

    def two_diagonals(side: Sequence[PairSums]) -> Floats:  # Σ a_i a_j over two different samples
        return column("trace", side) ** 2 - column("trace_squares", side)

    def outer(name: str) -> Floats:
        return np.outer(column(name, a), column(name, b))

    n2 = float(n) * (n - 1)
    n3 = n2 * (n - 2)
    n4 = n3 * (n - 3)
    mean = outer("total") / n2 + outer("trace") / n
    second = (outer("squares") + outer("mutual")) / n2
    second += (outer("rows") + outer("columns") + 2 * outer("crossed")) / n3
    second += np.outer(apart(a), apart(b)) / n4
    second += outer("trace_squares") / n + np.outer(two_diagonals(a), two_diagonals(b)) / n2
    second += 2 * (outer("trace_rows") + outer("trace_columns")) / n2
    second += 2 * np.outer(diagonal_apart(a), diagonal_apart(b)) / n3
    return mean, np.sqrt(np.maximum(second - mean**2, 0.0))
