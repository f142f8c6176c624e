"""Procrustes similarity and angular shape: how well one layer can be rotated onto another.

For centred layers X, Y of Frobenius norm 1 the best rotation leaves ``d² = min_Q ‖X - YQ‖² = 2 - 2‖XᵀY‖_*`` (nuclear
norm), the squared Procrustes distance; ``arccos ‖XᵀY‖_*`` is the angular (Riemannian) shape distance (Williams et al.
2021, arXiv 2110.14739; package netrep). Both are metrics, also between layers of different width. A layer whose rows
are all equal has no shape: its nuclear norm with every layer is taken as 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from numpy.typing import ArrayLike

from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Info, Ints, Metric, take_rows
from vlalign.metrics.engine.basis import pair_grid, unit_configuration

if TYPE_CHECKING:
    from torch import Tensor


def procrustes(x: ArrayLike, y: ArrayLike) -> float:
    """Compute the nuclear norm ``‖XᵀY‖_*`` of x [N, D1] and y [N, D2], centred and of norm 1: ``1 - d²/2``.

    Returns:
        A value in [0, 1]; 0 if all rows of a side are equal. Unrelated isotropic layers of
        r columns have about ``0.85 sqrt(r / N)``.

    Raises:
        VlalignError: as :meth:`vlalign.metrics.Metric.evaluate`.

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [0.0, 5.0]])
    >>> round(procrustes(x, 3 * x @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]]) + 1), 6)
    1.0
    """
    return Procrustes().evaluate(x, y)


def procrustes_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Compute the Procrustes distance d in [0, √2] of x [N, D1] and y [N, D2]; raises as :func:`procrustes`."""
    return math.sqrt(2 - 2 * procrustes(x, y))


def angular_shape(x: ArrayLike, y: ArrayLike) -> float:
    """Compute ``1 - 2θ/π`` in [0, 1], with θ the :func:`angular_shape_distance`; raises as :func:`procrustes`.

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [0.0, 5.0]])
    >>> round(angular_shape(x, x), 6), angular_shape(x, torch.ones(4, 2))
    (1.0, 0.0)
    """
    return AngularShape().evaluate(x, y)


def angular_shape_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Compute the angle θ in [0, π/2] between the shapes of x [N, D1] and y [N, D2]; raises as :func:`procrustes`."""
    return math.acos(procrustes(x, y))


@dataclass(frozen=True)
class Procrustes(Metric):
    """The metric as the scorer uses it: centred layers of norm 1, the singular values of one product per pair."""

    name: ClassVar[str] = "procrustes"
    info: ClassVar[Info] = Info(
        summary="nuclear norm of X̂ᵀŶ, both centred and of norm 1: 1 − d²/2 for the Procrustes distance d",
        range="[0, 1]",
        invariances="rotation, isotropic scaling and shift",
        cost="N·D per layer (N²·D if D > N), N·D² + D³ per pair",
        source="Williams et al. 2021 (arXiv 2110.14739)",
        permutations=0,
    )

    def prepare(self, layer: Tensor) -> Tensor:
        """Centre the layer [N, D] and scale it to norm 1, rotated into N columns where it has more."""
        x = unit_configuration(layer)
        return x if x.shape[1] <= len(x) else torch.linalg.qr(x.mT, mode="r").R.mT.contiguous()

    def reorder(self, prepared: Tensor, order: Ints) -> Tensor:
        return take_rows(prepared, order)

    def grid(self, x: Sequence[Tensor], y: Sequence[Tensor]) -> Floats:
        return pair_grid(_nuclear, x, y)


@dataclass(frozen=True)
class AngularShape(Procrustes):
    """The same comparison on the scale of angles."""

    name: ClassVar[str] = "angular_shape"
    info: ClassVar[Info] = replace(Procrustes.info, summary="1 − 2θ/π for the angle θ = arccos ‖X̂ᵀŶ‖_* between shapes")

    def grid(self, x: Sequence[Tensor], y: Sequence[Tensor]) -> Floats:
        return pair_grid(lambda a, b: 1 - 2 * math.acos(_nuclear(a, b)) / math.pi, x, y)


def _nuclear(x: Tensor, y: Tensor) -> float:
    # singular values, not roots of eigenvalues: arccos near 1 would magnify their rounding
    return min(1.0, float(torch.linalg.svdvals(x.mT @ y).sum()))
