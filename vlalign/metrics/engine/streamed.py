"""Inner products of kernel matrices that are never built: linear ones in feature space, others in row blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Ints
from vlalign.metrics.engine.kernels import Centred, as_floats, rbf
from vlalign.metrics.engine.moments import PairSums

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK_BYTES = 2**27  # of kernel rows of all layers held at once


@dataclass(frozen=True)
class Linear:
    """A layer whose kernel is ``X Xᵀ``, with the kernel matrix's diagonal, and row sums and norm without it."""

    features: Centred
    diagonal: Floats  # K_ii [N]
    rows: Floats  # Σ_j K_ij [N]
    square: float  # Σ_ij K_ij²

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the products."""
        return self.features.layer.dtype

    @classmethod
    def of(cls, features: Centred) -> Linear:
        """Compute diagonal, row sums and norm of the kernel matrix of a layer."""
        total = sum(part.sum(dim=0, dtype=torch.float64) for _, part in features.blocks())
        assert isinstance(total, torch.Tensor)
        both = torch.empty((2, len(features.layer)), dtype=torch.float64, device=total.device)  # filled in place:
        for start, part in features.blocks():  # small results between the blocks would keep their memory from reuse
            both[0, start : start + len(part)] = part.double().square().sum(dim=1)
            both[1, start : start + len(part)] = part.double() @ total
        diagonal = as_floats(both[0])
        rows = as_floats(both[1]) - diagonal
        return cls(features, diagonal, rows, cross_square(features, features) - float(diagonal @ diagonal))

    def reorder(self, order: Ints) -> Linear:
        """Return the layer with its rows in another order."""
        return Linear(self.features.reorder(order), self.diagonal[order], self.rows[order], self.square)


def cross_square(x: Centred, y: Centred) -> float:
    """Compute ``‖Xᵀ Y‖²`` = ``Σ_ij (X Xᵀ)_ij (Y Yᵀ)_ij``; the product is summed in float64 over blocks of rows."""
    total = torch.zeros((x.layer.shape[1], y.layer.shape[1]), dtype=torch.float64, device=x.layer.device)
    for start, part in x.blocks():
        other = part if x is y else y.rows(start, start + len(part)).to(part.dtype)
        total += part.T @ other
    return float(total.square_().sum())


@dataclass(frozen=True)
class Rbf:
    """A layer whose kernel is RBF, with the row sums and the norm of its kernel matrix, as :class:`Linear`."""

    features: Centred
    bandwidth: float
    rows: Floats
    square: float

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the kernel."""
        return torch.float64

    @property
    def diagonal(self) -> Floats:
        """Ones [N]: every sample is at distance 0 from itself."""
        return np.ones(len(self.rows))

    @classmethod
    def of(cls, features: Centred, bandwidth: float) -> Rbf:
        """Compute row sums and norm of the kernel matrix of a layer, block by block."""
        side = cls(features, bandwidth, np.empty(0), 0.0)
        rows, square = torch.empty(len(features.layer), dtype=torch.float64, device=features.layer.device), 0.0
        step = max(1, _BLOCK_BYTES // (8 * len(features.layer)))
        for start in range(0, len(features.layer), step):
            block = side.block(start, start + step)
            rows[start : start + step] = block.sum(dim=1)
            square += float(block.square().sum())
        return cls(features, bandwidth, as_floats(rows), square)

    def block(self, start: int, stop: int) -> Tensor:
        """Compute rows of the kernel matrix, float64, with zeros on its diagonal."""
        whole = self.features.all().double()
        kernel = rbf(whole, whole[start:stop], self.bandwidth)
        kernel.diagonal(start).fill_(0.0)
        return kernel

    def reorder(self, order: Ints) -> Rbf:
        """Return the layer with its rows in another order."""
        return Rbf(self.features.reorder(order), self.bandwidth, self.rows[order], self.square)


def streamed_products(x: Sequence[Linear] | Sequence[Rbf], y: Sequence[Linear] | Sequence[Rbf]) -> Floats:
    """Compute ``Σ K_ij L_ij`` [Lx, Ly] over all i ≠ j, of all pairs of kernel matrices."""
    if isinstance(x[0], Linear):
        return np.array([[cross_square(a.features, b.features) - float(a.diagonal @ b.diagonal) for b in y] for a in x])
    result = torch.zeros((len(x), len(y)), dtype=torch.float64, device=x[0].features.layer.device)
    n = len(x[0].rows)
    step = max(1, _BLOCK_BYTES // (8 * n * (len(x) + len(y))))
    for start in range(0, n, step):
        left, right = (
            torch.stack([s.block(start, start + step).flatten() for s in side if isinstance(s, Rbf)]) for side in (x, y)
        )
        result += left @ right.T
    return as_floats(result)


def norm(side: Linear | Rbf) -> float:
    """Compute the Frobenius norm of the kernel matrix, diagonal included."""
    return float((side.square + float(side.diagonal @ side.diagonal)) ** 0.5)


def with_diagonal(products: Floats, x: Sequence[Linear | Rbf], y: Sequence[Linear | Rbf]) -> Floats:
    """Compute ``Σ_ij K_ij L_ij`` [Lx, Ly] over all i and j, from the sums over i ≠ j."""
    sums: Floats = products + np.stack([side.diagonal for side in x]) @ np.stack([side.diagonal for side in y]).T
    return sums


def biased_hsic(products: Floats, x: Sequence[Linear | Rbf], y: Sequence[Linear | Rbf]) -> Floats:
    """Compute ``tr(K H L H)`` [Lx, Ly] from the sums over i ≠ j."""
    a, b = (np.stack([side.rows + side.diagonal for side in sides]) for sides in (x, y))
    n = a.shape[1]
    return with_diagonal(products, x, y) - 2 / n * (a @ b.T) + np.outer(a.sum(axis=1), b.sum(axis=1)) / n**2


def unbiased_hsic(products: Floats, x: Sequence[Linear | Rbf], y: Sequence[Linear | Rbf]) -> Floats:
    """Compute ``N (N - 3)`` times the unbiased HSIC [Lx, Ly] (Song et al. 2012, eq. 5) from the sums over i ≠ j."""
    a, b = (np.stack([side.rows for side in sides]) for sides in (x, y))
    n = a.shape[1]
    both = np.outer(a.sum(axis=1), b.sum(axis=1)) / ((n - 1) * (n - 2))
    return products + both - 2 / (n - 2) * (a @ b.T)


def centred_sums(side: Linear | Rbf) -> PairSums:
    """Compute the sums of ``H K H`` scaled to norm 1, for exact permutation moments; all zero for a constant kernel."""
    n = len(side.rows)
    means = (side.rows + side.diagonal) / n
    diagonal = side.diagonal - 2 * means + means.mean()
    square = norm(side) ** 2 - 2 * n * float(means @ means) + n**2 * float(means.mean()) ** 2
    if square <= 0:
        return PairSums()
    off = square - float(diagonal @ diagonal)
    return PairSums.of(-diagonal, -diagonal, off, off, diagonal).scaled(square**-0.5)
