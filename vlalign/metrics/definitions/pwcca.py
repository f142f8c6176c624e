"""Projection-weighted CCA (Morcos et al. 2018, arXiv 1806.05759): correlations weighted by what they explain of x."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from numpy.typing import ArrayLike

from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Info, Ints, Metric, take_rows
from vlalign.metrics.engine.basis import centred, pair_grid, standardised, thin_basis

if TYPE_CHECKING:
    from torch import Tensor

_TIE = 1e-9  # by how much, relatively, the leading principal axis of x is preferred among equal correlations
_SMALL = 1e-4  # correlation below which variates of the wider side are not derived from those of the other


def pwcca(x: ArrayLike, y: ArrayLike) -> float:
    """Compute the projection-weighted canonical correlation of x [N, D1] and y [N, D2].

    ``Σ α_i ρ_i / Σ α_i`` with the canonical correlations ρ_i and the weights ``α_i = Σ_j |⟨h_i, x_j⟩|``, where h_i are
    the unit canonical variates on the side of x and x_j its centred columns. Not symmetric.

    There are min(rank x, rank y) correlations; a rank counts the singular values of the standardised columns above 1e-5
    of the largest. If the ranks sum to more than N - 1, some correlations are 1 by construction, whatever the data: use
    many more samples than features. Variates of equal correlation are not unique; those along principal axes of the
    standardised x are taken. Variates of correlation exactly 0 stay as the decomposition gives them. A layer whose rows
    are all equal has 0 with every other.

    Returns:
        A value in [0, 1].

    Raises:
        VlalignError: as :meth:`vlalign.metrics.Metric.evaluate`.

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [0.0, 5.0], [4.0, 3.0]])
    >>> round(pwcca(x, x @ torch.tensor([[1.0, 2.0], [-1.0, 1.0]])), 6)
    1.0
    """
    return Pwcca().evaluate(x, y)


@dataclass(frozen=True)
class Projection:
    """A prepared layer: orthonormal basis [N, r], variances along it as shares of the largest, loadings [r, D]."""

    left: Tensor
    variances: Tensor
    loadings: Tensor  # inner products with the centred columns, in float32: they only make weights


@dataclass(frozen=True)
class Pwcca(Metric):
    """The metric as the scorer uses it: a basis once per layer, one small eigenproblem per pair."""

    name: ClassVar[str] = "pwcca"
    info: ClassVar[Info] = Info(
        summary="canonical correlations weighted by the projections of x on its canonical variates",
        range="[0, 1]; near 1 by construction unless N is much larger than the ranks",
        invariances="shift and isotropic scaling of x, any invertible affine map of y",
        cost="N·D·min(N, D) per layer, N·D² + D³ per pair",
        source="Morcos et al. 2018 (arXiv 1806.05759)",
        symmetric=False,
        permutations=0,
    )

    def prepare(self, layer: Tensor) -> Projection:
        """Compute a basis of the standardised columns of one layer [N, D], and its inner products with the columns."""
        x, magnitudes = centred(layer)
        left, values = thin_basis(standardised(x))
        variances = (values / values[0]) ** 2 if len(values) else values
        return Projection(left, variances, (left.mT @ (x * magnitudes)).float())

    def reorder(self, prepared: Projection, order: Ints) -> Projection:
        return replace(prepared, left=take_rows(prepared.left, order))

    def grid(self, x: Sequence[Projection], y: Sequence[Projection]) -> Floats:
        return pair_grid(_weighted, x, y)


def _weighted(x: Projection, y: Projection) -> float:
    if not len(x.variances) or not len(y.variances):
        return 0.0
    products = x.left.mT @ y.left
    products *= (1 + _TIE * x.variances)[:, None]
    narrow = products.shape[0] <= products.shape[1]
    squares, vectors = torch.linalg.eigh(products @ products.mT if narrow else products.mT @ products)
    correlations = squares.clamp(0.0, 1.0).sqrt()
    if not narrow and correlations[0] < _SMALL:
        vectors, correlations, _ = torch.linalg.svd(products, full_matrices=False)
        correlations = correlations.clamp(max=1.0)
    elif not narrow:
        vectors = products @ vectors / correlations
    weights = (vectors.float().mT @ x.loadings).abs().sum(dim=1).double()
    return float(weights @ correlations / weights.sum())
