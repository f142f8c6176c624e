"""Kernel matrices of samples: linear and RBF, centred features, bandwidth, whole or in row blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Ints, take_rows
from vlalign.metrics.engine.neighbours import gram
from vlalign.metrics.engine.pairwise import frobenius_norm

if TYPE_CHECKING:
    from torch import Tensor

_ROWS = 2048  # rows that are converted to float64 together
_MEDIAN_SAMPLES = 4096  # evenly spaced samples of the median distance, at most


def column_means(layer: Tensor) -> Tensor:
    """Compute the means [D] of the columns, summed in float64."""
    total = torch.zeros(layer.shape[1], dtype=torch.float64, device=layer.device)
    for part in layer.split(_ROWS):
        total += part.sum(dim=0, dtype=torch.float64)
    return total / len(layer)


@dataclass(frozen=True)
class Centred:
    """A layer [N, D] seen as ``(layer - mean) / scale``, whose Frobenius norm is sqrt(N); nothing is copied.

    ``scale`` is infinite where the columns are constant up to rounding, so that everything is zero then.
    """

    layer: Tensor
    mean: Tensor  # [D], float64
    scale: float

    @classmethod
    def of(cls, layer: Tensor, centred: bool = True) -> Centred:
        """Centre the columns of a layer, or only scale it."""
        mean = column_means(layer) if centred else torch.zeros(layer.shape[1], dtype=torch.float64, device=layer.device)
        side = cls(layer, mean, 1.0)
        inside = math.hypot(*(frobenius_norm(part) for _, part in side.blocks()))
        if inside <= torch.finfo(layer.dtype).eps * frobenius_norm(layer):
            return cls(layer, mean, math.inf)
        return cls(layer, mean, inside / len(layer) ** 0.5)

    def rows(self, start: int, stop: int) -> Tensor:
        """Return rows ``start`` to ``stop``, in the dtype of the layer.

        Rounding the mean shifts all rows alike, by less than the rounding of the features themselves.
        """
        part = self.layer[start:stop] - self.mean.to(self.layer.dtype)
        return part if self.scale == 1 else part.div_(self.scale)

    def all(self) -> Tensor:
        """Return the centred layer [N, D]."""
        return self.rows(0, len(self.layer))

    def reorder(self, order: Ints) -> Centred:
        """Return the layer with its rows in another order."""
        return replace(self, layer=take_rows(self.layer, order))

    def blocks(self, rows: int = _ROWS) -> Iterator[tuple[int, Tensor]]:
        """Yield the start and the rows of each block."""
        for start in range(0, len(self.layer), rows):
            yield start, self.rows(start, start + rows)


def linear_gram(features: Tensor) -> Tensor:
    """Compute ``X Xᵀ`` [N, N] from one triangle."""
    out = torch.empty((len(features), len(features)), dtype=features.dtype, device=features.device)
    gram(features, out)
    return out


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Compute squared Euclidean distances [n, m] between rows of float64 tensors, never negative."""
    norms = x.square().sum(dim=1, keepdim=True) + y.square().sum(dim=1)
    return torch.addmm(norms, x, y.T, alpha=-2).clamp_min_(0)


def median_distance(features: Tensor) -> float:
    """Compute the median distance of two different rows, over at most 4,096 evenly spaced rows; 0 if all are equal.

    The lower median where the number of pairs is even.
    """
    if len(features) > _MEDIAN_SAMPLES:
        features = features[torch.linspace(0, len(features) - 1, _MEDIAN_SAMPLES).long()]
    features = features.double()
    upper = [
        squared_distances(features[i : i + 512], features[i:])[
            torch.ones(min(512, len(features) - i), len(features) - i, dtype=torch.bool).triu(1).to(features.device)
        ]
        for i in range(0, len(features), 512)
    ]
    return float(torch.cat(upper).median().sqrt())


def rbf(features: Tensor, rows: Tensor, bandwidth: float) -> Tensor:
    """Compute ``exp(-d² / (2 σ²))`` [n, N] between ``rows`` [n, D] and all ``features`` [N, D], both float64."""
    return squared_distances(rows, features).div_(-2 * bandwidth**2).exp_()


def double_centred(kernel: Tensor) -> Tensor:
    """Compute ``H K H`` of a symmetric float64 kernel, in place."""
    means = kernel.mean(dim=0)
    return kernel.sub_(means).sub_((means - means.mean())[:, None])


def unbiased_centred(kernel: Tensor, centred: bool = False) -> Tensor:
    """U-centre a symmetric kernel [N, N] in place: zero diagonal, and off it row sums of zero.

    With it the unbiased HSIC (Song et al. 2012, eq. 5) is ``Σ A_ij B_ij / (N (N - 3))`` (Székely & Rizzo 2014).
    ``centred``: the rows of the kernel sum to 0 already.
    """
    n = len(kernel)
    rows = -kernel.diagonal().double()
    kernel.fill_diagonal_(0)
    if not centred:
        rows = kernel.sum(dim=1, dtype=torch.float64)
    shift = ((rows - rows.sum() / (2 * (n - 1))) / (n - 2)).to(kernel.dtype)
    ones = torch.ones_like(shift)
    kernel.addmm_(torch.stack([shift, ones], dim=1), torch.stack([ones, shift]), alpha=-1)  # all in one pass
    return kernel.fill_diagonal_(0)


def as_floats(tensor: Tensor) -> Floats:
    """Convert a tensor to a float64 numpy array."""
    return np.asarray(tensor.double().cpu().numpy(), dtype=np.float64)
