"""What the metrics of neighbour lists have in common."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.base import Ints, Metric, whole_number
from vlalign.metrics.moments import PairSums
from vlalign.metrics.neighbours import knn


@dataclass(frozen=True)
class NeighbourMetric(Metric):
    """A metric of the k nearest neighbours: its prepared layer is the list [N, k], on the CPU.

    Ties are broken as :func:`vlalign.metrics.neighbours.knn` says: equal inner products by row number, lower first.
    """

    k: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", whole_number(self.k, "k", self.name))

    @property
    def preparation(self) -> Hashable:
        """The same lists serve all metrics of this kind with this k."""
        plain = type(self).prepare is NeighbourMetric.prepare
        return ("neighbours", self.k) if plain else self

    def check(self, n: int, widths: Any = ()) -> None:
        """Raise VlalignError if ``n`` samples are too few."""
        super().check(n, widths)
        if n <= self.k:
            raise VlalignError(f"{self.name} with k={self.k} needs more than {self.k} samples, got N={n}: lower k")

    def prepare(self, layer: Tensor) -> Tensor:
        """Neighbour list [N, k] of one layer [N, D]."""
        return knn(layer, self.k).cpu()

    def reorder(self, prepared: Tensor, order: Ints) -> Tensor:
        """Neighbour list of the rows in another order: relabelled, no distances needed."""
        inverse = torch.empty(len(order), dtype=torch.int64)
        forward = torch.from_numpy(order)
        inverse[forward] = torch.arange(len(order))
        return inverse[prepared[forward]]

    def for_subsets(self, layer: Tensor, smallest: int) -> tuple[Tensor, Tensor | None]:
        """The layer, and so long a neighbour list that almost surely k of it are in every subset.

        No list where it would be most of the layer anyway: small subsets are cheaper to search afresh.
        """
        n = len(layer)
        share = min(1.0, smallest / n)
        length = self.k
        while length < n and length * share - 7 * math.sqrt(length * share * (1 - share)) < self.k:
            length += 1 + length // 8
        return layer, knn(layer, length).cpu() if length < n // 4 else None

    def subset(self, kept: tuple[Tensor, Tensor | None], rows: Ints) -> Tensor:
        """Neighbour list of the rows ``rows``: the long lists without the samples that were left out."""
        layer, long = kept
        if long is not None:
            new = np.full(len(layer), -1, dtype=np.int64)
            new[rows] = np.arange(len(rows))
            lists = new[long.numpy()[rows]]
            inside = lists >= 0
            if (inside.sum(axis=1) >= self.k).all():
                first = np.argsort(~inside, axis=1, kind="stable")[:, : self.k]
                return torch.from_numpy(np.take_along_axis(lists, first, axis=1))
        return self.prepare(layer[torch.from_numpy(rows).to(layer.device)])


def checked_lists(nx: Tensor, ny: Tensor) -> tuple[Ints, Ints]:
    """The neighbour lists [Lx, N, k] and [Ly, N, k] of two sides as arrays on the CPU.

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
            raise VlalignError(f"neighbour lists must hold row numbers 0..{lists.shape[1] - 1}: found one outside")
        sides.append(lists)
    a, b = sides
    if a.shape[1:] != b.shape[1:]:
        raise VlalignError(f"neighbour lists must agree in N and k, got [N, k] = {a.shape[1:]} and {b.shape[1:]}")
    return a, b


def graph_sums(neighbours: Tensor) -> PairSums:
    """The sums of the adjacency matrix of a neighbour list [N, k] that exact permutation moments need."""
    lists = neighbours.numpy()
    n, k = lists.shape
    edges = (lists + np.arange(n)[:, None] * n).ravel()
    back = (lists * n + np.arange(n)[:, None]).ravel()
    mutual = float(np.isin(edges, back).sum())
    indegree = np.bincount(lists.ravel(), minlength=n).astype(np.float64)
    return PairSums.of(np.full(n, float(k)), indegree, squares=float(n * k), mutual=mutual)
