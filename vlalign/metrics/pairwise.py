"""Symmetric matrices of sample pairs [N, N], compared entry by entry: Gram matrices and dissimilarities.

A prepared layer is its matrix after centring, scaled to Frobenius norm 1, so that a metric of this kind is the plain
inner product ``Σ_ij A_ij B_ij``: all layer pairs are one matrix product, under row permutations too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vlalign.metrics.base import Floats, Ints
from vlalign.metrics.moments import PairSums, permutation_moments

_BLOCK_ENTRIES = 2**16  # of a matrix in one product; partial sums are added up in float64
_PERMUTED_BYTES = 2**27  # of permuted blocks held at once


@dataclass(frozen=True)
class PairMatrix:
    """A matrix of sample pairs of Frobenius norm 1 (or zero, where there is nothing to compare), and its sums."""

    matrix: Tensor  # [N, N], symmetric
    sums: PairSums

    @classmethod
    def unit(cls, matrix: Tensor, dtype: torch.dtype, smallest: float = 0.0) -> PairMatrix:
        """Scale a symmetric ``matrix`` to norm 1, in ``dtype``; all zero where its norm is not above ``smallest``."""
        norm = frobenius_norm(matrix)
        if not norm > smallest:
            zeros = torch.zeros_like(matrix, dtype=dtype)
            return cls(zeros, PairSums(*[0.0] * 6))
        matrix = matrix.to(dtype).div_(norm) if matrix.dtype != dtype else matrix / norm
        matrix /= frobenius_norm(matrix)  # again: rounding to the smaller dtype moved it a little
        diagonal = matrix.diagonal().double()
        rows = (matrix.sum(dim=1, dtype=torch.float64) - diagonal).cpu().numpy()
        squares = 1.0 - float(diagonal @ diagonal)
        return cls(matrix, PairSums.of(rows, rows, squares, squares, diagonal.cpu().numpy()))

    def reorder(self, order: Ints) -> PairMatrix:
        """The matrix of the samples in another order."""
        index = torch.from_numpy(order).to(self.matrix.device)
        return PairMatrix(self.matrix[index][:, index], self.sums)


def frobenius_norm(matrix: Tensor) -> float:
    """Frobenius norm, summed in float64."""
    parts = [torch.linalg.vector_norm(part, dtype=torch.float64) for part in matrix.split(256)]
    return float(torch.stack(parts).square().sum().sqrt())


def inner_products(x: Sequence[PairMatrix], y: Sequence[PairMatrix]) -> Floats:
    """``Σ_ij A_ij B_ij`` [Lx, Ly] of all pairs of matrices."""
    return inner_products_permuted(x, y, None)[0]


def inner_products_permuted(x: Sequence[PairMatrix], y: Sequence[PairMatrix], permutations: Ints | None) -> Floats:
    """``Σ_ij A_ij B_π(i)π(j)`` [P, Lx, Ly] for each permutation π; None stands for the identity alone.

    The side with fewer layers is permuted (the other one by the inverse gives the same sum), one triangle at a time.
    """
    if len(x) < len(y) and permutations is not None:
        inverse = np.argsort(permutations, axis=1)
        return inner_products_permuted(y, x, inverse).transpose(0, 2, 1)
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
    return products


def product_moments(x: Sequence[PairMatrix], y: Sequence[PairMatrix]) -> tuple[Floats, Floats]:
    """Exact mean and sd [Lx, Ly] of the inner products under a random pairing of the samples."""
    return permutation_moments([side.sums for side in x], [side.sums for side in y], len(x[0].matrix))
