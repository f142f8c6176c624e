"""Moments, over all row permutations, of the inner products of symmetric matrices of sample pairs.

A symmetric matrix A [N, N] is split into ``A_ij = U_ij + α_i + α_j + m`` for i ≠ j and ``A_ii = d_i + d``, where the
rows of U, and α and d, sum to 0 (U-centring, Székely and Rizzo 2014, arXiv 1310.2926). For matrices A of x, B of y and
a uniformly random permutation π, ``Z = Σ_ij A_ij B_π(i)π(j)`` is then a constant, plus a linear part
``Σ_i u_i · v_π(i)`` with ``u_i = (sqrt(2 (N - 2)) α_i, d_i)``, plus a quadratic part ``Σ_ij U_ij V_π(i)π(j)`` that does
not correlate with it. So a few sums of each matrix, and of all pairs of layers of *one* side, give covariance and
skewness of the whole grid. The coefficients count which indices coincide, as in Mantel 1967 for the variance and in
Kazi-Aoual et al. 1995, "Refined approximations to permutation tests for multivariate inference", for the third moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats

if TYPE_CHECKING:
    from torch import Tensor

    from vlalign.metrics.engine.pairwise import PairMatrix

_BLOCK_ENTRIES = 2**16  # of a matrix in one product; partial sums are added up in float64


@dataclass(frozen=True)
class SymmetricSums:
    """Sums over the parts u [2, N] and U [N, N] of the matrices of L layers, each divided by its norm."""

    linear: Floats  # [L, L, 2, 2], Σ_i u_i u'_i
    quadratic: Floats  # [L, L], Σ_ij U_ij U'_ij
    linear_cubes: Floats  # [L, 2, 2, 2], Σ_i u_i u_i u_i
    linear_fourth: Floats  # [L, 2, 2, 2, 2], Σ_i u_i u_i u_i u_i
    crossed: Floats  # [L, 2, 2], Σ_ij u_i u_j U_ij
    weighted: Floats  # [L, 2], Σ_ij u_i U_ij²
    cubes: Floats  # [L], Σ_ij U_ij³
    triangles: Floats  # [L], Σ_ijk U_ij U_jk U_ki
    fourth: Floats  # [L], Σ_ij U_ij⁴
    stars: Floats  # [L], Σ_ijk U_ij² U_ik²
    cycles: Floats  # [L], Σ_ijkl U_ij U_jk U_kl U_li over different i, k and j, l

    @classmethod
    def of(cls, layers: Sequence[PairMatrix], n: int) -> SymmetricSums:
        """Compute the sums of the matrices of ``n`` samples; those of a part of the samples are scaled to all."""
        parts = [_Parts.of(layer, n) for layer in layers]
        u = np.stack([part.linear for part in parts])
        more = n / u.shape[2]
        quadratic = _products(parts)
        crossed, weighted, cubes, triangles, fourth, stars, cycles = (
            np.stack(values) for values in zip(*(part.sums() for part in parts), strict=True)
        )
        return cls(
            linear=more * np.einsum("apn,cqn->acpq", u, u),
            quadratic=more**2 * quadratic,
            linear_cubes=more * np.einsum("apn,aqn,arn->apqr", u, u, u),
            linear_fourth=more * np.einsum("apn,aqn,arn,asn->apqrs", u, u, u, u),
            crossed=more**2 * crossed, weighted=more**2 * weighted, cubes=more**2 * cubes,
            triangles=more**3 * triangles, fourth=more**2 * fourth, stars=more**3 * stars,
            cycles=more**4 * (cycles - 2 * stars + fourth),
        )  # fmt: skip


@dataclass(frozen=True)
class _Parts:
    """The parts of one matrix that is divided by its norm, or by that of the matrix of all samples."""

    layer: PairMatrix
    scale: float
    mean: float  # m
    rows: Floats  # α [N]
    linear: Floats  # u [2, N]

    @classmethod
    def of(cls, layer: PairMatrix, n: int) -> _Parts:
        diagonal = layer.matrix.diagonal().double().cpu().numpy()
        rows = layer.matrix.sum(dim=1, dtype=torch.float64).cpu().numpy() - diagonal
        count = len(rows)
        squares = float(diagonal @ diagonal)
        norm = ((n / count) ** 2 * (layer.norm**2 - squares) + n / count * squares) ** 0.5  # of all samples
        scale = 1 / norm if layer.norm else 0.0
        diagonal, rows = scale * diagonal, scale * rows
        total = float(rows.sum())
        alpha = (rows - total / count) / (count - 2)
        linear = np.stack([alpha * (2 * (n - 2)) ** 0.5, diagonal - diagonal.mean()])
        return cls(layer, scale, total / (count * (count - 1)), alpha, linear)

    def block(self, start: int, stop: int) -> Tensor:
        """Return rows of U."""
        matrix = self.layer.matrix
        alpha = torch.from_numpy(self.rows).to(matrix)
        block = matrix[start:stop] * self.scale
        block.sub_(alpha).sub_((alpha[start:stop] + self.mean)[:, None])
        block.diagonal(start).fill_(0.0)
        return block

    def sums(self) -> tuple[Floats, ...]:
        """Return Σ u_i u_j U_ij, Σ u_i U_ij², Σ U_ij³, Σ U_ij U_jk U_ki, Σ U_ij⁴, Σ U_ij² U_ik² and tr U⁴."""
        whole = self.block(0, len(self.rows))
        u = torch.from_numpy(self.linear).to(whole.device)
        crossed, weighted, others = u.new_zeros(2, 2), u.new_zeros(2), u.new_zeros(5)
        for start, block in zip(range(0, len(whole), 256), whole.split(256), strict=True):
            here = u[:, start : start + len(block)]
            squares, paths = block.square(), block @ whole
            rows = squares.sum(dim=1, dtype=torch.float64)
            crossed += here @ (block.double() @ u.T)
            weighted += here @ rows
            further = (squares * block, paths * block, squares.square(), rows.square(), paths.square())
            others += torch.stack([part.sum(dtype=torch.float64) for part in further])
        return crossed.cpu().numpy(), weighted.cpu().numpy(), *others.cpu().numpy()


def _products(parts: Sequence[_Parts]) -> Floats:
    """Compute Σ_ij U_ij U'_ij [L, L] of all pairs of matrices."""
    n = len(parts[0].rows)
    total = torch.zeros((len(parts), len(parts)), dtype=torch.float64, device=parts[0].layer.matrix.device)
    step = max(1, _BLOCK_ENTRIES // n)
    for start in range(0, n, step):
        block = torch.stack([part.block(start, min(n, start + step)).flatten() for part in parts])
        total += (block @ block.T).double()
    return np.asarray(total.cpu().numpy(), dtype=np.float64)


def symmetric_moments(x: SymmetricSums, y: SymmetricSums, n: int) -> tuple[Floats, Floats, Floats]:
    """Compute moments of ``Σ_ij A_ij B_π(i)π(j)`` of all layer pairs, over all permutations π of ``n`` samples.

    Args:
        x, y: sums of the matrices of either side.
        n: number of samples, >= 4.

    Returns:
        Covariance [Lx, Ly, Lx, Ly], third central moment [Lx, Ly], and the excess kurtosis [Lx, Ly] up to terms that
        vanish with N: single samples, single pairs of samples, samples in several pairs, and cycles of four.
    """
    covariance = np.einsum("acpq,bdpq->abcd", x.linear, y.linear) / (n - 1)
    covariance += 2 / (n * (n - 3)) * np.einsum("ac,bd->abcd", x.quadratic, y.quadratic)
    n1, n2, n3, n4, n5, n6 = (_inverse_arrangements(n, count) for count in range(1, 7))
    triangles, cubes = np.outer(x.triangles, y.triangles), np.outer(x.cubes, y.cubes)
    mixed = np.outer(x.triangles, y.cubes) + np.outer(x.cubes, y.triangles)
    third = (n1 + 3 * n2 + 4 * n3) * np.einsum("apqr,bpqr->ab", x.linear_cubes, y.linear_cubes)
    third += 3 * (2 * n2 + 4 * n3 + 4 * n4) * np.einsum("apq,bpq->ab", x.crossed, y.crossed)
    third += 3 * (4 * n2 + 20 * n3 + 52 * n4 + 64 * n5) * (x.weighted @ y.weighted.T)
    third += (8 * n3 + 24 * n4 + 48 * n5 + 64 * n6) * triangles - (24 * n4 + 96 * n5 + 128 * n6) * mixed
    third += (4 * n2 + 24 * n3 + 80 * n4 + 192 * n5 + 256 * n6) * cubes
    variance = np.einsum("abab->ab", covariance)
    fourth = n1 * np.einsum("apqrs,bpqrs->ab", x.linear_fourth, y.linear_fourth) + 8 * n2 * np.outer(x.fourth, y.fourth)
    fourth += 48 * n3 * np.outer(x.stars, y.stars) + 48 * n4 * np.outer(x.cycles, y.cycles)
    return covariance, third, np.divide(fourth, variance**2, out=np.zeros_like(fourth), where=variance > 0)


def _inverse_arrangements(n: int, count: int) -> float:
    """Return 1 over the number of ways to choose ``count`` of ``n`` samples in order, or 0 with fewer samples."""
    ways = float(np.prod([n - i for i in range(count)], dtype=np.float64))
    return 1 / ways if ways else 0.0
