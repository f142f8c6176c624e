"""Nearest neighbours by inner product, in row blocks of bounded memory."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.layers import scratch

#: Bytes of inner products held at once when ``block`` is not given, on the CPU and on accelerators, which larger blocks
#: keep busy. It depends on nothing but N and the dtype, so that the same input is always cut the same way.
BLOCK_BYTES, DEVICE_BLOCK_BYTES = 128 * 2**20, 2**30
_TILE = 128  # rows of a tile when the products are all held at once and only one triangle is computed
_SEARCH_BYTES = 4 * 2**20  # of inner products searched together on the CPU: they stay in its cache
_Ints = NDArray[np.int64]


def check_features(x: Tensor, what: str = "features") -> Tensor:
    """Check that ``x`` is a floating [N, D] tensor; return it in float32, or float64 if it was float64.

    Raises:
        VlalignError: not a tensor, not two-dimensional, empty, or not floating.
    """
    if not isinstance(x, Tensor) or x.layout != torch.strided or x.is_meta:
        kind = f"one on {x.device}, {x.layout}" if isinstance(x, Tensor) else type(x).__name__
        raise VlalignError(f"{what} must be a dense torch tensor [N, D], got {kind}: convert it first")
    if x.ndim != 2 or 0 in x.shape:
        raise VlalignError(f"{what} must be a tensor [N, D] with N, D >= 1, got shape {list(x.shape)}")
    if not x.is_floating_point():
        raise VlalignError(f"{what} must be floating point, got {x.dtype}: convert with .float()")
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def checked_norms(x: Tensor, what: str = "features") -> Tensor:
    """L2 norms [N, 1] of the rows of ``x``; the pass that finds values that are not finite, too.

    Raises:
        VlalignError: for NaN or infinity in ``x``, or rows so large that their inner products overflow.
    """
    norms = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    if bool(norms.max() < torch.finfo(x.dtype).max ** 0.5):  # false for NaN
        return norms
    for start in range(0, len(x), rows := max(1, 2**22 // x.shape[1])):
        bad = torch.nonzero(~torch.isfinite(x[start : start + rows]).all(dim=1))
        if len(bad):
            row = start + int(bad[0, 0])
            raise VlalignError(f"{what} hold a value that is not finite (first in row {row}): leave that sample out")
    raise VlalignError(f"inner products of {what} overflow {x.dtype}: scale them down")


def knn(x: Tensor, k: int = 10, *, block: int | None = None) -> Tensor:
    """The ``k`` rows of largest inner product with every row, the row itself excluded.

    For cosine similarity pass L2-normalised rows. Neighbours are ordered by inner product, largest first; equal inner
    products (as computed, in the dtype of ``x``) are ordered by row number, lower first, and the same rule decides who
    is let in at the border. A zero row is equally similar to every row, so its neighbours are the first ``k`` others.

    Works on the device of ``x`` in row blocks: beside the input, memory grows by about ``block * N`` values.

    Args:
        x: features [N, D], float32 or float64 (float16 and bfloat16 are computed in float32).
        k: number of neighbours, 1 <= k < N.
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
    x = check_features(x).detach()
    n = len(x)
    if not 1 <= k < n:
        raise VlalignError(f"k must be at least 1 and less than the number of samples, got k={k} with N={n}")
    if float(checked_norms(x).max()) < torch.finfo(x.dtype).tiny ** 0.5 and bool(x.any()):
        raise VlalignError(f"inner products of features underflow {x.dtype}: scale them up")
    if block is None:
        block = (BLOCK_BYTES if x.device.type == "cpu" else DEVICE_BLOCK_BYTES) // (n * x.element_size())
    blocks = -(-n // min(max(1, block), n))
    block = -(-n // blocks)  # even blocks: no small last one
    out = torch.empty((n, k), dtype=torch.int64, device=x.device)
    buffer = scratch((block, n), x.dtype, x.device)
    for start in range(0, n, block):
        rows = x[start : start + block]
        products = buffer[: len(rows)]
        if blocks == 1:
            gram(x, products)
        else:
            torch.mm(rows, x.T, out=products)
        products.diagonal(start).fill_(-torch.inf)
        if x.device.type == "cpu":
            search_on_cpu(products, out[start : start + block])
        else:
            out[start : start + block] = search_on_device(products, k)
    return out


def gram(x: Tensor, out: Tensor) -> None:
    """All inner products of ``x`` into ``out`` [N, N]: one triangle of tiles is computed, the other copied."""
    for start in range(0, len(x), _TILE):
        stop = start + _TILE
        torch.mm(x[start:stop], x[start:].T, out=out[start:stop, start:])
        if stop < len(x):
            out[stop:, start:stop] = out[start:stop, stop:].T


def search_on_cpu(products: Tensor, out: Tensor) -> None:
    """Columns of the k largest of each row of ``products`` [rows, N] into ``out`` [rows, k], ties by lower column.

    A lower bound of the k-th largest value comes from the maxima of column groups: k groups have a maximum that large.
    The few values that reach the bound are sorted stably.
    """
    step = max(1, _SEARCH_BYTES // (products.shape[1] * products.element_size()))
    for start in range(0, len(products), step):
        part = products[start : start + step]
        _search_part(part.numpy(), _lower_bound(part, out.shape[1]), out[start : start + step].numpy())


def _lower_bound(products: Tensor, k: int) -> NDArray[np.floating]:
    """A value [rows, 1] that at least k entries of each row reach, and few more."""
    groups = max(32, -(-3 * k // 16) * 16)
    size = products.shape[1] // groups
    if size > 1:  # group g holds the columns g, g + groups, ...; the left-over columns could only raise the bound
        products = products[:, : size * groups].unflatten(1, (size, groups)).amax(dim=1)
    values: NDArray[np.floating] = products.numpy()
    last = values.shape[1] - k
    return np.partition(values, last, axis=1)[:, last, None]


def _search_part(products: NDArray[np.floating], bound: NDArray[np.floating], out: _Ints) -> None:
    rows, n = products.shape
    k = out.shape[1]
    found = np.flatnonzero(products >= bound)
    row, column = np.divmod(found, n)
    counts = np.bincount(row, minlength=rows)
    many = counts > 4 * k + 64  # many ties, or all the near ones in few groups
    if many.any():
        for i in np.flatnonzero(many):
            out[i] = _search_row(products[i], k)
        if not many.all():
            rest = np.empty((int(rows - many.sum()), k), dtype=np.int64)
            _search_part(products[~many], bound[~many], rest)
            out[~many] = rest
        return
    width = int(counts.max())
    slot = np.arange(len(found)) + (np.arange(rows) * width - counts.cumsum() + counts)[row]
    negated = np.full(rows * width, np.inf, dtype=products.dtype)
    negated[slot] = -products.reshape(-1)[found]
    columns = np.zeros(rows * width, dtype=np.int64)
    columns[slot] = column
    order = np.argsort(negated.reshape(rows, width), axis=1, kind="stable")[:, :k]
    out[:] = np.take_along_axis(columns.reshape(rows, width), order, axis=1)


def _search_row(row: NDArray[np.floating], k: int) -> _Ints:
    last = np.partition(row, len(row) - k)[len(row) - k]
    above = np.flatnonzero(row > last)
    columns = np.concatenate([above, np.flatnonzero(row == last)[: k - len(above)]])
    return columns[np.lexsort((columns, -row[columns]))]


def search_on_device(products: Tensor, k: int) -> Tensor:
    """As :func:`search_on_cpu`, in torch operations for an accelerator; returns int64 [rows, k]."""
    top = products.topk(k + 1, dim=1)  # one more than asked for shows a tie at the border
    equal = top.values[:, 1:] == top.values[:, :-1]
    columns = top.indices[:, :k]
    if not bool(equal.any()):
        return columns
    border = torch.nonzero(equal[:, k - 1]).flatten()
    columns = columns.clone()
    for part in border.split(max(1, 2**22 // products.shape[1])):
        values, last = products[part], top.values[part, k - 1 : k]
        above, ties = values > last, values == last
        room = k - above.sum(dim=1, keepdim=True)
        chosen = above | (ties & (ties.cumsum(dim=1) <= room))
        columns[part] = torch.nonzero(chosen)[:, 1].view(len(part), k)
    columns = columns.sort(dim=1).values
    order = products.gather(1, columns).sort(dim=1, descending=True, stable=True).indices
    return columns.gather(1, order)
