"""Groups of samples that belong together, such as several captions of one image: labels int64 [N] and their sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.arrays import LazyLayer
from vlalign.errors import VlalignError
from vlalign.files import one_line
from vlalign.metrics.base import Ints
from vlalign.metrics.engine.ties import row_labels
from vlalign.paths import user_path
from vlalign.row_ids import is_missing

if TYPE_CHECKING:
    from torch import Tensor

_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def checked_groups(groups: Any, n: int) -> Ints:
    """Convert any integer labels [N] to labels 0, 1, … in order of first appearance [N].

    Raises:
        VlalignError: for labels that are not whole numbers, or not one for each of the ``n`` samples.

    >>> checked_groups([7, 7, -1, 7], 4).tolist()
    [0, 0, 1, 0]
    """
    labels = np.asarray(groups)
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise VlalignError(f"groups must be {n} whole numbers, one a sample, got {labels.dtype} {list(labels.shape)}")
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[inverse.reshape(-1)], dtype=np.int64)


def members(labels: Ints) -> list[Ints]:
    """Return the row numbers, ascending, of each group of labels as :func:`checked_groups` gives them."""
    return np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])


def exact_groups(*layers: Tensor | LazyLayer) -> Ints:
    """Join samples whose rows are identical in any of the layers [N, D], transitively; returns labels [N].

    Give layers in which identical rows mean the same input (such as the last layer of each model): token embeddings of
    the last token, for example, are identical for many different texts.

    Raises:
        VlalignError: without layers, or if they differ in the number of rows.

    >>> import torch
    >>> a, b = torch.tensor([[1.0], [1.0], [2.0], [3.0]]), torch.tensor([[1.0], [2.0], [2.0], [0.0]])
    >>> exact_groups(a, b).tolist()
    [0, 0, 0, 1]
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if len({len(layer) for layer in layers}) != 1:
        raise VlalignError("groups need layers with one number of rows")
    n = len(layers[0])
    first = []  # of the rows that are identical to each row
    for layer in layers:
        _, index, inverse = np.unique(row_labels(layer), return_index=True, return_inverse=True)
        first.append(index[inverse.reshape(-1)])
    edges = (np.concatenate(first), np.tile(np.arange(n), len(layers)))
    _, labels = connected_components(coo_matrix((np.ones(len(edges[0])), edges), shape=(n, n)), directed=False)
    return checked_groups(labels, n)


def read_groups(path: str | Path, ids: Sequence[str]) -> Ints:
    """Read labels [N] of the samples ``ids`` from a table with columns ``id`` and ``group``.

    Args:
        path: a .csv, .tsv, .jsonl or .parquet file; ids and groups are compared as text, further columns and ids are
            ignored.
        ids: the samples, in order.

    Raises:
        VlalignError: a file that is missing, of another kind or unreadable; columns, ids or groups that are missing;
            an id in two groups.
    """
    path = user_path(path)
    table = _table(path)
    for column in ("id", "group"):
        if column not in table:
            raise VlalignError(f"{path} has no column {column!r}: it needs the columns id and group")
    group_of: dict[str, str] = {}
    for name, group in zip(table["id"].tolist(), map(_stripped, table["group"].tolist()), strict=True):
        if is_missing(name) or is_missing(group):
            raise VlalignError(f"{path} has a row without an id or without a group (id {name!r}, group {group!r})")
        if group_of.setdefault(str(name), str(group)) != str(group):
            raise VlalignError(f"{path} puts {str(name)!r} in two groups: {group_of[str(name)]!r} and {str(group)!r}")
    if missing := [name for name in ids if name not in group_of]:
        shown = ", ".join(repr(name) for name in missing[:3]) + (", …" if len(missing) > 3 else "")
        raise VlalignError(f"{path} names no group for {len(missing)} of {len(ids)} samples ({shown}): add them")
    number: dict[str, int] = {}
    return np.array([number.setdefault(group_of[name], len(number)) for name in ids], dtype=np.int64)


def _table(path: Path) -> Any:
    import pandas as pd

    kind = path.suffix.lower()
    try:
        if kind in _SEPARATORS:  # as text: "01" and "1" are different ids
            return pd.read_csv(path, sep=_SEPARATORS[kind], dtype=str, keep_default_na=False, index_col=False)
        if kind == ".jsonl":
            return pd.read_json(path, lines=True, dtype=False, convert_dates=False)
        if kind == ".parquet":
            return pd.read_parquet(path)
    except FileNotFoundError as error:
        raise VlalignError(f"there is no file {path} to read groups from") from error
    except Exception as error:  # pandas and pyarrow raise various errors for a broken file
        cause = one_line(error).removeprefix("Error tokenizing data. C error: ")
        raise VlalignError(f"cannot read groups from {path}: {cause}") from error
    raise VlalignError(f"cannot read groups from {path}: give a .csv, .tsv, .jsonl or .parquet file")


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value
