"""Test of whether two models are aligned differently with the same third one, on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats, Ints, Metric
from vlalign.stats.subsets import Halves, Subsets, common_rows, widths

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Difference:
    """The value of a minus that of b; ``p_value`` tests for no difference, None where all halves agree on one."""

    difference: float
    low: float
    high: float
    level: float
    sd: float
    p_value: float | None


@dataclass(frozen=True)
class Differences:
    """Differences of the best layer pairs, and layer by layer.

    Attributes:
        a, b: matrices [La, Lr] and [Lb, Lr] of all samples.
        largest: of the largest values over all layer pairs.
        crossed: of the best layer pairs, selected on one half of the samples and scored on the other.
        layers: of the largest value over the reference's layers, for each layer; empty where a and b differ in their
            number of layers.
        half: samples that ``crossed`` is scored on, or the fewest of them.
        count, seed: half-samples.
    """

    a: Floats
    b: Floats
    largest: Difference
    crossed: Difference
    layers: list[Difference]
    half: int
    count: int
    seed: int

    @property
    def p_value(self) -> float | None:
        """The larger p-value of both; 1 where they have opposite signs, None where one of them has no p-value."""
        if self.largest.difference * self.crossed.difference <= 0:
            return 1.0
        if self.largest.p_value is None or self.crossed.p_value is None:
            return None
        return max(self.largest.p_value, self.crossed.p_value)


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
    """Compare the alignment of a and b with one reference: intervals and p-values from the same halves for both.

    The samples are cut into two halves, as in :func:`vlalign.stats.interval.half_sampling`, and both models are scored
    on each. What a and b have in common, the same samples and the same reference, moves both scores together and drops
    out of their difference; two intervals that overlap can therefore hide a clear difference.

    A model with more layers has more chances of a large maximum, even where no layer is aligned: the difference of the
    maxima (``largest``) favours the side of more layers. Selecting the layer pairs on one half and scoring them on the
    other, in turn, over all cuts (``crossed``), gains nothing from layers that are better by chance, but sometimes
    selects one that is a little worse, which costs a model with many nearly-best layers: it favours the other side.
    Models count as different by :attr:`Differences.p_value` where both agree. With d the difference and sd the
    half-sampled standard deviation of the difference of the maxima, ``p = 2 P(t >= |d| / sd)`` (Student's t, as many
    degrees of freedom as cuts). ``benchmarks/simulate.py`` measures how often either, and both, separate equal models.
    The halves are half as large as the data, so ``crossed`` is a difference of scores at N/2 (for mutual-kNN at the
    same k, larger than at N).

    Why no permutation: permuting the rows of the reference tests the hypothesis that neither model is aligned with it,
    not that both are aligned equally; and features of two models cannot be exchanged row by row, because their spaces
    differ.

    Args:
        metric: any metric.
        a_layers, b_layers, reference: layers [N, D] as they are scored, rows paired.
        reference_first: the reference is the x side, for metrics that are not symmetric.
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

    def maxima(grids: tuple[Floats, Floats]) -> Floats:
        a, b = grids
        layers = a.max(axis=1) - b.max(axis=1) if len(a) == len(b) else np.empty(0)
        return np.array([a.max() - b.max(), *layers])

    def crossed(picked: tuple[Floats, Floats], scored: tuple[Floats, Floats]) -> float:
        a, b = (values.flat[int(np.argmax(seen))] for seen, values in zip(picked, scored, strict=True))
        return float(a - b)

    a, b = matrices(np.arange(n))
    of_halves, across = [], []
    for pair in cut.rows(seed):
        one, other = (matrices(rows) for rows in pair)
        of_halves.append((maxima(one), maxima(other)))
        across += [crossed(one, other), crossed(other, one)]
    halves = np.array(of_halves)  # [cuts, 2, 1 + layers]
    sd = cut.sd(halves[:, 0] - halves[:, 1])
    first, *layers = maxima((a, b))
    values, sd = np.array([first, np.mean(across), *layers]), sd[[0, 0, *range(1, len(sd))]]
    margin = cut.quantile(level) * sd
    differences = [
        Difference(float(d), float(d - m), float(d + m), level, float(s), None if np.isnan(p) else float(p))
        for d, m, s, p in zip(values, margin, sd, cut.p_value(values, sd), strict=True)
    ]
    return Differences(a, b, differences[0], differences[1], differences[2:], cut.smallest, 2 * cut.cuts, seed)
