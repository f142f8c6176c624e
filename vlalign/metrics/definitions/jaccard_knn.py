"""Jaccard index of the nearest neighbours: shared neighbours over all neighbours of a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from vlalign.metrics.base import Floats, Info, Moments
from vlalign.metrics.engine.matches import Groups, MatchMetric
from vlalign.metrics.engine.ties import Sided

if TYPE_CHECKING:
    from torch import Tensor


def jaccard_knn(x: ArrayLike, y: ArrayLike, k: int = 10) -> float:
    """Compute the mean over rows of ``|kNN_X(i) ∩ kNN_Y(i)| / |kNN_X(i) ∪ kNN_Y(i)|``.

    With o shared neighbours a row counts ``o / (2k - o)``: less than mutual-kNN's ``o / k`` unless o is 0 or k.

    Args:
        x, y: features [N, D1] and [N, D2], rows paired. Neighbours are by inner product: normalise the rows for cosine.
        k: number of neighbours, 1 <= k < N.

    Returns:
        A value in [0, 1]. Ties are broken at random, independently for x and for y.

    Raises:
        VlalignError: as :meth:`vlalign.metrics.Metric.evaluate`, or for k outside 1..N-1.

    >>> import torch
    >>> x = torch.eye(4)[[0, 0, 1, 1]]
    >>> jaccard_knn(x, 2 * x, k=1)
    1.0
    """
    return JaccardKnn(k).evaluate(x, y)


@dataclass(frozen=True)
class JaccardKnn(MatchMetric):
    """The metric as the scorer uses it."""

    name: ClassVar[str] = "jaccard_knn"
    info: ClassVar[Info] = Info(
        summary="shared k nearest neighbours over all neighbours: |kNN_X(i) ∩ kNN_Y(i)| / |kNN_X(i) ∪ kNN_Y(i)|",
        range="[0, 1]",
        invariances="rotation and isotropic scaling",
        cost="N²·D per layer, N·k per pair",
        source="Jaccard similarity of neighbours, as in Klabunde et al. 2023 (arXiv 2305.06329)",
    )

    def of_groups(self, groups: Groups) -> Floats:
        return groups.count / (2 * self.k - groups.count)

    def moments(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> Moments:
        """Compute the exact mean: a row's overlap is hypergeometric, k of N - 1 drawn twice. The sd has no formula."""
        from scipy.stats import hypergeom

        shared = np.arange(self.k + 1)
        chance = hypergeom.pmf(shared, len(x[0].x) - 1, self.k, self.k)
        return Moments(np.full((len(x), len(y)), float(chance @ (shared / (2 * self.k - shared)))), None)
