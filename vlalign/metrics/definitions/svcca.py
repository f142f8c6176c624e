"""SVCCA: canonical correlations of the leading principal directions (Raghu et al. 2017, arXiv 1706.05806).

Columns are standardised, the left singular vectors of the ``dim`` largest singular values kept, and the canonical
correlations of the two sets averaged. Both sets are centred and orthonormal, so the correlations are the singular
values of ``U_xᵀ U_y``. The reference code of arXiv 2405.07987 approximates both steps (a randomised decomposition, an
iterative CCA) and varies from run to run; this is the exact value. It also adds 1e-8 to the standard deviations, which
changes nothing unless columns are that small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Info, Ints, Metric, take_rows, whole_number
from vlalign.metrics.engine.basis import centred, standardised, thin_basis
from vlalign.metrics.engine.threads import map_layers

if TYPE_CHECKING:
    from torch import Tensor


def svcca(x: ArrayLike, y: ArrayLike, dim: int = 10) -> float:
    """Compute the mean canonical correlation of the ``dim`` leading principal directions of x [N, D1] and y [N, D2].

    A layer of lower rank r has r directions; the mean is then over the smaller number of the two sides, so that a layer
    has 1 with itself. A layer whose rows are all equal has 0 with every other. Where the singular values number ``dim``
    and ``dim + 1`` are equal, the directions are not unique and neither is the value.

    Returns:
        A value in [0, 1]; unrelated layers have about ``0.85 sqrt(dim / N)``.

    Raises:
        VlalignError: as :meth:`vlalign.metrics.Metric.evaluate`, or if N is not larger than ``dim + 1``.

    >>> x = torch.eye(6)
    >>> round(svcca(x[:, :3], 2 - 5 * x[:, :3], dim=2), 6)
    1.0
    """
    return Svcca(dim).evaluate(x, y)


@dataclass(frozen=True)
class Directions:
    """A prepared layer: orthonormal columns [N, dim], of which those after ``rank`` are zero."""

    left: Tensor
    rank: int


@dataclass(frozen=True)
class Svcca(Metric):
    """The metric as the scorer uses it: directions once per layer, one matrix product for the grid."""

    dim: int = 10

    name: ClassVar[str] = "svcca"
    info: ClassVar[Info] = Info(
        summary="mean canonical correlation of the leading principal directions: mean σ(U_xᵀ U_y)",
        range="[0, 1]; chance about 0.85·sqrt(dim / N)",
        invariances="shift and scaling of each column",
        cost="N·D·min(N, D) per layer, N·dim² per pair",
        source="Raghu et al. 2017 (arXiv 1706.05806), variant of Huh et al. 2024 made exact",
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", whole_number(self.dim, "dim", self.name))

    def check(self, n: int, widths: Sequence[int] = ()) -> None:
        """Raise VlalignError if ``dim`` directions can span all samples."""
        super().check(n, widths)
        if n <= self.dim + 1:
            raise VlalignError(
                f"svcca with dim={self.dim} needs more than {self.dim + 1} samples, got N={n}: lower dim"
            )

    def prepare(self, layer: Tensor) -> Directions:
        """Compute the leading left singular vectors of one layer [N, D] with standardised columns."""
        left, values = thin_basis(standardised(centred(layer)[0]), keep=self.dim)
        return Directions(torch.nn.functional.pad(left, (0, self.dim - len(values))), len(values))

    def reorder(self, prepared: Directions, order: Ints) -> Directions:
        return Directions(take_rows(prepared.left, order), prepared.rank)

    def grid(self, x: Sequence[Directions], y: Sequence[Directions]) -> Floats:
        return self.permuted(x, y, np.arange(len(x[0].left))[None])[0]

    def permuted(self, x: Sequence[Directions], y: Sequence[Directions], permutations: Ints) -> Floats:
        left = torch.cat([layer.left for layer in x], dim=1).mT.contiguous()
        right = torch.cat([layer.left for layer in y], dim=1)
        fewest = np.minimum.outer([layer.rank for layer in x], [layer.rank for layer in y])

        def total(order: Ints) -> Floats:
            products = left @ take_rows(right, order)
            blocks = products.view(len(x), self.dim, len(y), self.dim).transpose(1, 2)
            sums: Floats = torch.linalg.svdvals(blocks).clamp(max=1.0).sum(dim=-1).cpu().numpy()
            return sums

        return np.stack(map_layers(total, permutations)) / np.maximum(fewest, 1)
