"""Random subsets of the samples and their scores; halves and their complements, which intervals are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats, Ints, Metric
from vlalign.metrics.engine.neighbour_lists import NeighbourMetric
from vlalign.metrics.engine.threads import map_layers
from vlalign.stats.groups import checked_groups, members
from vlalign.stats.null import generator

if TYPE_CHECKING:
    from torch import Tensor

_FEW = 192  # rows below which passing layers to threads takes longer than the work


class Subsets:
    """Layers [N, D] of two models as they are scored, to score subsets of at least ``smallest`` rows.

    The work that all subsets share is done once.
    """

    def __init__(self, metric: Metric, x: Sequence[Tensor], y: Sequence[Tensor], smallest: int) -> None:
        self.metric = metric
        self._split = len(x)
        self._kept = map_layers(lambda layer: metric.for_subsets(layer, smallest), [*x, *y])

    def prepared(self, rows: Ints) -> tuple[list[Any], list[Any]]:
        """Prepare the layers of both sides for the rows ``rows`` (ascending)."""
        run = map if len(rows) < _FEW else map_layers
        layers = list(run(lambda kept: self.metric.subset(kept, rows), self._kept))
        return layers[: self._split], layers[self._split :]


def each_subset(
    metric: Metric, x: Sequence[Any], y: Sequence[Any], chosen: Sequence[Ints]
) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield the prepared layers of both sides for each of several subsets, those of one size next to each other.

    Where a metric keeps neighbour lists alone, layers are used one after the other and each is searched once.
    """
    if isinstance(metric, NeighbourMetric) and metric.lazy:
        for prepared in zip(*map_layers(lambda layer: metric.subsets(layer, chosen), [*x, *y]), strict=True):
            yield list(prepared[: len(x)]), list(prepared[len(x) :])
        return
    for size, rows_of_size in groupby(chosen, len):
        subsets = Subsets(metric, x, y, size)
        yield from map(subsets.prepared, rows_of_size)


def common_rows(x: Sequence[Tensor], y: Sequence[Tensor]) -> int:
    """Return the number of rows that all layers of both sides have.

    Raises:
        VlalignError: without layers, or if the numbers differ.
    """
    if not len(x) or not len(y):
        raise VlalignError("each side needs at least one layer [N, D]")
    rows = {len(layer) for layer in [*x, *y]}
    if len(rows) > 1:
        raise VlalignError(f"all layers must have one number of rows, got {sorted(rows)}: pair the samples first")
    return rows.pop()


def widths(layers: Sequence[Tensor]) -> list[int]:
    """Return the width D of each layer [N, D]."""
    return [layer.shape[1] for layer in layers]


@dataclass(frozen=True)
class Halves:
    """Cuts of N samples into two halves; :func:`vlalign.stats.interval.half_sampling` explains why.

    Attributes:
        n: samples.
        units: rows of the units that are drawn: single samples, or groups.
        cuts: number of cuts.
    """

    n: int
    units: list[Ints]
    cuts: int

    @classmethod
    def of(cls, n: int, count: int, groups: Any = None) -> Halves:
        """Make the cuts of ``count`` half-samples, two each; an odd count is one more.

        Raises:
            VlalignError: for fewer than 2 half-samples or 4 units, or wrong ``groups``.
        """
        if count < 2:
            raise VlalignError(f"an interval needs at least 2 half-samples, got {count}")
        units = members(np.arange(n) if groups is None else checked_groups(groups, n))
        if len(units) < 4:
            raise VlalignError(f"an interval needs at least 4 samples or groups of samples, got {len(units)}")
        return cls(n, units, (count + 1) // 2)

    @property
    def half(self) -> int:
        """Units in a half; of an odd number, one unit is in neither."""
        return len(self.units) // 2

    @property
    def smallest(self) -> int:
        """Samples in the smallest half that may be drawn."""
        return sum(sorted(len(rows) for rows in self.units)[: self.half])

    def check(self, metric: Metric, widths: Sequence[int]) -> None:
        """Raise VlalignError if half of the samples are too few for the metric."""
        try:
            metric.check(self.smallest, widths)
        except VlalignError as error:
            raise VlalignError(
                f"an interval scores half-samples, here of {self.smallest} of N={self.n} rows: {error}"
            ) from error

    def rows(self, seed: int) -> Iterator[tuple[Ints, Ints]]:
        """Draw the rows of both halves of each cut, ascending; they depend on the seed and the number of units only."""
        random = generator("half-samples", seed, len(self.units))
        for _ in range(self.cuts):
            order = random.permutation(len(self.units))
            first, second = order[: self.half], order[self.half : 2 * self.half]
            yield self._rows_of(first), self._rows_of(second)

    def _rows_of(self, chosen: Ints) -> Ints:
        if len(self.units) == self.n:  # single samples, in order
            return np.sort(chosen)
        return np.sort(np.concatenate([self.units[unit] for unit in chosen]))

    def sd(self, differences: Floats) -> Floats:
        """Estimate the sd of a statistic of all samples from its differences between the halves [cuts, …]."""
        share = 2 * self.half / len(self.units)  # below 1 for an odd number: the variance is that of 2 * half units
        return np.sqrt(share * np.mean(np.square(differences), axis=0) / 4)

    def quantile(self, level: float) -> float:
        """Return the quantile of Student's t, with as many degrees of freedom as cuts."""
        from scipy.special import stdtrit  # scipy.stats takes a second to import

        return float(stdtrit(self.cuts, (1 + level) / 2))

    def p_value(self, statistic: Floats, sd: Floats) -> Floats:
        """Compute the two-sided p-value of a statistic against 0; 1 where it is 0, NaN where only its sd is."""
        from scipy.special import stdtr

        statistic, sd = np.asarray(statistic, dtype=np.float64), np.asarray(sd, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            p = 2 * stdtr(self.cuts, -np.abs(statistic) / sd)
        return np.where(statistic == 0, 1.0, np.where(sd > 0, p, np.nan))
