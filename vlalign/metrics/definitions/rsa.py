"""Representational similarity analysis (Kriegeskorte et al. 2008): correlation of two dissimilarity matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Info, choice
from vlalign.metrics.engine.kernels import Centred
from vlalign.metrics.engine.pairwise import PairMatrix, PairMetric

if TYPE_CHECKING:
    from torch import Tensor

_TIES = 40  # binary digits that distances of cosines keep below the largest, so that those of equal rows tie in rank
_ROUNDING = 1e-14  # deviations of a row from its mean, as a share of its largest value, that are rounding
_CONSTANT = 1e-9  # dissimilarities that vary less than this, relatively, are all equal


def rsa(x: ArrayLike, y: ArrayLike, compare: str = "spearman", distance: str = "correlation") -> float:
    """Correlate, over all pairs of samples, their dissimilarity in x [N, D1] and in y [N, D2].

    Args:
        x, y: features, rows paired.
        compare: ``spearman`` (mean ranks for ties) or ``pearson``.
        distance: of two samples: ``correlation`` (1 - Pearson r of their features), ``cosine`` or ``euclidean``.

    Returns:
        A value in [-1, 1]. 0 where all dissimilarities of a side are equal (constant features). A row without variation
        (``correlation``) or of zeros (``cosine``) is at distance 1 from every other.

    Raises:
        VlalignError: as :meth:`vlalign.metrics.Metric.evaluate`, for an unknown ``compare`` or ``distance``, or for one
            feature with ``correlation``.

    >>> x = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    >>> round(rsa(x, 3 * x), 6), round(rsa(x, x - 100, "pearson", "euclidean"), 4)
    (1.0, 1.0)
    """
    return Rsa(compare, distance).evaluate(x, y)


@dataclass(frozen=True)
class Rsa(PairMetric):
    """The metric as the scorer uses it; ranks need all distances at once."""

    compare: str = "spearman"
    distance: str = "correlation"

    name: ClassVar[str] = "rsa"
    info: ClassVar[Info] = Info(
        summary="Spearman or Pearson correlation of dissimilarity matrices (correlation, cosine or euclidean distance)",
        range="[−1, 1]; mean 0 under a random pairing",
        invariances="isotropic scaling; a shift of each row (correlation), rotation (cosine, euclidean)",
        cost="N²·D and a sort of N² per layer, N² per pair",
        source="Kriegeskorte et al. 2008 (Front. Syst. Neurosci. 2:4)",
        permutations=200,
    )

    def __post_init__(self) -> None:
        choice(self.compare, "compare", self.name, ("spearman", "pearson"))
        choice(self.distance, "distance", self.name, ("correlation", "cosine", "euclidean"))

    def check(self, n: int, widths: Sequence[int] = ()) -> None:
        """Check what every metric needs, and that samples have features to correlate."""
        super().check(n, widths)
        if self.distance == "correlation" and min(widths, default=2) < 2:
            raise VlalignError(
                "rsa correlates the features of two samples, and a layer has one feature: use rsa:distance=euclidean"
            )

    def prepare(self, layer: Tensor) -> PairMatrix:
        """Compute centred dissimilarities (or their ranks) [N, N] of norm 1, zero on the diagonal."""
        matrix = dissimilarities(layer, self.distance)
        n = len(matrix)
        rows, columns = np.triu_indices(n, 1)
        values: Floats = matrix.cpu().numpy()[rows, columns]
        spread = float(values.std())
        if self.compare == "spearman":
            from scipy.stats import rankdata  # takes a second to import

            values = rankdata(values)
        values = values - values.mean()
        if not spread > _CONSTANT * float(matrix.abs().max()):
            values[:] = 0.0
        upper = torch.zeros((n, n), dtype=torch.float64)
        upper[torch.from_numpy(rows), torch.from_numpy(columns)] = torch.from_numpy(values)
        return PairMatrix.of((upper + upper.T).to(layer.device, layer.dtype))


def dissimilarities(layer: Tensor, distance: str) -> Tensor:
    """Compute distances [N, N] between the rows of a layer in float64, 0 on the diagonal; see :func:`rsa`."""
    if distance == "euclidean":
        features = Centred.of(layer).all().double()
        return torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    rows = layer.double()
    largest = rows.abs().amax(dim=1, keepdim=True)
    rows = rows / torch.where(largest > 0, largest, 1.0)  # so that squares neither overflow nor vanish
    if distance == "correlation":
        rows = rows - rows.mean(dim=1, keepdim=True)
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    varies = norms > _ROUNDING * rows.shape[1] ** 0.5
    rows = torch.where(varies, rows / torch.where(varies, norms, 1.0), 0.0)
    rows = rows - rows.mean(dim=0)  # keeps the digits of small distances, which are half the squares of Euclidean ones
    halves = rows.square().sum(dim=1) / 2
    matrix = (rows @ rows.T).neg_().add_(halves).add_(halves[:, None])
    fixed = None if bool(varies.all()) else ~(varies & varies.T)  # distances of rows that do not vary
    if fixed is not None:
        matrix[fixed] = 0
    top = float(matrix.max())
    if top > (4 * torch.finfo(layer.dtype).eps) ** 2:
        steps = 2.0 ** (_TIES - math.frexp(top)[1])
        matrix.mul_(steps).round_().div_(steps)
    else:  # the rows differ by rounding
        matrix.zero_()
    if fixed is not None:
        matrix[fixed] = 1
    return matrix.fill_diagonal_(0)
