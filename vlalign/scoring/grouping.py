"""Groups of samples that belong together in a score: from labels, a file, or identical features."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.base import Ints
from vlalign.scoring.layers import PreparedSide
from vlalign.stats.groups import checked_groups, exact_groups, read_groups

#: ``"exact"`` (identical features in the last layer of a model), a file with the columns id and group, a mapping
#: from sample id to group, or one label a row.
Groups: TypeAlias = "str | Path | Mapping[str, Any] | Sequence[Any] | np.ndarray | None"

#: source of groups that come from the features, as records state it
EXACT = "identical features"


@dataclass(frozen=True)
class GroupLabels:
    """Labels [N] of the samples in the order they are scored in, and their source."""

    labels: Ints
    source: str

    def describe(self) -> dict[str, Any]:
        """Return the entry of a record: source, number of groups, samples in the largest."""
        return {
            "source": self.source,
            "groups": int(self.labels.max()) + 1,
            "largest": int(np.bincount(self.labels).max()),
        }


def are_exact(groups: Groups) -> bool:
    """Return whether the groups come from the features, which must then be read first."""
    return isinstance(groups, str) and groups == "exact"


def resolve_groups(groups: Groups, ids: Sequence[str] | None, n: int, *sides: PreparedSide) -> GroupLabels | None:
    """Return the labels of the ``n`` samples of all sides; None where each sample is a separate group.

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
    if isinstance(groups, str | Path | Mapping):
        if ids is None:
            raise VlalignError("groups by id need sample ids: features without ids need one label a row")
        if isinstance(groups, Mapping):
            if missing := [name for name in ids if name not in groups]:
                raise VlalignError(f"groups name no group for {len(missing)} samples, the first is {missing[0]!r}")
            return _or_none(_numbered([groups[name] for name in ids]), "given by id")
        return _or_none(checked_groups(read_groups(groups, ids), n), Path(groups).name)
    if isinstance(groups, Tensor | np.ndarray):
        groups = groups.tolist()
    if not isinstance(groups, Sequence):
        raise VlalignError(f"groups must be exact, a file, a mapping or a list of labels, not {type(groups).__name__}")
    if len(groups) != n:
        raise VlalignError(f"groups has {len(groups)} labels for {n} samples: give one a row")
    return _or_none(_numbered(groups), "given by row")


def _numbered(labels: Sequence[Any]) -> Ints:
    labels = [label.item() if isinstance(label, Tensor) else label for label in labels]
    for i, label in enumerate(labels):
        if label is None or not isinstance(label, Hashable) or label != label:
            raise VlalignError(f"sample {i} (from 0) has no group: {label!r} is no label, give text or a number")
    number: dict[Any, int] = {}
    return np.array([number.setdefault(label, len(number)) for label in labels], dtype=np.int64)


def _or_none(labels: Ints, source: str) -> GroupLabels | None:
    return None if labels.max() + 1 == len(labels) else GroupLabels(labels, source)
