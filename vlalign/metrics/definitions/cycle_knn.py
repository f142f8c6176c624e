"""Cycle consistency of the nearest neighbours: from a sample to a neighbour in Y, and back to it in X."""

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


def cycle_knn(x: ArrayLike, y: ArrayLike, k: int = 10) -> float:
    """Compute the share of the rows i that are among kNN_X(j) for some j in kNN_Y(i).

    Not symmetric. The function of the reference code (Huh et al., arXiv 2405.07987) takes its arguments in this order,
    but its scorer calls it with the sides exchanged. ``cycle_knn(x, x)`` need not be 1: it is the share of the rows
    that some neighbour of theirs has as a neighbour too.

    Args:
        x, y: features [N, D1] and [N, D2], rows paired. Neighbours are by inner product: normalise the rows for cosine.
        k: number of neighbours, 1 <= k < N.

    Returns:
        A share in [0, 1]. Ties are broken at random, independently for x and for y.

    Raises:
        VlalignError: as :meth:`vlalign.metrics.Metric.evaluate`, or for k outside 1..N-1.

    >>> import torch
    >>> x = torch.eye(4)[[0, 0, 1, 1]]
    >>> cycle_knn(x, 2 * x, k=1)
    1.0
    """
    return CycleKnn(k).evaluate(x, y)


@dataclass(frozen=True)
class CycleKnn(MatchMetric):
    """The metric as the scorer uses it."""

    back: ClassVar[bool] = True

    name: ClassVar[str] = "cycle_knn"
    info: ClassVar[Info] = Info(
        summary="share of samples i that are among kNN_X(j) for some j in kNN_Y(i)",
        range="[0, 1]",
        invariances="rotation and isotropic scaling",
        cost="N²·D per layer, N·k per pair",
        source="Huh et al. 2024 (arXiv 2405.07987), whose scorer exchanges the sides",
        symmetric=False,
    )

    def of_groups(self, groups: Groups) -> Floats:
        return np.ones(len(groups.count))

    def moments(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> Moments:
        """Compute the exact mean: row i counts unless k random others all miss the rows whose neighbour it is in X."""
        from scipy.stats import hypergeom

        n = len(x[0].x)
        missed = hypergeom.pmf(0, n - 1, np.arange(n), self.k)  # by the number of rows whose neighbour it is
        mean = [1 - missed[np.bincount(layer.x.numpy().ravel(), minlength=n)].mean() for layer in x]
        return Moments(np.repeat(np.array(mean)[:, None], len(y), axis=1), None)
