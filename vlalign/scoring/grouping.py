"""Groups of samples that belong together in a score: from labels, a file, or identical features."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from vlalign.errors import VlalignError
from vlalign.metrics.base import Ints
from vlalign.row_ids import by_index, by_row, index_ids, index_of, is_missing, refuse_alike
from vlalign.stats.groups import checked_groups, exact_groups, read_groups

if TYPE_CHECKING:
    from vlalign.scoring.layers import PreparedSide

#: ``"exact"`` (identical features in the last layer of a model), a file with the columns id and group, a mapping
#: from sample id to group, or one label a row.
Groups: TypeAlias = "str | Path | Mapping[str, Any] | Sequence[Any] | np.ndarray | None"

#: error for labels by row of sides in another order
BY_ROW = "{0} are given by row, but the rows of {1} and {2} are in different orders: give {0} by id"

#: source of groups that come from the features, as records state it
EXACT = "identical features"


@dataclass(frozen=True)
class GroupLabels:
    """Labels [N] of the samples in the order they are scored in, and their source."""

    labels: Ints
    source: str

    def describe(self, name: str = "groups", ids: Sequence[str] | None = None) -> dict[str, Any]:
        """Return the entry of a record: source, number of groups as ``name``, samples in the largest.

        With the ids of the samples, also a digest of which of them are together, whatever their order and labels.
        """
        sizes = np.bincount(self.labels)
        entry = {"source": self.source, name: len(sizes), "largest": int(sizes.max())}
        if ids is None:
            return entry
        together: dict[int, list[str]] = {}
        for one, label in zip(ids, self.labels.tolist(), strict=True):
            together.setdefault(label, []).append(one)
        content = repr(sorted(map(sorted, together.values())))
        return entry | {"sha256": hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()}


def are_exact(groups: Groups) -> bool:
    """Return whether the groups come from the features, which must then be read first."""
    return isinstance(groups, str) and groups == "exact"


def are_by_row(groups: Any) -> bool:
    """Return whether labels are given by row, rather than by id or by a file."""
    by_id = isinstance(groups, str | Path | Mapping) or index_ids(groups) is not None
    return groups is not None and not by_id


def resolve_groups(
    groups: Groups, names: Sequence[str] | None, n: int, *sides: PreparedSide, what: str = "groups"
) -> GroupLabels | None:
    """Return the labels of the ``n`` samples of all sides; None where each sample is a separate group.

    ``names``: ids of the samples, or the index of their features; None without.
    ``what``: the groups as errors name them.

    Raises:
        VlalignError: groups by id (a file or a mapping) for features without ids, ids without a group, or wrong labels.
    """
    if groups is None:
        return None
    if are_exact(groups):
        labels = exact_groups(*(side.raw(len(side.side.axis) - 1) for side in sides))
        if n > 1 and not labels.any():
            raise VlalignError(
                f"identical features join all {n} samples into one group, so that nothing can be permuted: leave the "
                "groups out (ties between equal rows are broken at random), or name the groups in a file"
            )
        return _or_none(labels, EXACT)
    if isinstance(groups, str | Path):
        if names is None:
            raise VlalignError(f"{groups} has {what} by id, but the features have no ids: give their ids too (--ids)")
        return _or_none(checked_groups(read_groups(groups, names), n), Path(groups).name)
    source = "given by id" if isinstance(by_index(groups, names), Mapping) else "given by row"
    return _or_none(numbered(by_row(groups, names, n, what), what), source)


def resolve_positives(positives: Groups, names: Sequence[str] | None, n: int) -> GroupLabels | None:
    """Return which item each of the ``n`` samples belongs to; None where each sample is a separate item.

    Raises:
        VlalignError: as :func:`resolve_groups`, or for exact.
    """
    if are_exact(positives):
        raise VlalignError("positives: name the item of each sample in a file; exact is for groups")
    return resolve_groups(positives, names, n, what="positives")


def values_digest(values: Any, name: str = "") -> str:
    """Return a digest of values as :func:`vlalign.row_ids.by_row` takes them, in hexadecimal digits."""
    rows = [*values.items()] if isinstance(values, Mapping) else [repr(one) for one in values]
    index = None if index_of(values) is None else list(map(str, index_of(values)))
    return hashlib.sha256(repr((name, rows, index)).encode("utf-8", "surrogatepass")).hexdigest()


def numbered(labels: Sequence[Any], what: str) -> Ints:
    """Return labels as 0, 1, … in the order of their first appearance [N].

    Raises:
        VlalignError: a sample without a label: None, NaN, or something that cannot be one; or labels that differ only
            in type or spaces.
    """
    for i, label in enumerate(labels):
        if is_missing(label) or not isinstance(label, Hashable):
            raise VlalignError(f"{what}: sample {i} (from 0) has no label, but {label!r}: give text or a number")
    number: dict[Any, int] = {}
    numbers = np.array([number.setdefault(label, len(number)) for label in labels], dtype=np.int64)
    refuse_alike(number, what)
    return numbers


def _or_none(labels: Ints, source: str) -> GroupLabels | None:
    return None if labels.max() + 1 == len(labels) else GroupLabels(labels, source)
