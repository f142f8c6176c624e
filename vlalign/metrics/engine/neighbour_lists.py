"""Neighbour lists [N, k]: base class of the metrics that compare them, and operations on the lists."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vlalign.arrays import DelayedLayer, LazyLayer
from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.metrics.base import Ints, Metric, whole_number
from vlalign.metrics.engine.items import ItemLayer, knn_of_items
from vlalign.metrics.engine.moments import PairSums
from vlalign.metrics.engine.neighbours import knn_of_sides
from vlalign.metrics.engine.ties import Sided

if TYPE_CHECKING:
    from torch import Tensor


Layer: TypeAlias = "Tensor | LazyLayer | DelayedLayer | ItemLayer"
#: bytes of the long neighbour lists of all layers that are kept for several statistics
LIST_BYTES = 2**29
#: neighbour lists of several layers, [L, N, k] or one [N, k] each
Lists: TypeAlias = "Tensor | Sequence[Tensor]"


@dataclass(frozen=True)
class NeighbourMetric(Metric):
    """A metric of the k nearest neighbours: its prepared layer is the int32 list [N, k] of either side, on the CPU.

    Ties are broken at random, independently on each side (:mod:`vlalign.metrics.engine.ties`).
    """

    k: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", whole_number(self.k, "k", self.name))

    @property
    def lazy(self) -> bool:
        """Whether the prepared layer is the lists alone, which are searched in blocks of rows."""
        return type(self).prepare is NeighbourMetric.prepare

    @property
    def preparation(self) -> Hashable:
        """Key of the lists, which serve all metrics of this kind with this k."""
        return ("neighbours", self.k) if self.lazy else self

    def check(self, n: int, widths: Any = ()) -> None:
        super().check(n, widths)
        if n <= self.k:
            raise VlalignError(f"{self.name} with k={self.k} needs more than {self.k} samples, got N={n}: lower k")

    def holds(self, n: int, widths: Sequence[int]) -> int:
        """Return the bytes of the lists."""
        return 4 * n * self.k * len(widths)

    def prepare(self, layer: Layer) -> Sided[Tensor]:
        """Search the neighbour lists [N, k] of one layer [N, D]."""
        return _search(layer, self.k)

    def reorder(self, prepared: Sided[Tensor], order: Ints) -> Sided[Tensor]:
        """Relabel the lists; no distances are needed."""
        return prepared.map(lambda lists: relabelled(lists, order))

    def for_subsets(self, layer: Layer, smallest: int) -> tuple[Layer, Sided[Tensor] | None]:
        """Return the layer, and a neighbour list long enough that almost surely k of it are in every subset.

        No list where it would be most of the layer: small subsets are cheaper to search again.
        """
        length = self.length(len(layer), smallest)
        return layer, None if length is None else _search(layer, length)

    def subset(self, kept: tuple[Layer, Sided[Tensor] | None], rows: Ints) -> Sided[Tensor]:
        """Return neighbour lists of the rows ``rows``: the long lists without the samples that were left out."""
        layer, long = kept
        if long is not None:
            new = np.full(len(layer), -1, dtype=np.int32)
            new[rows] = np.arange(len(rows))
            lists = long.map(lambda lists: self._inside(lists.numpy(), rows, new))
            if lists.x is not None and lists.y is not None:
                return Sided(lists.x, lists.y)
        computed = _computed(layer)
        return self.prepare(computed[torch.from_numpy(rows).to(computed.device)])

    def subsets(self, layer: Layer, chosen: Sequence[Ints]) -> list[Sided[Tensor]]:
        """Return :meth:`subset` of several subsets of a layer [N, D], which is searched at most once for all."""
        n, lists = len(layer), layer.lists if isinstance(layer, DelayedLayer) else None
        known = 0 if lists is None else lists.x.shape[1]
        lengths = [self.length(n, len(rows)) or n for rows in chosen]  # n: no list is worth its length
        beyond = [len(rows) for length, rows in zip(lengths, chosen, strict=True) if length > known]
        if beyond:
            layer = _computed(layer)
        if sum(size**2 for size in beyond) >= n**2:  # a search of the whole layer costs less than theirs
            known = max((length for length in lengths if length < n), default=0)
            lists = _search(layer, known) if known else None
        return [
            self.subset((layer, lists if length <= known else None), rows)
            for length, rows in zip(lengths, chosen, strict=True)
        ]

    def length(self, n: int, smallest: int) -> int | None:
        """Return the length of a list of which k entries are almost surely among ``smallest`` random samples of ``n``.

        None where it would be most of the layer, so that subsets are cheaper to search again.
        """
        share = min(1.0, smallest / n)
        length = self.k
        while length < n and length * share - 7 * math.sqrt(length * share * (1 - share)) < self.k:
            length += 1 + length // 8
        return length if length < n // 4 else None

    def _inside(self, lists: NDArray[np.int32], rows: Ints, new: NDArray[np.int32]) -> Tensor | None:
        """Return the first k entries of ``lists[rows]`` that ``new`` does not name -1, by their new names.

        None where a row has fewer. Most rows have k of them in the first part of their list.
        """
        result = np.empty((len(rows), self.k), dtype=np.int32)
        left = np.arange(len(rows))
        usual = max(self.k, 3 * self.k * len(lists) // (2 * len(rows)))
        for width in (min(usual, lists.shape[1]), lists.shape[1]):
            names = new.take(lists[rows[left], :width], mode="clip")
            inside = names >= 0
            place = np.cumsum(inside, axis=1, dtype=np.min_scalar_type(width))
            enough = place[:, -1] >= self.k
            chosen = np.flatnonzero(inside & (place <= self.k) & enough[:, None])
            result[left[enough]] = names.ravel()[chosen].reshape(-1, self.k)
            left = left[~enough]
        return None if len(left) else torch.from_numpy(result)


def _computed(layer: Layer) -> Tensor | LazyLayer | ItemLayer:
    return layer.compute() if isinstance(layer, DelayedLayer) else layer


def _search(layer: Layer, k: int) -> Sided[Tensor]:
    """Search the lists [N, k] of a layer, or shorten those that it has."""
    if isinstance(layer, DelayedLayer) and layer.lists is not None and layer.lists.x.shape[1] >= k:
        return shortened(layer.lists, k)
    computed = _computed(layer)
    if isinstance(computed, ItemLayer):
        lists = knn_of_items(computed, k).map(torch.Tensor.int)
    else:
        lists = knn_of_sides(computed, k, dtype=torch.int32).map(torch.Tensor.cpu)
    if isinstance(layer, DelayedLayer) and layer.keeps_lists:
        layer.lists = lists
    return lists


def relabelled(lists: Tensor, order: Ints) -> Tensor:
    """Relabel neighbour lists [N, k] after the rows are put in another order: new row i is row ``order[i]``."""
    inverse = torch.empty(len(order), dtype=lists.dtype)
    forward = torch.from_numpy(order)
    inverse[forward] = torch.arange(len(order), dtype=lists.dtype)
    return inverse[lists[forward]]


def shortened(prepared: Sided[Tensor], k: int) -> Sided[Tensor]:
    """Shorten neighbour lists to [N, k]."""
    return prepared.map(lambda lists: lists[:, :k])


def of_sides(x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the neighbour lists [N, k] of prepared layers, each of its side."""
    return [layer.x for layer in x], [layer.y for layer in y]


def checked_lists(nx: Lists, ny: Lists) -> tuple[list[Ints], list[Ints]]:
    """Check the neighbour lists [Lx, N, k] and [Ly, N, k] of two sides; return arrays [N, k] on the CPU, not copied.

    Raises:
        VlalignError: if they are not integer [N, k] of row numbers, or differ in N or k.
    """
    sides = []
    for neighbours in (nx, ny):
        for lists in neighbours:
            if lists.ndim != 2 or lists.is_floating_point() or 0 in lists.shape:
                shape = list(lists.shape)
                raise VlalignError(f"neighbour lists must be integer [L, N, k], got {lists.dtype} of layers {shape}")
            if lists.min() < 0 or lists.max() >= len(lists):
                raise VlalignError(f"neighbour lists must hold row numbers 0..{len(lists) - 1}: one lies outside")
        sides.append([lists.detach().cpu().numpy() for lists in neighbours])
    a, b = sides
    shapes = sorted({lists.shape for lists in [*a, *b]})
    if len(shapes) > 1:
        raise VlalignError(f"neighbour lists must agree in N and k, got [N, k] = {shapes[0]} and {shapes[1]}")
    return a, b


def graph_sums(neighbours: Tensor) -> PairSums:
    """Compute the sums of the adjacency matrix of a neighbour list [N, k] that exact permutation moments need."""
    lists = neighbours.numpy().astype(np.int64)
    n, k = lists.shape
    edges = (lists + np.arange(n)[:, None] * n).ravel()
    back = (lists * n + np.arange(n)[:, None]).ravel()
    mutual = float(np.isin(edges, back).sum())
    indegree = np.bincount(lists.ravel(), minlength=n).astype(np.float64)
    return PairSums.of(np.full(n, float(k)), indegree, squares=float(n * k), mutual=mutual)
