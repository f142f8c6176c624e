"""Units that folds, resamples and shuffles keep whole: samples, or groups of samples such as captions of one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlalign.row_ids import group_names

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SampleGroups:
    """Units of N samples, which differ in size where they are groups.

    Attributes:
        of: unit [N] of each sample, from 0 to G − 1.
        names: G names of groups; None where each sample is a unit.
    """

    of: Ints
    names: tuple[str, ...] | None = None

    @property
    def groups(self) -> int | None:
        """Number of groups; None where each sample is a unit."""
        return None if self.names is None else len(self.names)

    @cached_property
    def sizes(self) -> Ints:
        """Number of samples of each unit [G]."""
        return np.bincount(self.of)

    @cached_property
    def _rows(self) -> Ints:
        """Samples unit after unit [N]."""
        return np.argsort(self.of, kind="stable")

    @cached_property
    def _starts(self) -> Ints:
        """Place in ``_rows`` of the first sample of each unit [G]."""
        return np.cumsum(self.sizes) - self.sizes

    @cached_property
    def _places(self) -> Ints:
        """Place of each sample in its unit [N], from 0."""
        places = np.empty_like(self.of)
        places[self._rows] = np.arange(len(self.of)) - np.repeat(self._starts, self.sizes)
        return places

    @cached_property
    def first(self) -> Ints:
        """First sample of each unit [G]."""
        return self._rows[self._starts]

    def rows(self, some: Ints) -> Ints:
        """Return the samples of units, one unit after the other."""
        sizes = self.sizes[some]
        return self._rows[np.repeat(self._starts[some] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())]

    def arranged(self, other: Ints) -> Ints:
        """Return for each sample [N] one of the unit that replaces its unit, of ``other`` [G].

        The samples of a unit get those of the other in order, from the start again where the other has fewer.

        >>> SampleGroups(np.array([0, 0, 0, 1, 1])).arranged(np.array([1, 0])).tolist()
        [3, 4, 3, 0, 1]
        """
        chosen = other[self.of]
        return self._rows[self._starts[chosen] + self._places % self.sizes[chosen]]

    def resample(self, draw: np.random.Generator) -> Ints:
        """Return the samples of as many units as there are, drawn with replacement."""
        return self.rows(draw.integers(len(self.sizes), size=len(self.sizes)))

    def shuffle(self, draw: np.random.Generator, *keys: Ints) -> Ints:
        """Return for each sample [N] one of the unit that it is given in a random exchange of units with equal keys.

        Args:
            draw: random numbers.
            keys: [N] each, equal for all samples of a unit; the last one is sorted by first.
        """
        values = [key[self.first] for key in keys]
        other = np.empty(len(self.sizes), dtype=np.int64)
        other[np.lexsort(values)] = np.lexsort((draw.random(len(other)), *values))
        return self.arranged(other)


def read_sample_groups(groups: Any, ids: Sequence[str] | None, n: int) -> SampleGroups:
    """Return the units of n samples: their groups, given by row or by id, or the samples where groups are None.

    Raises:
        VlalignError: as :func:`vlalign.row_ids.group_names`.
    """
    if groups is None:
        return SampleGroups(np.arange(n))
    names, of = np.unique(group_names(groups, ids, n), return_inverse=True)
    return SampleGroups(of.reshape(-1).astype(np.int64), tuple(names.tolist()))
