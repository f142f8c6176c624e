"""Neighbour lists [N, k]: base class of the metrics that compare them, and operations on the lists."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.arrays import LazyLayer
from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.metrics.base import Ints, Metric, take_rows, whole_number
from vlalign.metrics.engine.moments import PairSums
from vlalign.metrics.engine.neighbours import knn_of_sides
from vlalign.metrics.engine.ties import Sided

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class NeighbourMetric(Metric):
    """A metric of the k nearest neighbours: its prepared layer is the list [N, k] of either side, on the CPU.

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

    def prepare(self, layer: Tensor | LazyLayer) -> Sided[Tensor]:
        """Search the neighbour lists [N, k] of one layer [N, D]."""
        return knn_of_sides(layer, self.k).map(torch.Tensor.cpu)

    def reorder(self, prepared: Sided[Tensor], order: Ints) -> Sided[Tensor]:
        """Relabel the lists; no distances are needed."""
        return prepared.map(lambda lists: relabelled(lists, order))

    def for_subsets(self, layer: Tensor | LazyLayer, smallest: int) -> tuple[Tensor | LazyLayer, Sided[Tensor] | None]:
        """Return the layer, and a neighbour list long enough that almost surely k of it are in every subset.

        No list where it would be most of the layer: small subsets are cheaper to search again.
        """
        n = len(layer)
        share = min(1.0, smallest / n)
        length = self.k
        while length < n and length * share - 7 * math.sqrt(length * share * (1 - share)) < self.k:
            length += 1 + length // 8
        return layer, knn_of_sides(layer, length).map(torch.Tensor.cpu) if length < n // 4 else None

    def subset(self, kept: tuple[Tensor | LazyLayer, Sided[Tensor] | None], rows: Ints) -> Sided[Tensor]:
        """Return neighbour lists of the rows ``rows``: the long lists without the samples that were left out."""
        layer, long = kept
        if long is not None:
            new = np.full(len(layer), -1, dtype=np.int64)
            new[rows] = np.arange(len(rows))
            lists = long.map(lambda lists: self._inside(new[lists.numpy()[rows]]))
            if lists.x is not None and lists.y is not None:
                return Sided(lists.x, lists.y)
        return self.prepare(take_rows(layer, rows))

    def _inside(self, lists: Ints) -> Tensor | None:
        """Return the first k entries of each row of ``lists`` that are not -1; None where a row has fewer."""
        inside = lists >= 0
        if not (inside.sum(axis=1) >= self.k).all():
            return None
        first = np.argsort(~inside, axis=1, kind="stable")[:, : self.k]
        return torch.from_numpy(np.take_along_axis(lists, first, axis=1))


def relabelled(lists: Tensor, order: Ints) -> Tensor:
    """Relabel neighbour lists [N, k] after the rows are put in another order: new row i is row ``order[i]``."""
    inverse = torch.empty(len(order), dtype=torch.int64)
    forward = torch.from_numpy(order)
    inverse[forward] = torch.arange(len(order))
    return inverse[lists[forward]]


def shortened(prepared: Sided[Tensor], k: int) -> Sided[Tensor]:
    """Shorten neighbour lists to [N, k]."""
    return prepared.map(lambda lists: lists[:, :k])


def stacked(x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> tuple[Tensor, Tensor]:
    """Stack the neighbour lists [Lx, N, k] and [Ly, N, k] of prepared layers, each of its side."""
    return torch.stack([layer.x for layer in x]), torch.stack([layer.y for layer in y])


def checked_lists(nx: Tensor, ny: Tensor) -> tuple[Ints, Ints]:
    """Check the neighbour lists [Lx, N, k] and [Ly, N, k] of two sides and return them as arrays on the CPU.

    Raises:
        VlalignError: if they are not integer [L, N, k] of row numbers, or differ in N or k.
    """
    sides = []
    for neighbours in (nx, ny):
        if neighbours.ndim != 3 or neighbours.is_floating_point() or 0 in neighbours.shape:
            shape = list(neighbours.shape)
            raise VlalignError(f"neighbour lists must be integer [L, N, k], got {neighbours.dtype} {shape}")
        lists: Ints = neighbours.detach().cpu().to(torch.int64).numpy()
        if lists.min() < 0 or lists.max() >= lists.shape[1]:
            raise VlalignError(f"neighbour lists must hold row numbers 0..{lists.shape[1] - 1}: one lies outside")
        sides.append(lists)
    a, b = sides
    if a.shape[1:] != b.shape[1:]:
        raise VlalignError(f"neighbour lists must agree in N and k, got [N, k] = {a.shape[1:]} and {b.shape[1:]}")
    return a, b


def graph_sums(neighbours: Tensor) -> PairSums:
    """Compute the sums of the adjacency matrix of a neighbour list [N, k] that exact permutation moments need."""
    lists = neighbours.numpy()
    n, k = lists.shape
    edges = (lists + np.arange(n)[:, None] * n).ravel()
    back = (lists * n + np.arange(n)[:, None]).ravel()
    mutual = float(np.isin(edges, back).sum())
    indegree = np.bincount(lists.ravel(), minlength=n).astype(np.float64)
    return PairSums.of(np.full(n, float(k)), indegree, squares=float(n * k), mutual=mutual)
