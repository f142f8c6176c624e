"""Longest common subsequence of the ordered nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numpy.typing import ArrayLike

from vlalign.metrics.base import Floats, Info
from vlalign.metrics.engine.matches import Groups, MatchMetric, best_chains


def lcs_knn(x: ArrayLike, y: ArrayLike, k: int = 10) -> float:
    """Compute the mean length of the longest common subsequence of the rows' two neighbour lists, divided by ``k``.

    Unlike mutual-kNN it depends on the order of the neighbours. The reference code (Huh et al., arXiv 2405.07987) does
    not divide by ``k``: its number is ``k`` times this one.

    Args:
        x, y: features [N, D1] and [N, D2], rows paired. Neighbours are by inner product: normalise the rows for cosine.
        k: number of neighbours, 1 <= k < N.

    Returns:
        A value in [0, 1], at most that of mutual-kNN. Ties are broken at random, independently
        for x and for y.

    Raises:
        VlalignError: as :meth:`vlalign.metrics.Metric.evaluate`, or for k outside 1..N-1.

    >>> import torch
    >>> x = torch.tensor([[1.0], [2.0], [3.0], [4.0]])  # neighbours: 3 2, 3 2, 3 1, 2 1
    >>> lcs_knn(x, -x, k=2), lcs_knn(x, x.flip(0), k=2)  # turned: 1 2, 0 2, 0 1, 0 1
    (1.0, 0.5)
    """
    return LcsKnn(k).evaluate(x, y)


@dataclass(frozen=True)
class LcsKnn(MatchMetric):
    """The metric as the scorer uses it."""

    name: ClassVar[str] = "lcs_knn"
    info: ClassVar[Info] = Info(
        summary="longest common subsequence of the ordered lists of k nearest neighbours, mean over samples, / k",
        range="[0, 1]",
        invariances="rotation and isotropic scaling",
        cost="N²·D per layer, N·k per pair, more where neighbours are shared",
        source="Huh et al. 2024 (arXiv 2405.07987), whose code does not divide by k",
    )

    def of_groups(self, groups: Groups) -> Floats:
        return best_chains(groups, shifts_cost=False) / self.k
