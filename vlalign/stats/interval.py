"""Intervals of a score from half-samples without replacement and their complements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.arithmetic import exact_float32
from vlalign.errors import VlalignError
from vlalign.metrics.base import Ints, Metric
from vlalign.metrics.engine.threads import map_layers
from vlalign.processes import share_out
from vlalign.stats.subsets import Halves, Subsets, common_rows, widths

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Interval:
    """``observed`` ± a multiple of its standard deviation."""

    observed: float
    low: float
    high: float
    level: float
    sd: float  # of the observed statistic
    mean_of_halves: float  # biased for the statistic of all samples: not used
    count: int
    seed: int
    statistic: str


@exact_float32()
def half_sampling(
    metric: Metric,
    x_layers: Sequence[Tensor],
    y_layers: Sequence[Tensor],
    *,
    count: int = 100,
    level: float = 0.95,
    seed: int = 0,
    groups: Any = None,
) -> Interval:
    """Estimate an interval of a score under sampling of the samples: of one layer pair, or of the maximum over all.

    Drawing rows with replacement makes duplicates, which are each other's neighbours; halves without replacement have
    none. The samples are cut at random into two halves H and H' (McCarthy 1969, "Pseudo-replication: half samples"),
    and ``sd² = mean of ((θ_H − θ_H') / 2)²``. Why: let the statistic of n samples be ``θ + (1/n) Σ ψ_i`` plus a part
    made of pairs of samples, with variances σ²/n and v. Given the data, a half-sample without replacement has variance
    ``σ²/m · (n − m)/n``, which for m = n/2 is σ²/n itself, no rescaling needed, but three times v. Half the difference
    of two complementary halves has σ²/n + 2v, half their sum only v, so the difference is closer to σ²/n + v; without
    alignment (v alone) it is too wide, by √2. What the halves have in common drops out: at the same k the chance level
    k/(n/2 − 1) of a neighbour metric is twice as high, and its neighbourhoods are wider, so the mean of the halves does
    not estimate the score of all samples.

    In simulations (Gaussian features, N 80 to 400, nominal 95 %) mutual_knn covers 91 to 99 %, its sd up to 40 % too
    large for scores near chance and 13 % too small for scores above one half at N/k = 20; the correlation of inner
    products covers 93 to 99 %.

    Args:
        metric: any metric.
        x_layers, y_layers: layers [N, D] as they are scored (after the preset), rows paired.
        count: half-samples, two a cut (an odd count is one more); the multiple is the Student t quantile with
            count / 2 degrees of freedom.
        level: nominal coverage, for the mean of the statistic over data sets of this size.
        seed: of the half-samples.
        groups: labels [N] of samples that belong together; half of the groups are drawn instead. At least 4 groups.

    Returns:
        The interval; it may reach beyond the range of the metric. Where all halves agree its width is 0.

    Raises:
        VlalignError: if half of the samples are too few for the metric, for wrong ``count``, ``level`` or ``groups``,
            or layers that differ in the number of rows.
    """
    if not 0 < level < 1:
        raise VlalignError(f"the level of an interval must lie between 0 and 1, got {level}")
    n = common_rows(x_layers, y_layers)
    cut = Halves.of(n, count, groups)
    cut.check(metric, widths([*x_layers, *y_layers]))
    subsets = Subsets(metric, x_layers, y_layers, cut.smallest)

    def largest(rows: Ints) -> float:
        return float(metric.grid(*subsets.prepared(rows)).max())

    def scores(chosen: slice) -> list[list[float]]:
        run = map_layers if metric.lazy else map  # lists are small, so that several halves fit beside each other
        return list(run(lambda both: [largest(rows) for rows in both], list(cut.rows(seed))[chosen]))

    halves = np.array(share_out(cut.cuts, scores) if metric.lazy else scores(slice(None)))
    observed = largest(np.arange(n))
    sd = float(cut.sd(halves[:, 0] - halves[:, 1]))
    margin = cut.quantile(level) * sd
    one = len(x_layers) == len(y_layers) == 1
    return Interval(
        observed=observed,
        low=observed - margin,
        high=observed + margin,
        level=level,
        sd=sd,
        mean_of_halves=float(halves.mean()),
        count=2 * cut.cuts,
        seed=seed,
        statistic="score" if one else "maximum over all layer pairs",
    )
