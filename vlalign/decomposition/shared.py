"""Information about the label in the part that two modalities share.

Canonical correlation finds directions of x1 and x2 that vary together. It uses which samples are paired and no labels,
so classifiers of the samples' places along these directions stay cross-fitted. Directions are kept as long as their
correlation in samples that did not choose them is above that of shuffled pairs: in-sample correlations are near 1 for
noise. What both share can be computed from either modality, so the information in it is at most that of the less
informative projection; a direction of low correlation holds more than what is shared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vlalign.decomposition.sample_groups import Ints, SampleGroups

_SHUFFLES = 99
_LEVEL = 0.95  # quantile of the null
_MOST = 32  # directions


@dataclass(frozen=True)
class SharedPart:
    """Directions that two modalities share.

    Attributes:
        places: of the samples along them, [N, k] of each modality; k may be 0.
        correlations: held-out correlation of each, k values.
        null: 95 % quantile of the largest held-out correlation with shuffled pairs.
    """

    places: tuple[Tensor, Tensor]
    correlations: list[float]
    null: float


def shared_part(first: Tensor, second: Tensor, seed: int, units: SampleGroups | None = None) -> SharedPart:
    """Find the directions that two modalities share.

    Args:
        first: whitened features [N, D1].
        second: whitened features [N, D2], rows paired.
        seed: of the halves and of the shuffled pairs.
        units: of the samples, which are in one half each and shuffled whole; None for samples that stand alone.
    """
    draw = torch.Generator().manual_seed(seed)
    units = units or SampleGroups(np.arange(len(first)))
    mixed = torch.randperm(len(units.sizes), generator=draw).numpy()
    order, halves = units.rows(mixed), (mixed[::2], mixed[1::2])
    correlations, nulls = [], []
    for fit, check in (halves, halves[::-1]):
        a, b = _places(first, second, units.rows(fit))
        a, b = (_normalised(places[units.rows(check)]) for places in (a, b))
        correlations.append((a * b).sum(dim=0))
        checked = SampleGroups(np.repeat(np.arange(len(check)), units.sizes[check]))
        others = (torch.randperm(len(check), generator=draw).numpy() for _ in range(_SHUFFLES))
        nulls.append(torch.stack([(a * b[checked.arranged(other)]).sum(dim=0).max() for other in others]))
    correlation = torch.stack(correlations).mean(dim=0)
    null = float(torch.stack(nulls).mean(dim=0).quantile(_LEVEL))
    below = (correlation <= null).nonzero()
    kept = int(below[0, 0]) if len(below) else len(correlation)
    places = _places(first, second, order)
    return SharedPart((places[0][:, :kept], places[1][:, :kept]), correlation[:kept].tolist(), null)


def _places(first: Tensor, second: Tensor, fit: Ints) -> tuple[Tensor, Tensor]:
    """Return the places [N, k] of all samples along the canonical directions of the rows ``fit``."""
    covariance = first[fit].T @ second[fit] / len(fit)
    left, _, right = torch.linalg.svd(covariance, full_matrices=False)
    return first @ left[:, :_MOST], second @ right.T[:, :_MOST]


def _normalised(places: Tensor) -> Tensor:
    places = places - places.mean(dim=0)
    return places / places.norm(dim=0).clamp_min(1e-12)
