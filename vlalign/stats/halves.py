"""Random halves of the samples and their complements, which intervals of scores and of differences are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats, Ints, Metric
from vlalign.stats.groups import checked_groups, members
from vlalign.stats.null import generator


@dataclass(frozen=True)
class Halves:
    """How N samples are cut into two halves; :func:`vlalign.stats.interval.half_sampling` says why.

    Attributes:
        n: samples.
        units: rows of what is drawn as a whole: single samples, or groups.
        cuts: how many times.
    """

    n: int
    units: list[Ints]
    cuts: int

    @classmethod
    def of(cls, n: int, count: int, groups: Any = None) -> Halves:
        """Halves for ``count`` half-samples, two a cut; an odd count is one more.

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
        """Rows of both halves of each cut, ascending; they depend on the seed and the number of units only."""
        random = generator("half-samples", seed, len(self.units))
        for _ in range(self.cuts):
            order = random.permutation(len(self.units))
            first, second = order[: self.half], order[self.half : 2 * self.half]
            yield self._of(first), self._of(second)

    def _of(self, chosen: Ints) -> Ints:
        return np.sort(np.concatenate([self.units[unit] for unit in chosen]))

    def sd(self, differences: Floats) -> Floats:
        """Standard deviation of a statistic of all samples, from how much it differs between the halves [cuts, …]."""
        share = 2 * self.half / len(self.units)  # below 1 for an odd number: the variance is that of 2 * half units
        return np.sqrt(share * np.mean(np.square(differences), axis=0) / 4)

    def quantile(self, level: float) -> float:
        """Of Student's t, with as many degrees of freedom as there are cuts."""
        from scipy.stats import t as student

        return float(student.ppf((1 + level) / 2, self.cuts))

    def p_value(self, statistic: Floats, sd: Floats) -> Floats:
        """Two-sided p-value of a statistic that is 0 by hypothesis; 1 where it is 0, NaN where only its sd is."""
        from scipy.stats import t as student

        statistic, sd = np.asarray(statistic, dtype=np.float64), np.asarray(sd, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = 2 * student.sf(np.abs(statistic) / sd, self.cuts)
        return np.where(statistic == 0, 1.0, np.where(sd > 0, found, np.nan))
