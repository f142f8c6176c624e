"""Symmetric matrices of sample pairs [N, N], compared entry by entry: Gram matrices and dissimilarities.

A prepared layer is its matrix after centring, so that a metric of this kind is the cosine of two matrices,
``Σ_ij A_ij B_ij / (‖A‖ ‖B‖)``: all layer pairs are one matrix product, under row permutations too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Ints, Metric, Moments, NullMoments, take_rows
from vlalign.metrics.engine.moments import PairSums, permutation_moments
from vlalign.metrics.engine.symmetric import SymmetricSums, symmetric_moments

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK_ENTRIES = 2**16  # of a matrix in one product; partial sums are added up in float64
_PERMUTED_BYTES = 2**27  # of permuted blocks held at once
_EXACT_SAMPLES = 1024  # whose correlations and skewness a null has; of more, as many random ones
_LIKE = 0.8, 1.25  # standard deviations from some of the samples, relative to the exact ones
_MOST_SPREAD = 2  # of the sizes of all rows of a kernel, relative to that of the random samples


@dataclass(frozen=True)
class PairMatrix:
    """A centred matrix of sample pairs, its Frobenius norm, and its sums after it is divided by that."""

    matrix: Tensor  # [N, N], symmetric
    norm: float  # 0 where there is nothing to compare
    sums: PairSums

    @classmethod
    def of(cls, matrix: Tensor, smallest: float = 0.0, rows: Floats | None = None) -> PairMatrix:
        """Make one of a symmetric ``matrix`` [N, N]; all zero where its norm is not above ``smallest``.

        ``rows``: its row sums without the diagonal, where they are known.
        """
        norm = frobenius_norm(matrix)
        if not norm > smallest:
            return cls(matrix.zero_(), 0.0, PairSums())
        diagonal = matrix.diagonal().double().cpu().numpy()
        if rows is None:
            rows = matrix.sum(dim=1, dtype=torch.float64).cpu().numpy() - diagonal
        squares = norm**2 - float(diagonal @ diagonal)
        return cls(matrix, norm, PairSums.of(rows, rows, squares, squares, diagonal).scaled(1 / norm))

    def reorder(self, order: Ints) -> PairMatrix:
        """Return the matrix of the samples in another order."""
        index = torch.from_numpy(order).to(self.matrix.device)
        return PairMatrix(self.matrix[index][:, index], self.norm, self.sums)


@dataclass(frozen=True)
class PairMetric(Metric):
    """A metric that is the cosine of two matrices of sample pairs; a prepared layer is its :class:`PairMatrix`.

    Where a subclass prepares something else for large N, it also overrides ``holds``, ``grid`` and ``moments``.
    """

    def holds(self, n: int, widths: Sequence[int]) -> int:
        """Return the bytes of one float32 matrix per layer."""
        return 4 * n * n * len(widths)

    def reorder(self, prepared: Any, order: Ints) -> Any:
        return prepared.reorder(order)

    def grid(self, x: Sequence[Any], y: Sequence[Any]) -> Floats:
        return cosines(x, y)

    def permuted(self, x: Sequence[Any], y: Sequence[Any], permutations: Ints) -> Floats:
        if isinstance(x[0], PairMatrix):
            return cosines_permuted(x, y, permutations)
        return super().permuted(x, y, permutations)

    def moments(self, x: Sequence[Any], y: Sequence[Any]) -> Moments | None:
        """Compute exact mean and sd, those of the Mantel test."""
        return Moments(*permutation_moments([side.sums for side in x], [side.sums for side in y], len(x[0].matrix)))

    def null_moments(self, x: Sequence[Any], y: Sequence[Any]) -> NullMoments | None:
        """Compute mean and covariance of the values of all layer pairs under a random pairing, and their skewness.

        They are exact up to 1,024 samples. Beyond, mean and variance are, and correlations and skewness are those of
        1,024 random samples, if these are like all of them.
        """
        moments = self.moments(x, y)
        if moments is None or moments.sd is None:
            return None
        n = len(x[0].matrix if isinstance(x[0], PairMatrix) else x[0].rows)
        rows = np.arange(n)
        if n > _EXACT_SAMPLES:
            rows = np.sort(np.random.default_rng(n).choice(n, _EXACT_SAMPLES, replace=False))
        of_x, of_y = (SymmetricSums.of([self._some_samples(layer, rows) for layer in side], n) for side in (x, y))
        covariance, third, kurtosis = symmetric_moments(of_x, of_y, n)
        sd, size = moments.sd.ravel(), third.size
        covariance = covariance.reshape(size, size)
        estimated = np.sqrt(np.diag(covariance))
        varies = (sd > 0) & (estimated > 0)
        ratio = np.divide(sd, estimated, out=np.zeros(size), where=varies)
        skewness = np.divide(third.ravel(), estimated**3, out=np.zeros(size), where=varies)
        alike = all(_LIKE[0] < one < _LIKE[1] for one in ratio[varies])
        alike = alike and all(_is_like_all(layer, rows) for layer in (*x, *y))
        heaviness = (3 + kurtosis.ravel()) / (3 + 1.5 * skewness**2)  # than a Pearson type III distribution
        return NullMoments(
            moments.mean.ravel(), covariance * np.outer(ratio, ratio), skewness,
            heaviness=float(heaviness.max()) if alike else np.inf,
        )  # fmt: skip

    def _some_samples(self, layer: Any, rows: Ints) -> PairMatrix:
        """Return the matrix of some samples."""
        if isinstance(layer, PairMatrix):
            return layer if len(rows) == len(layer.matrix) else self._centre(layer.reorder(rows).matrix)
        return self.prepare(take_rows(layer.features.layer, rows))

    def _centre(self, matrix: Tensor) -> PairMatrix:
        """Prepare a part of a prepared matrix as the matrix of its samples alone; it may be changed in place."""
        return PairMatrix.of(matrix)


def _is_like_all(layer: Any, rows: Ints) -> bool:
    """Return whether no sample outside ``rows`` is far larger in a kernel than those inside."""
    if isinstance(layer, PairMatrix):
        sizes = layer.matrix.square().sum(dim=1, dtype=torch.float64).cpu().numpy()
    else:
        sizes = layer.diagonal
    spread, of_rows = (np.square(some).mean() / max(some.mean() ** 2, 1e-300) for some in (sizes, sizes[rows]))
    return bool(spread < _MOST_SPREAD * of_rows)


def frobenius_norm(matrix: Tensor) -> float:
    """Compute the Frobenius norm of [N, M], summed in float64 over blocks of rows."""
    norm = sum(float(part.square().sum(dtype=torch.float64)) for part in matrix.split(256)) ** 0.5
    if 1e-15 < norm < 1e15:
        return norm
    peak = float(matrix.abs().max())  # squares that the dtype cannot hold
    if not peak:
        return 0.0
    return float(peak * sum(float((part.double() / peak).square().sum()) for part in matrix.split(64)) ** 0.5)


def cosines(x: Sequence[PairMatrix], y: Sequence[PairMatrix]) -> Floats:
    """Compute ``Σ_ij A_ij B_ij / (‖A‖ ‖B‖)`` [Lx, Ly] of all pairs of matrices; 0 where one of them is 0."""
    return cosines_permuted(x, y, None)[0]


def cosines_permuted(x: Sequence[PairMatrix], y: Sequence[PairMatrix], permutations: Ints | None) -> Floats:
    """Compute ``Σ_ij A_ij B_π(i)π(j) / (‖A‖ ‖B‖)`` [P, Lx, Ly] for each permutation π; None is the identity alone.

    The side with fewer layers is permuted (the other one by the inverse gives the same sum), one triangle at a time.
    """
    if len(x) < len(y) and permutations is not None:
        inverse = np.argsort(permutations, axis=1)
        return cosines_permuted(y, x, inverse).transpose(0, 2, 1)
    a, b = [side.matrix for side in x], [side.matrix for side in y]
    n, device = len(a[0]), a[0].device
    count = 1 if permutations is None else len(permutations)
    # the permuted ones in float32 where the matrices are: they need fewer digits and are many
    dtype = torch.promote_types(a[0].dtype, b[0].dtype) if permutations is not None else torch.float64
    orders = None if permutations is None else torch.from_numpy(permutations).to(device)
    result = torch.zeros((len(a), count * len(b)), dtype=torch.float64, device=device)
    step = max(1, _BLOCK_ENTRIES // n)
    for start in range(0, n, step):
        stop = min(n, start + step)
        left = torch.stack([matrix[start:stop, start:] for matrix in a]).to(dtype)
        left[:, :, stop - start :] *= 2  # the other triangle
        left = left.flatten(1)
        per = max(1, _PERMUTED_BYTES // (left[0].numel() * left.element_size() * len(b)))
        for first in range(0, count, per):
            if orders is None:
                right = torch.stack([matrix[start:stop, start:] for matrix in b])
            else:
                right = torch.stack(
                    [
                        matrix[order[start:stop]].index_select(1, order[start:])
                        for order in orders[first : first + per]
                        for matrix in b
                    ]
                )
            columns = slice(first * len(b), first * len(b) + len(right))
            result[:, columns] += (left @ right.to(dtype).flatten(1).T).double()
    products: Floats = result.view(len(a), count, len(b)).transpose(0, 1).cpu().numpy()
    norms = np.outer([side.norm for side in x], [side.norm for side in y])
    return np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
