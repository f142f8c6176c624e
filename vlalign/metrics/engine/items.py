"""Neighbours of items, each of one or several rows of a layer, such as an image with several captions.

Two items are as near as their nearest rows: ``s(a, b) = max over i in a, j in b of <x_i, x_j>``. The k nearest other
items of each item are a neighbour list [M, k] of M items, with which neighbour metrics do what they do with samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vlalign.arrays import LazyLayer, whole
from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.metrics.base import Ints, check_features, checked_norms, resolved, take_rows, whole_number
from vlalign.metrics.engine.neighbours import BLOCK_BYTES, Tied, search_on_cpu, with_ties
from vlalign.metrics.engine.ties import Sided, TieBreaking, row_labels

if TYPE_CHECKING:
    from torch import Tensor


class ItemLayer:
    """A layer of M items with the features [N, D] of their rows; its length is M.

    Args:
        rows: features [N, D].
        members: row numbers of each item.
    """

    def __init__(self, rows: Tensor | LazyLayer, members: Sequence[Ints]) -> None:
        self.rows = rows
        self.members = members
        self.shape = torch.Size((len(members), rows.shape[1]))
        self.device = rows.device

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, items: Tensor) -> ItemLayer:
        return ItemLayer(self.rows, [self.members[i] for i in items.tolist()])


def knn_of_items(layer: ItemLayer, k: int) -> Sided[Tensor]:
    """Return the ``k`` nearest other items of every item, nearest first, of both sides, which differ where ties are.

    Products of rows are computed in blocks of bounded memory; ties are broken as in
    :func:`vlalign.metrics.engine.neighbours.knn`.

    Returns:
        int64 tensors [M, k] of item numbers, on the CPU.

    Raises:
        VlalignError: ``k`` outside 1..M-1, or features that :func:`vlalign.metrics.engine.neighbours.knn` refuses.
    """
    count = len(layer)
    if not (k := whole_number(k, "k", "knn")) < count:
        raise VlalignError(f"k must be at least 1 and less than the number of items, got k={k} with {count} items")
    x = check_features(take_rows(whole(layer.rows), np.concatenate(layer.members)))  # rows of an item follow each other
    checked_norms(x)
    x = resolved(x)
    labels = row_labels(x)
    distinct = x[torch.from_numpy(np.unique(labels, return_index=True)[1]).to(x.device)]  # equal rows: equal products
    breaking = TieBreaking(x, labels)
    starts = np.cumsum([0, *map(len, layer.members)])
    most = max(1, BLOCK_BYTES // (len(x) * x.element_size()))  # rows of a block
    out = torch.empty((count, k), dtype=torch.int64)
    tied: list[Tied] = []
    first = 0
    while first < count:
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + most, side="right")) - 1)
        needed, place = np.unique(labels[starts[first] : starts[last]], return_inverse=True)
        products = (distinct[torch.from_numpy(needed).to(x.device)] @ distinct.T).cpu().numpy()
        nearest = np.maximum.reduceat(products[:, labels], starts[:-1], axis=1)[place.reshape(-1)]
        nearest = np.maximum.reduceat(nearest, starts[first:last] - starts[first], axis=0)
        nearest[np.arange(last - first), np.arange(first, last)] = -np.inf
        tied += search_on_cpu(torch.from_numpy(nearest), out[first:last], first, breaking)
        first = last
    return with_ties(out, tied)
