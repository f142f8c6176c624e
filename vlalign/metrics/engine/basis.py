"""Centred columns and thin orthonormal bases, for metrics of subspaces and shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats
from vlalign.metrics.engine.threads import map_layers

if TYPE_CHECKING:
    from torch import Tensor

#: Directions whose singular value is below this share of the largest count as rounding noise. A float32 column far from
#: zero carries noise of about 1e-6 of the largest; the float64 Gram matrix resolves down to about 1e-7.
RANK_TOLERANCE = 1e-5
_CONSTANT = 1e-12  # deviations from the mean, as a share of a column's largest value, that are rounding
_POLISH = 1e-3  # share of the largest singular value below which a Gram matrix costs orthogonality
_Layer = TypeVar("_Layer")


def centred(layer: Tensor) -> tuple[Tensor, Tensor]:
    """Return the columns of [N, D] in float64, divided by their largest magnitude and centred, and the magnitudes [D].

    The magnitudes are shares of the largest (at least 1e-30), so their product with the columns is the centred layer up
    to one factor. Constant columns become exactly zero.
    """
    x = layer.detach().double()
    peak = x.abs().amax(dim=0)
    x = x / peak.where(peak > 0, torch.ones_like(peak))
    x = x - x.mean(dim=0)
    x[:, x.abs().amax(dim=0) <= _CONSTANT] = 0.0
    largest = peak.max()
    return x, (peak / largest if largest > 0 else torch.ones_like(peak)).clamp_min(1e-30)


def standardised(x: Tensor) -> Tensor:
    """Divide centred columns [N, D] by their standard deviation; zero columns stay zero."""
    sd = x.std(dim=0)
    return x / sd.where(sd > 0, torch.ones_like(sd))


def unit_configuration(layer: Tensor) -> Tensor:
    """Return the layer [N, D] in float64 with centred columns and Frobenius norm 1; zero where all rows are equal."""
    x, magnitudes = centred(layer)
    x = x * magnitudes
    norm = torch.linalg.matrix_norm(x)
    return x / norm if norm > 0 else x


def thin_basis(x: Tensor, keep: int | None = None) -> tuple[Tensor, Tensor]:
    """Compute left singular vectors [N, r] and singular values [r] of centred columns [N, D], largest first.

    r is the number of singular values above :data:`RANK_TOLERANCE` of the largest (0 for a zero matrix), at most
    ``keep``. They come from the smaller Gram matrix, which squares the condition number: where that cost digits, a
    Newton step makes the vectors orthonormal again. Standardise columns first where a metric allows it, so that small
    columns are not taken for noise.

    >>> left, values = thin_basis(torch.tensor([[3.0, 3.0], [-3.0, -3.0], [0.0, 0.0]]).double())
    >>> left.shape, round(float(values[0]), 12)
    (torch.Size([3, 1]), 6.0)
    """
    wide = x.shape[1] > len(x)
    squares, vectors = torch.linalg.eigh(x @ x.mT if wide else x.mT @ x)
    squares, vectors = squares.flip(0)[:keep], vectors.flip(1)[:, :keep]
    rank = int((squares > RANK_TOLERANCE**2 * squares[0]).sum())
    values, vectors = squares[:rank].sqrt(), vectors[:, :rank].contiguous()
    if wide:
        return vectors, values
    left = x @ vectors / values
    if rank and values[-1] < _POLISH * values[0]:
        left = left @ (1.5 * torch.eye(rank, dtype=x.dtype, device=x.device) - 0.5 * left.mT @ left)
    return left, values


def pair_grid(value: Callable[[_Layer, _Layer], float], x: Sequence[_Layer], y: Sequence[_Layer]) -> Floats:
    """Compute ``value`` [Lx, Ly] of every pair of prepared layers, one pair per CPU thread at a time."""
    pairs = [(a, b) for a in x for b in y]
    return np.array(map_layers(lambda pair: value(*pair), pairs), dtype=np.float64).reshape(len(x), len(y))
