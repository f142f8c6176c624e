"""Cycle consistency of the nearest neighbours: from a sample to a neighbour in Y, and back to it in X, or reversed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from vlalign.metrics.base import Floats, Info, Ints, Moments, choice
from vlalign.metrics.engine.matches import Groups, MatchMetric
from vlalign.metrics.engine.neighbour_lists import of_sides
from vlalign.metrics.engine.ties import Sided

if TYPE_CHECKING:
    from torch import Tensor


def cycle_knn(x: ArrayLike, y: ArrayLike, k: int = 10, direction: str = "y_to_x") -> float:
    """Compute the share of the rows i that are among kNN_X(j) for some j in kNN_Y(i).

    Not symmetric: ``direction`` exchanges the sides. The function of the reference code (Huh et al., arXiv 2405.07987)
    takes its arguments in this order, but its scorer calls it with the sides exchanged. ``cycle_knn(x, x)`` need not be
    1: it is the share of the rows that some neighbour of theirs has as a neighbour too.

    Args:
        x, y: features [N, D1] and [N, D2], rows paired. Neighbours are by inner product: normalise the rows for cosine.
        k: number of neighbours, 1 <= k < N.
        direction: ``y_to_x`` goes to a neighbour in Y and back in X, ``x_to_y`` to a neighbour in X and back in Y (some
            j in kNN_X(i) with i among kNN_Y(j)), ``mean`` is the mean of both values.

    Returns:
        A share in [0, 1]. Ties are broken at random, independently for x and for y.

    Raises:
        VlalignError: as :meth:`vlalign.metrics.Metric.evaluate`, or for k outside 1..N-1, or another direction.

    >>> import torch
    >>> x = torch.eye(4)[[0, 0, 1, 1]]
    >>> cycle_knn(x, 2 * x, k=1)
    1.0
    """
    return CycleKnn(k, direction).evaluate(x, y)


@dataclass(frozen=True)
class CycleKnn(MatchMetric):
    """The metric as the scorer uses it."""

    direction: str = "y_to_x"

    back: ClassVar[bool] = True

    name: ClassVar[str] = "cycle_knn"
    info: ClassVar[Info] = Info(
        summary="share of samples i that are among kNN_X(j) for some j in kNN_Y(i)",
        range="[0, 1]",
        invariances="rotation and isotropic scaling",
        cost="N²·D per layer, N·k per pair",
        source="Huh et al. 2024 (arXiv 2405.07987), whose scorer exchanges the sides",
        symmetric=False,  # direction "mean" is
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        choice(self.direction, "direction", self.name, ("y_to_x", "x_to_y", "mean"))

    @property
    def params(self) -> dict[str, Any]:
        """Parameters, as records hold them: those of earlier versions have no direction."""
        return {"k": self.k} if self.direction == "y_to_x" else {"k": self.k, "direction": self.direction}

    def of_groups(self, groups: Groups) -> Floats:
        return np.ones(len(groups.count))

    def per_sample(self, x: Sided[Tensor], y: Sided[Tensor]) -> Floats:
        return self._mean(partial(super().per_sample, x, y), partial(super().per_sample, y.turned(), x.turned()))

    def moments(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> Moments:
        """Compute the exact mean: row i counts unless k random others all miss the rows whose neighbour it is."""
        from scipy.stats import hypergeom

        n = len(x[0].x)
        missed = hypergeom.pmf(0, n - 1, np.arange(n), self.k)  # by the number of rows whose neighbour it is

        def chance(lists: Sequence[Tensor]) -> Floats:
            return np.array([1 - missed[np.bincount(one.numpy().ravel(), minlength=n)].mean() for one in lists])

        of_x, of_y = of_sides(x, y)
        zeros = np.zeros((len(x), len(y)))
        return Moments(self._mean(lambda: chance(of_x)[:, None] + zeros, lambda: chance(of_y) + zeros), None)

    def _values(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]], permutations: Ints | None) -> Floats:
        inverse = None if permutations is None else np.argsort(permutations, axis=1)  # of x, in place of y
        of_y, of_x = ([layer.turned() for layer in side] for side in (y, x))
        x_to_y = partial(super()._values, of_y, of_x, inverse)
        return self._mean(partial(super()._values, x, y, permutations), lambda: x_to_y().transpose(0, 2, 1))

    def _mean(self, y_to_x: Callable[[], Floats], x_to_y: Callable[[], Floats]) -> Floats:
        """Return the value of the direction from the functions that compute those of both."""
        if self.direction == "mean":
            return (y_to_x() + x_to_y()) / 2
        return y_to_x() if self.direction == "y_to_x" else x_to_y()
