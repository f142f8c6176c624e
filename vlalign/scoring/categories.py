"""Categories of samples, inside which pairs are shuffled to see how much of a score they explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats, Ints
from vlalign.row_ids import by_row
from vlalign.scoring.grouping import numbered, values_digest
from vlalign.stats.explained import STRATA, strata

_MOST_NAMES = 0.05  # of the values of a column of numbers, which are a mistake

#: Values of the samples by id (a mapping, or a series with an index) or by row, or a :class:`Column` of them; several
#: of these in a tuple.
Within: TypeAlias = "Column | Mapping[str, Any] | Sequence[Any] | np.ndarray | tuple[Any, ...]"


@dataclass(frozen=True, eq=False)
class Column:
    """A named column of values, by id or by row, and the file and column that it comes from."""

    name: str
    values: Any
    source: str = "given"

    @property
    def digest(self) -> str:
        """SHA-256 of name and values, in hexadecimal digits."""
        return values_digest(self.values, self.name)


@dataclass(frozen=True, eq=False)
class Categories:
    """Categories of the samples of one score.

    Attributes:
        name: of the column.
        source: of the column.
        labels: 0, 1, … of each sample [N], in the order in which they are scored.
        cut: whether they are strata of similar numbers.
    """

    name: str
    source: str
    labels: Ints
    cut: bool = False

    def describe(self) -> dict[str, Any]:
        """Return the entry of a record: name, whether numbers were cut, numbers of categories and of samples."""
        sizes = np.bincount(self.labels)
        return {
            "name": self.name,
            "source": self.source,
            "cut": self.cut,
            "categories": len(sizes),
            "largest": int(sizes.max()),
            "alone": int((sizes == 1).sum()),
        }


def columns_of(within: Within | None) -> list[Column]:
    """Return the columns that the option names; a column without a name is called category.

    Raises:
        VlalignError: a text, which is no values, or two columns of one name.
    """
    given = [] if within is None else list(within) if isinstance(within, tuple) else [within]
    columns = []
    for one in given:
        if isinstance(one, str):
            raise VlalignError(
                f"within: {one!r} is a text: give one value a sample, by row or by id, such as "
                "pandas.read_csv(FILE, dtype=str, index_col='id')[COLUMN]"
            )
        if not isinstance(one, Column):
            name = getattr(one, "name", None)  # of a series
            one = Column("category" if name is None else str(name), one)
        columns.append(one)
    if len({column.name for column in columns}) < len(columns):
        raise VlalignError("within names two columns of one name: leave one out, or rename it")
    return columns


def resolve_categories(column: Column, names: Sequence[str] | None, n: int) -> Categories:
    """Return the categories of ``n`` samples; numbers of more than 32 values are cut into strata of similar ones.

    Raises:
        VlalignError: values by id for features without ids, samples without a value, values that are no labels, or one
            category, or one for each sample; or few values that are no number among many numbers.
    """
    what = f"the column {column.name}"
    values = by_row(column.values, names, n, f"values of {what}")
    labels = numbered(values, what)
    numbers = _numbers(values, what) if labels.max() + 1 > STRATA else None
    if numbers is not None:
        labels = strata(numbers[:, None])
    if not labels.any():
        raise VlalignError(f"{what} gives all {n} samples one category, which explains nothing: name another column")
    if labels.max() + 1 == n:
        raise VlalignError(
            f"{what} gives each of the {n} samples another category, so nothing can be permuted inside one"
        )
    return Categories(column.name, column.source, labels, numbers is not None)


def _numbers(values: Sequence[Any], what: str) -> Floats | None:
    """Return values as numbers [N], also those that a text table holds; None where they are names.

    Raises:
        VlalignError: nearly all are numbers, or all but one value such as ``NA``.
    """
    numbers = np.array([_number(value) for value in values])
    names = [value for value, number in zip(values, numbers, strict=True) if not np.isfinite(number)]
    if not names:
        return numbers
    if len(names) <= len(values) * _MOST_NAMES or len(set(names)) == 1:
        raise VlalignError(
            f"{what}: {names[0]!r} is no finite number, as {len(values) - len(names)} of {len(values)} are: "
            "leave such samples out, or write categories as names, such as c3 for 3"
        )
    return None


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan
