"""Correlation-matrix distance (Herdin et al. 2005) as a similarity: ``tr(C1 C2) / (‖C1‖ ‖C2‖)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Info, Ints, Moments, choice, shown
from vlalign.metrics.definitions.cka import GRAM_SAMPLES
from vlalign.metrics.engine.kernels import Centred, linear_gram
from vlalign.metrics.engine.moments import PairSums, permutation_moments
from vlalign.metrics.engine.pairwise import PairMatrix, PairMetric
from vlalign.metrics.engine.streamed import Linear, norm, streamed_products, with_diagonal

if TYPE_CHECKING:
    from torch import Tensor


def cmd(x: ArrayLike, y: ArrayLike, contraction: str = "features", centred: bool = False) -> float:
    """Compute the similarity of the correlation matrices of two layers [N, D1] and [N, D2]; 1 minus the distance.

    Args:
        x, y: features, rows paired.
        contraction: ``features`` compares ``X Xᵀ`` [N, N]; ``samples`` compares ``Xᵀ X`` [D, D], which needs equal
            widths and does not depend on which rows are paired.
        centred: subtract the column means first. With ``features`` that is linear CKA exactly.

    Returns:
        A value in [0, 1]; 0 where a side is zero (or constant, if centred).

    Raises:
        VlalignError: as :meth:`vlalign.metrics.Metric.evaluate`, or for ``samples`` with widths that differ.

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    >>> round(cmd(x, x[:, [1, 0]]), 6), cmd(x, 2 * x, "samples") > 0.999999
    (1.0, True)
    """
    return Cmd(contraction, centred).evaluate(x, y)


@dataclass(frozen=True)
class _Samples:
    """``Xᵀ X`` of norm 1, flattened, which does not depend on the order of the samples."""

    matrix: Tensor  # [D * D], float64
    width: int


@dataclass(frozen=True)
class Cmd(PairMetric):
    """The metric as the scorer uses it."""

    contraction: str = "features"
    centred: bool = False

    name: ClassVar[str] = "cmd"
    info: ClassVar[Info] = Info(
        summary="correlation-matrix similarity tr(C₁C₂) / (‖C₁‖‖C₂‖), C = XXᵀ or XᵀX, centred or not",
        range="[0, 1] for both contractions",
        invariances="rotation and isotropic scaling (features); row order (samples); translation if centred",
        cost="N²·D per layer, N² per pair (features); N·D² per layer, D² per pair (samples)",
        source="Herdin et al. 2005 (VTC)",
        permutations=200,
    )

    def __post_init__(self) -> None:
        choice(self.contraction, "contraction", self.name, ("features", "samples"))
        if not isinstance(self.centred, bool):
            raise VlalignError(f"cmd knows centred true or false, got centred={shown(self.centred)}")

    @property
    def paired(self) -> bool:
        """Whether the value depends on the pairing: ``Xᵀ X`` is the same for every order of the rows."""
        return self.contraction == "features"

    def check(self, n: int, widths: Sequence[int] = ()) -> None:
        """Check what every metric needs, and for ``samples`` that all layers have one width."""
        super().check(n, widths)
        if self.contraction == "samples" and len(set(widths)) > 1:
            listed = ", ".join(str(width) for width in sorted(set(widths)))
            raise VlalignError(f"cmd:contraction=samples compares layers of equal width only, got widths {listed}")

    def holds(self, n: int, widths: Sequence[int]) -> int:
        """Return the bytes of one float32 matrix per layer up to N = 2,048 (``features``), and of the layers beyond."""
        is_matrix = n <= GRAM_SAMPLES and self.contraction == "features"
        return super().holds(n, widths) if is_matrix else 4 * n * sum(widths)

    def prepare(self, layer: Tensor) -> PairMatrix | Linear | _Samples:
        """Compute the matrix C of norm 1, or beyond 2,048 samples the layer and the sums of ``X Xᵀ``."""
        features = Centred.of(layer, self.centred)
        if self.contraction == "samples":
            product = torch.zeros(layer.shape[1], layer.shape[1], dtype=torch.float64, device=layer.device)
            for _, part in features.blocks():
                product += part.double().T @ part.double()
            norm = torch.linalg.vector_norm(product)
            return _Samples(torch.where(norm > 0, product / norm, product).flatten(), layer.shape[1])
        if len(layer) > GRAM_SAMPLES:
            return Linear.of(features)
        return PairMatrix.of(linear_gram(features.all()))

    def reorder(self, prepared: Any, order: Ints) -> Any:
        return prepared if isinstance(prepared, _Samples) else prepared.reorder(order)

    def grid(self, x: Sequence[Any], y: Sequence[Any]) -> Floats:
        if isinstance(x[0], PairMatrix):
            return super().grid(x, y)
        if isinstance(x[0], Linear):
            norms = np.outer([norm(side) for side in x], [norm(side) for side in y])
            products = with_diagonal(streamed_products(x, y), x, y)
            return np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
        self.check(4, [side.width for side in (*x, *y)])
        values: Floats = (torch.stack([s.matrix for s in x]) @ torch.stack([s.matrix for s in y]).T).cpu().numpy()
        return values

    def moments(self, x: Sequence[Any], y: Sequence[Any]) -> Moments | None:
        """Compute exact mean and sd; None for ``samples``, where permuting rows changes nothing."""
        if isinstance(x[0], _Samples):
            return None
        if isinstance(x[0], PairMatrix):
            return super().moments(x, y)
        return Moments(*permutation_moments([_sums(s) for s in x], [_sums(s) for s in y], len(x[0].rows)))


def _sums(side: Linear) -> PairSums:
    if not norm(side) > 0:
        return PairSums()
    return PairSums.of(side.rows, side.rows, side.square, side.square, side.diagonal).scaled(1 / norm(side))
