"""Ties between neighbours: rows that are identical, and a random order of equal neighbours for each side.

If both sides broke ties in one order (such as by row number), tied rows would share neighbours whatever their features,
and the permutation null would not include it. Instead, equal neighbours are ordered by a hash of both rows' numbers,
the side, and a digest of the layer that does not depend on rounding: which rows are identical, and where each is
largest. So the lists of x and of y depend on each other through the features alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vlalign.arrays import LazyLayer, row_blocks
from vlalign.lazy_torch import torch
from vlalign.metrics.base import Ints

if TYPE_CHECKING:
    from torch import Tensor

_Hashes = NDArray[np.uint64]
_T = TypeVar("_T")
_U = TypeVar("_U")
_COLUMNS = 16  # compared first: rows that differ in them are not identical
_DIGESTED = 4096  # rows read together
_FACTORS = np.random.default_rng(0).integers(2**63, size=32, dtype=np.uint64) * 2 + 1  # of a hash of 32-bit words


@dataclass(frozen=True)
class Sided(Generic[_T]):
    """A prepared layer as the x side and as the y side of a pair; ``y is x`` where there are no ties."""

    x: _T
    y: _T

    def map(self, change: Callable[[_T], _U]) -> Sided[_U]:
        """Apply a function to both sides, once where they are the same object."""
        x = change(self.x)
        return Sided(x, x if self.y is self.x else change(self.y))

    def only(self, side: str) -> Sided[_T]:
        """Return the layer of a pair in which it is on one side alone, ``x`` or ``y``."""
        one = self.x if side == "x" else self.y
        return Sided(one, one)

    def turned(self) -> Sided[_T]:
        """Exchange the sides."""
        return Sided(self.y, self.x)


def row_labels(layer: Tensor | LazyLayer) -> Ints:
    """Label rows of [N, D] 0, 1, … in order of first appearance, identical rows equally; 0.0 equals -0.0.

    >>> import torch
    >>> row_labels(torch.tensor([[1.0], [0.0], [1.0], [-0.0]])).tolist()
    [0, 1, 0, 1]
    """
    n, width = layer.shape
    first = np.arange(n)  # number of the first row that is identical
    columns: Any = slice(None)
    if width > _COLUMNS:
        columns = np.linspace(0, width - 1, _COLUMNS).astype(np.int64)
    some = np.concatenate([_as_bytes(part[:, columns]) for _, part in row_blocks(layer)])
    words = some.view(np.uint32).reshape(n, -1)
    hashes = np.sort(words.astype(np.uint64) @ _FACTORS[: words.shape[1]])
    if not (hashes[1:] == hashes[:-1]).any():  # faster than sorting the rows
        return first
    _, inverse, counts = np.unique(some, return_inverse=True, return_counts=True)
    alike = np.flatnonzero(counts[inverse.reshape(-1)] > 1)
    if len(alike):
        digests = np.concatenate([_digests(layer[rows]) for rows in torch.from_numpy(alike).split(_DIGESTED)])
        _, index, inverse = np.unique(digests, return_index=True, return_inverse=True)
        first[alike] = alike[index[inverse.reshape(-1)]]
    return np.asarray(np.unique(first, return_inverse=True)[1].reshape(-1), dtype=np.int64)


def _as_bytes(rows: Tensor) -> NDArray[Any]:
    """View each row of [N, D] as one value that can be sorted."""
    values = np.ascontiguousarray(rows.detach().cpu().numpy() + 0.0)
    return values.view(np.dtype((np.void, values.shape[1] * values.itemsize))).reshape(-1)


def _digests(rows: Tensor) -> NDArray[Any]:
    """Compute a digest of each row of [N, D], so that wide rows are compared without being held."""
    digests = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in _as_bytes(rows)]
    return np.frombuffer(b"".join(digests), dtype="V16")


class TieBreaking:
    """The random orders of equal neighbours of a layer [N, D] with :func:`row_labels`, one for either side."""

    def __init__(self, layer: Tensor | LazyLayer, labels: Ints) -> None:
        self._layer, self._labels = layer, labels

    @cached_property
    def _seeds(self) -> tuple[int, int]:
        digest = hashlib.sha256(b"vlalign ties")
        largest = (part.argmax(dim=1).cpu().numpy() for _, part in row_blocks(self._layer))
        for values in (self._labels, *largest):
            digest.update(values.astype("<i8").tobytes())
        return int.from_bytes(digest.digest()[:8], "big"), int.from_bytes(digest.digest()[8:16], "big")

    def lists(self, products: NDArray[np.floating], numbers: Ints, k: int) -> tuple[Ints, Ints, Ints]:
        """Return the columns [rows, k] of the k largest of each row of ``products`` [rows, N], ties in random order.

        Args:
            products: of some rows with all rows.
            numbers: of those rows in the layer [rows].
            k: 1 to N - 1.

        Returns:
            ``numbers``, the columns as the x side has them, and as the y side has them.
        """
        last = products.shape[1] - k
        border = np.partition(products, last, axis=1)[:, last, None]
        row, column = np.nonzero(products >= border)
        counts = np.bincount(row, minlength=len(products))
        negated = np.full((len(products), counts.max(initial=k)), np.inf, dtype=products.dtype)
        columns = np.zeros(negated.shape, dtype=np.int64)
        taken = np.arange(negated.shape[1]) < counts[:, None]
        negated[taken], columns[taken] = -products[row, column], column
        order = np.argsort(negated, axis=1, kind="stable")
        negated, columns = np.take_along_axis(negated, order, axis=1), np.take_along_axis(columns, order, axis=1)
        follows = np.zeros(negated.shape, dtype=bool)  # equal to the one before
        follows[:, 1:] = (negated[:, 1:] == negated[:, :-1]) & taken[:, 1:]
        equal = follows.copy()
        equal[:, :-1] |= follows[:, 1:]
        group, row, tied = np.cumsum(~follows)[equal.ravel()], np.nonzero(equal)[0], columns[equal]
        sides = []
        for seed in self._seeds:
            columns[equal] = tied[np.lexsort((_hashes(numbers[row], tied, seed), group))]
            sides.append(columns[:, :k].copy())
        return numbers, sides[0], sides[1]


def _hashes(row: Ints, column: Ints, seed: int) -> _Hashes:
    """Mixed bits of two row numbers and a seed (the finaliser of SplitMix64)."""
    bits = (row.astype(np.uint64) << np.uint64(32)) ^ column.astype(np.uint64) ^ np.uint64(seed)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))
