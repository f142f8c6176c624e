"""Approximate nearest neighbours by inner product, from a graph that faiss builds, and their recall.

An HNSW graph (Malkov and Yashunin 2018, arXiv 1603.09320) leads from sample to sample towards the neighbours of a
query, so that time grows about as N log N rather than N². It is built on one thread, in the order of the rows, so that
the same layer gives the same lists.

Equal neighbours are in the order in which faiss reaches them, which random pairings would not repeat: layers where many
samples have equal neighbours at the end of their lists are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlalign.arrays import LazyLayer, row_blocks
from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Ints, check_features, checked_norms

if TYPE_CHECKING:
    from torch import Tensor

#: rows of a layer whose exact neighbours are searched, to measure the recall
MEASURED_ROWS = 1000
_CHOSEN_BY = 250  # further rows, which decide how much of the graph is searched
_ENOUGH = 0.995  # recall on those rows
_EDGES, _BUILD_WIDTH = 32, 80  # of the graph: edges of a sample, candidates beside which they are chosen
_LEAST_WIDTH, _MOST_WIDTH = 64, 1024  # candidates of a query
_TIED = 0.01  # of the rows, with equal neighbours at the end of their lists
_ROWS_AT_ONCE = 4096  # searched together


def describe() -> dict[str, Any]:
    """Return the entry of a record about the library and its graph."""
    import faiss

    return {"method": "faiss", "version": faiss.__version__, "index": f"HNSW{_EDGES}, efConstruction {_BUILD_WIDTH}"}


def graph_bytes(n: int, width: int) -> int:
    """Return the bytes of the graph of a layer [N, D], features included."""
    return n * (4 * width + 8 * _EDGES + 64)


def approximate_knn(layer: Tensor | LazyLayer, k: int, length: int) -> tuple[Tensor, float]:
    """Search neighbour lists by inner product with faiss, the row itself excluded, nearest first.

    More of the graph is searched until the lists hold 99.5 % of the k exact neighbours of 250 random rows, or 1,024
    candidates were kept for each query.

    Args:
        layer: features [N, D].
        k: neighbours that the recall counts.
        length: of the lists, at least k and less than N.

    Returns:
        int32 lists [N, length] on the CPU, and the recall: the share of the k exact neighbours of 1,000 other random
        rows (or all other rows) that the lists hold.

    Raises:
        VlalignError: features that are not finite [N, D], or with many ties.
    """
    import faiss

    layer = layer if isinstance(layer, LazyLayer) else check_features(layer)
    checked_norms(layer)
    n, width = layer.shape
    order = np.random.default_rng(0).permutation(n)
    tuned_on, measured_on = np.sort(order[:_CHOSEN_BY]), np.sort(order[_CHOSEN_BY:][:MEASURED_ROWS])
    measured_on = measured_on if len(measured_on) else tuned_on
    exact = _exact(layer, measured_on, k)
    index = faiss.IndexHNSWFlat(width, _EDGES, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = _BUILD_WIDTH
    threads = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(1)
        for _, part in row_blocks(layer):
            index.add(_as_float32(part))
        faiss.omp_set_num_threads(torch.get_num_threads())
        known, candidates = _exact(layer, tuned_on, k), max(_LEAST_WIDTH, length + 1)
        while True:
            index.hnsw.efSearch = candidates
            if candidates >= _MOST_WIDTH or _recall(_searched(index, layer, tuned_on, length), known) >= _ENOUGH:
                break
            candidates *= 2
        lists = np.empty((n, length), dtype=np.int32)
        for start in range(0, n, _ROWS_AT_ONCE):
            rows = np.arange(start, min(n, start + _ROWS_AT_ONCE))
            lists[rows] = _searched(index, layer, rows, length)
    finally:
        faiss.omp_set_num_threads(threads)
    return torch.from_numpy(lists), _recall(lists[measured_on], exact)


def _searched(index: Any, layer: Tensor | LazyLayer, rows: Ints, length: int) -> Ints:
    """Return lists [rows, length] of some rows; those that the graph gives too few neighbours are searched exactly."""
    _, near = index.search(_as_float32(layer[torch.from_numpy(rows)]), length + 1)
    other = near != rows[:, None]
    other[other.all(axis=1), -1] = False  # the row itself is not among its neighbours, so one is left over
    lists: Ints = near[other].reshape(len(rows), length)
    if len(few := np.flatnonzero((lists < 0).any(axis=1))):
        lists[few] = _nearest(layer, rows[few], length)[1][:, :length]
    return lists


def _exact(layer: Tensor | LazyLayer, rows: Ints, k: int) -> Ints:
    """Return the exact neighbours [rows, k] of some rows.

    Raises:
        VlalignError: many of them have equal neighbours at the end of their lists.
    """
    values, near = _nearest(layer, rows, k)
    tied = float((values[:, k - 1] == values[:, k]).mean()) if values.shape[1] > k else 0.0
    if tied > _TIED:
        raise VlalignError(
            f"neighbours: {tied:.0%} of the samples have equal neighbours (identical or rounded features), which faiss "
            "does not order at random: use exact"
        )
    return near[:, :k]


def _nearest(layer: Tensor | LazyLayer, rows: Ints, k: int) -> tuple[Floats, Ints]:
    """Return the inner products and numbers of the k + 1 nearest others of some rows (k where there are no more)."""
    queries = layer[torch.from_numpy(rows).to(layer.device)]
    count = min(k + 1, len(layer) - 1)
    values: list[Tensor] = []
    numbers: list[Tensor] = []
    for start, part in row_blocks(layer):
        products = queries @ part.T
        own = rows - start
        inside = np.flatnonzero((own >= 0) & (own < len(part)))
        products[torch.from_numpy(inside), torch.from_numpy(own[inside])] = -torch.inf
        best = products.topk(min(count, len(part)), dim=1)
        values.append(best.values)
        numbers.append(best.indices + start)
        if len(values) > 1:
            merged = torch.cat(values, dim=1).topk(min(count, sum(one.shape[1] for one in values)), dim=1)
            values, numbers = [merged.values], [torch.cat(numbers, dim=1).gather(1, merged.indices)]
    return values[0].double().cpu().numpy(), numbers[0].cpu().numpy()


def _recall(lists: NDArray[Any], exact: Ints) -> float:
    """Return the share of the exact neighbours [rows, k] that the lists [rows, length] hold."""
    return float((exact[:, :, None] == lists[:, None, :]).any(axis=2).mean())


def _as_float32(rows: Tensor) -> Any:
    return np.ascontiguousarray(rows.detach().cpu().numpy(), dtype=np.float32)
