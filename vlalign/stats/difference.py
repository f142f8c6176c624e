"""Whether two models are aligned differently with the same third one, on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats, Ints, Metric
from vlalign.stats.halves import Halves
from vlalign.stats.subsets import Subsets, common_rows, widths


@dataclass(frozen=True)
class Difference:
    """``observed`` is that of a minus that of b; ``p_value`` of no difference, None where all halves agree on one."""

    observed: float
    low: float
    high: float
    level: float
    sd: float
    p_value: float | None

    def summary(self) -> dict[str, Any]:
        """JSON-able, all fields."""
        return asdict(self)


@dataclass(frozen=True)
class Differences:
    """Of the largest values over all layer pairs, of the best layer pairs, and layer by layer.

    Attributes:
        a, b: matrices [La, Lr] and [Lb, Lr] of all samples.
        largest: of the maxima, whose layers are picked anew in every half.
        fixed: of the layer pairs that are best on all samples.
        layers: of the largest value over the reference's layers, for each layer; empty where a and b have other numbers
            of layers.
        count, seed: half-samples.
    """

    a: Floats
    b: Floats
    largest: Difference
    fixed: Difference
    layers: list[Difference]
    count: int
    seed: int


def paired_differences(
    metric: Metric,
    a_layers: Sequence[Tensor],
    b_layers: Sequence[Tensor],
    reference: Sequence[Tensor],
    *,
    reference_first: bool = True,
    count: int = 100,
    level: float = 0.95,
    seed: int = 0,
    groups: Any = None,
) -> Differences:
    """Differences of alignment with one reference, with intervals and p-values from the same halves for a and b.

    The samples are cut into two halves, as in :func:`vlalign.stats.interval.half_sampling`, and both models are scored
    on each. What a and b have in common, the same samples and the same reference, moves both scores together and drops
    out of their difference; two intervals that overlap can therefore hide a clear difference. With d the difference
    and sd that of half-sampling, ``p = 2 P(t >= |d| / sd)`` (Student's t, as many degrees of freedom as cuts).

    Why no permutation: permuting the rows of the reference says what happens where neither model is aligned with it,
    which is another hypothesis than that both are aligned equally; and features of two models cannot be exchanged row
    by row, for their spaces are not the same.

    Args:
        metric: any metric.
        a_layers, b_layers, reference: layers [N, D] as they are scored, rows paired.
        reference_first: the reference is the x side, for metrics that tell the sides apart.
        count: half-samples.
        level: of the intervals.
        seed, groups: as :func:`vlalign.stats.interval.half_sampling`.

    Raises:
        VlalignError: as :func:`vlalign.stats.interval.half_sampling`.
    """
    if not 0 < level < 1:
        raise VlalignError(f"the level of an interval must lie between 0 and 1, got {level}")
    both = [*a_layers, *b_layers]
    n, split = common_rows(both, reference), len(a_layers)
    cut = Halves.of(n, count, groups)
    cut.check(metric, widths([*both, *reference]))
    subsets = Subsets(metric, both, reference, cut.smallest)

    def matrices(rows: Ints) -> tuple[Floats, Floats]:
        models, other = subsets.prepared(rows)
        grid = metric.grid(other, models).T if reference_first else metric.grid(models, other)
        return grid[:split], grid[split:]

    a, b = matrices(np.arange(n))
    best = tuple(np.unravel_index(int(np.argmax(grid)), grid.shape) for grid in (a, b))
    same = len(a) == len(b)

    def statistics(grids: tuple[Floats, Floats]) -> Floats:
        first, second = grids
        layers = first.max(axis=1) - second.max(axis=1) if same else np.empty(0)
        return np.array([first.max() - second.max(), first[best[0]] - second[best[1]], *layers])

    observed = statistics((a, b))
    halves = np.array([[statistics(matrices(rows)) for rows in pair] for pair in cut.rows(seed)])  # [cuts, 2, …]
    sd = cut.sd(halves[:, 0] - halves[:, 1])
    margin = cut.quantile(level) * sd
    p_values = cut.p_value(observed, sd)
    found = [
        Difference(float(d), float(d - m), float(d + m), level, float(s), None if np.isnan(p) else float(p))
        for d, m, s, p in zip(observed, margin, sd, p_values, strict=True)
    ]
    return Differences(a, b, found[0], found[1], found[2:], 2 * cut.cuts, seed)
