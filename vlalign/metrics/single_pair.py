"""A metric of one pair of layers, with the checks that every metric needs."""

from __future__ import annotations

from numpy.typing import ArrayLike

from vlalign.metrics.base import Metric, same_rows
from vlalign.metrics.engine.neighbours import check_features, checked_norms


def evaluate(metric: Metric, x: ArrayLike, y: ArrayLike) -> float:
    """Compute a metric of one pair of layers [N, D1] and [N, D2], after the checks that every metric needs.

    Raises:
        VlalignError: no features [N, D], numbers of rows that differ, values that are not finite, or what the
            metric itself refuses.
    """
    checked = [check_features(side, name) for side, name in ((x, "x"), (y, "y"))]
    same_rows(*checked)
    for side, name in zip(checked, "xy", strict=True):
        checked_norms(side, name)
    metric.check(len(checked[0]), [side.shape[1] for side in checked])
    return float(metric.grid([metric.prepare(checked[0])], [metric.prepare(checked[1])])[0, 0])
