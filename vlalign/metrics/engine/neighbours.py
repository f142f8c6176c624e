"""Nearest neighbours by inner product, in row blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vlalign.arithmetic import exact_float32
from vlalign.arrays import LazyLayer, row_blocks
from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.metrics.base import Ints, check_features, checked_norms, choice, resolved, whole_number
from vlalign.metrics.engine.threads import scratch
from vlalign.metrics.engine.ties import Sided, TieBreaking, row_labels
from vlalign.processes import is_shared, share_out

if TYPE_CHECKING:
    from torch import Tensor

#: Bytes of inner products held at once when ``block`` is not given: on the CPU; on accelerators, which larger blocks
#: keep busy; and of layers whose rows are computed again for each block. They depend on nothing but N and the dtype, so
#: that the same input is always cut the same way.
BLOCK_BYTES, DEVICE_BLOCK_BYTES, LAZY_BLOCK_BYTES = 128 * 2**20, 2**30, 512 * 2**20
_TILE = 128  # rows of a tile when the products are all held at once and only one triangle is computed
_GAP = 16  # unused columns: columns of a row length such as 1024 would share a place in the processor's cache
_SEARCH_BYTES = 4 * 2**20  # of inner products searched together on the CPU: they stay in its cache

#: Row numbers, lists of x and lists of y, of rows that have ties.
Tied: TypeAlias = tuple[Ints, Ints, Ints]


@exact_float32()
def knn(x: ArrayLike | LazyLayer, k: int = 10, *, side: str = "x", block: int | None = None) -> Tensor:
    """Return the ``k`` rows of largest inner product with every row, the row itself excluded.

    For cosine similarity pass L2-normalised rows. Neighbours are ordered by inner product, largest first. Equal ones
    (identical rows, or equal products as computed in the dtype of ``x``) are in an order that depends on a hash of the
    two row numbers and ``side``: give the two sides of a comparison different sides, or tied rows share neighbours
    whatever their features. A zero row is equally similar to every row, so its neighbours are random ones.

    Works on the device of ``x`` in row blocks: besides the input, memory grows by about ``block * N`` values. Processes
    that share out their work (:func:`vlalign.processes.sharing`) search different blocks.

    Args:
        x: features [N, D], float32 or float64 (float16 and bfloat16 are computed in float32), or a layer whose rows are
            computed when they are read.
        k: number of neighbours, 1 <= k < N.
        side: ``x`` or ``y``.
        block: rows per block; by default as many as keep the inner products within 128 MiB (1 GiB on a GPU).

    Returns:
        int64 tensor [N, k] of row numbers, on the device of ``x``.

    Raises:
        VlalignError: for input of another shape or kind, values that are not finite, ``k`` outside 1..N-1, or features
            so large that inner products overflow.

    >>> x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> knn(x, k=1).flatten().tolist()
    [1, 0, 3, 2]
    """
    lists = knn_of_sides(x, k, block=block)
    return lists.x if choice(side, "side", "knn", ("x", "y")) == "x" else lists.y


def knn_of_sides(
    x: ArrayLike | LazyLayer, k: int = 10, *, block: int | None = None, dtype: torch.dtype | None = None
) -> Sided[Tensor]:
    """Return :func:`knn` of both sides, which differ where there are ties, of type ``dtype`` (default: int64)."""
    search = NeighbourSearch(x, k)
    n = len(search.layer)
    blocks = -(-n // search.rows_at_once(block))
    block = -(-n // blocks)  # even blocks: no small last one
    out = torch.empty((n, search.k), dtype=dtype or torch.int64, device=search.layer.device)
    buffer = scratch((block, n + _GAP), search.layer.dtype, out.device)[:, :n]

    def searched(chosen: slice) -> Iterator[tuple[Ints, list[Tied]]]:
        for start in range(0, n, block)[chosen]:
            tied = search.block(start, out[start : start + block], buffer)
            yield out[start : start + block].cpu().numpy(), tied

    tied: list[Tied] = []
    for start, (rows, of_block) in zip(range(0, n, block), share_out(len(range(0, n, block)), searched), strict=True):
        tied += of_block
        if is_shared():  # others filled it
            out[start : start + block] = torch.from_numpy(rows).to(out)
    return with_ties(out, tied)


def with_ties(lists: Tensor, tied: Sequence[Tied]) -> Sided[Tensor]:
    """Return neighbour lists [N, k] of both sides, from those of rows without ties and those of the others."""
    y = lists.clone() if tied else lists
    for numbers, of_x, of_y in tied:
        index = torch.from_numpy(numbers).to(lists.device)
        lists[index], y[index] = torch.from_numpy(of_x).to(lists), torch.from_numpy(of_y).to(lists)
    return Sided(lists, y)


class NeighbourSearch:
    """Search of the ``k`` nearest neighbours of rows of a layer [N, D] among all rows.

    Raises:
        VlalignError: as :func:`knn`.
    """

    def __init__(self, x: ArrayLike | LazyLayer, k: int) -> None:
        self.layer = x if isinstance(x, LazyLayer) else check_features(x)
        n = len(self.layer)
        if not (k := whole_number(k, "k", "knn")) < n:
            raise VlalignError(f"k must be at least 1 and less than the number of samples, got k={k} with N={n}")
        self.k = k
        largest = float(checked_norms(self.layer).max())
        self.layer = resolved(self.layer)
        dtype = self.layer.dtype
        if largest < torch.finfo(dtype).tiny ** 0.5 and any(bool(part.any()) for _, part in row_blocks(self.layer)):
            raise VlalignError(f"inner products of features underflow {dtype}: scale them up")
        labels = row_labels(self.layer)
        self._label = torch.from_numpy(labels).to(self.layer.device)
        self._distinct = self.layer
        if labels.max() + 1 < n:  # identical rows are multiplied once, so that their products are identical
            first = torch.from_numpy(np.unique(labels, return_index=True)[1]).to(self.layer.device)
            self._distinct = self.layer.take(first) if isinstance(self.layer, LazyLayer) else self.layer[first]
        self._breaking = TieBreaking(self.layer, labels)

    def rows_at_once(self, block: int | None = None) -> int:
        """Return the rows of a block: those given, at most N, or as many as keep their inner products in bounds."""
        n = len(self.layer)
        if block is None:
            block = self._held_bytes // (n * self.layer.element_size())
        return min(max(1, whole_number(block, "block", "knn", least=0)), n)

    @property
    def _held_bytes(self) -> int:
        if isinstance(self.layer, LazyLayer):
            return LAZY_BLOCK_BYTES
        return BLOCK_BYTES if self.layer.device.type == "cpu" else DEVICE_BLOCK_BYTES

    def block(self, start: int, out: Tensor, buffer: Tensor) -> list[Tied]:
        """Write the lists of the rows from ``start`` to ``out`` [rows, k]; return those of the rows that have ties.

        ``buffer`` [at least rows, N] is overwritten.
        """
        stop, n = start + len(out), len(self.layer)
        products = buffer[: len(out)]
        if len(self._distinct) < n:
            needed, place = torch.unique(self._label[start:stop], return_inverse=True)
            products = self._products(self._distinct[needed])[place][:, self._label]
        elif len(out) == n and isinstance(self.layer, torch.Tensor):
            gram(self.layer, products)
        else:
            self._products(self.layer[start:stop], products)
        products.diagonal(start).fill_(-torch.inf)
        search = search_on_cpu if products.device.type == "cpu" else search_on_device
        return search(products, out, start, self._breaking)

    def _products(self, rows: Tensor, out: Tensor | None = None) -> Tensor:
        """Compute the inner products [n, M] of rows [n, D] with all M distinct rows."""
        if isinstance(self._distinct, torch.Tensor):
            return torch.mm(rows, self._distinct.T, out=out)
        if out is None:
            out = torch.empty((len(rows), len(self._distinct)), dtype=rows.dtype)
        for start, part in row_blocks(self._distinct):
            torch.mm(rows, part.T, out=out[:, start : start + len(part)])
        return out


def gram(x: Tensor, out: Tensor) -> None:
    """Write all inner products of ``x`` to ``out`` [N, N]: one triangle of tiles is computed, the other copied."""
    for start in range(0, len(x), _TILE):
        stop = start + _TILE
        torch.mm(x[start:stop], x[start:].T, out=out[start:stop, start:])
        if stop < len(x):
            out[stop:, start:stop] = out[start:stop, stop:].T


def search_on_cpu(products: Tensor, out: Tensor, start: int, breaking: TieBreaking) -> list[Tied]:
    """Write the columns of the k largest of each row of ``products`` [rows, N] to ``out`` [rows, k].

    A lower bound of the k-th largest value comes from the maxima of column groups: k groups have a maximum that large.
    The few values that reach the bound are sorted.

    Returns:
        Row numbers, counted from ``start``, and lists of either side, of the rows that have ties.
    """
    step, tied = _rows_at_once(products), []
    for low in range(0, len(products), step):
        part = products[low : low + step]
        lists = out[low : low + step].numpy()
        rows = np.flatnonzero(_search_part(part.numpy(), _lower_bound(part, out.shape[1]), lists))
        if len(rows):
            tied.append(breaking.lists(part.numpy()[rows], start + low + rows, out.shape[1]))
    return tied


def _rows_at_once(products: Tensor) -> int:
    return max(1, _SEARCH_BYTES // (products.shape[1] * products.element_size()))


def _lower_bound(products: Tensor, k: int) -> NDArray[np.floating]:
    """Return a value [rows, 1] that at least k entries of each row reach, and few more."""
    groups = max(32, -(-3 * k // 16) * 16)
    size = products.shape[1] // groups
    if size > 1:  # group g holds the columns g, g + groups, ...; the left-over columns could only raise the bound
        products = products[:, : size * groups].unflatten(1, (size, groups)).amax(dim=1)
    values: NDArray[np.floating] = products.numpy()
    last = values.shape[1] - k
    return np.partition(values, last, axis=1)[:, last, None]


def _search_part(products: NDArray[np.floating], bound: NDArray[np.floating], out: Ints) -> NDArray[np.bool_]:
    """Fill ``out`` [rows, k], except for the rows that are returned: those with ties, or too many above the bound."""
    rows, n = products.shape
    k = out.shape[1]
    near = np.flatnonzero(products >= bound)
    row, column = np.divmod(near, n)
    counts = np.bincount(row, minlength=rows)
    many = counts > 4 * k + 64  # many ties, or all the near ones in few groups
    if many.any():
        if not many.all():
            rest = np.empty((int(rows - many.sum()), k), dtype=np.int64)
            tied = _search_part(products[~many], bound[~many], rest)
            out[~many] = rest
            many[~many] = tied
        return many
    width = int(counts.max())
    slot = np.arange(len(near)) + (np.arange(rows) * width - counts.cumsum() + counts)[row]
    negated = np.full(rows * width, np.inf, dtype=products.dtype)
    negated[slot] = -products[row, column]
    columns = np.zeros(rows * width, dtype=np.int64)
    columns[slot] = column
    negated, columns = negated.reshape(rows, width), columns.reshape(rows, width)
    order = np.argsort(negated, axis=1, kind="stable")[:, : k + 1]  # one more than k shows a tie at the border
    out[:] = np.take_along_axis(columns, order[:, :k], axis=1)
    values = np.take_along_axis(negated, order, axis=1)
    return np.asarray((values[:, 1:] == values[:, :-1]).any(axis=1))


def search_on_device(products: Tensor, out: Tensor, start: int, breaking: TieBreaking) -> list[Tied]:
    """Search as :func:`search_on_cpu`, in torch operations for an accelerator; ties are broken on the CPU."""
    k = out.shape[1]
    top = products.topk(k + 1, dim=1)  # one more than k shows a tie at the border
    out.copy_(top.indices[:, :k])
    equal = (top.values[:, 1:] == top.values[:, :-1]).any(dim=1)
    tied = []
    for rows in torch.nonzero(equal).flatten().split(_rows_at_once(products)):
        tied.append(breaking.lists(products[rows].cpu().numpy(), start + rows.cpu().numpy(), k))
    return tied
