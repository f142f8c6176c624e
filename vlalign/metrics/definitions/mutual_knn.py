"""Mutual k-nearest-neighbour alignment: of one pair, of all layer pairs at once, and under row permutations.

``score = mean_i |kNN_X(i) ∩ kNN_Y(i)| / k`` (Huh et al., "The Platonic Representation Hypothesis", arXiv 2405.07987);
its expectation under a random pairing of the rows is ``k / (N - 1)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Info, Ints, Moments, NullMoments, paired_features, whole_number
from vlalign.metrics.engine.covariance import shared_neighbour_moments
from vlalign.metrics.engine.moments import permutation_moments
from vlalign.metrics.engine.neighbour_lists import Lists, NeighbourMetric, checked_lists, graph_sums, of_sides
from vlalign.metrics.engine.neighbours import knn
from vlalign.metrics.engine.threads import map_layers
from vlalign.metrics.engine.ties import Sided

if TYPE_CHECKING:
    from torch import Tensor

_COMPARED = 2  # comparisons of two neighbours for each sample, at most, instead of bit masks
_TABLE_BYTES = 32 * 2**20  # of bit masks [rows, N] held at once
_HASHED = 4096  # samples from which on few masks serve permutations
_SPARSE = 8  # masks of a row for each of its neighbours, at least
_HASHED_BYTES = 256 * 2**20  # of those masks of all rows
_LOOKUPS = 2**15  # of them at once, which stay in the processor's cache
_WORD = 32  # layers per mask word
_NIBBLE, _BYTE = 15, 17  # 15 masks fit a 4-bit counter, 17 such sums fit an 8-bit counter


def mutual_knn(x: ArrayLike, y: ArrayLike, k: int = 10) -> float:
    """Compute the mean overlap of every row's ``k`` nearest neighbours in two representations of the same samples.

    Args:
        x, y: features [N, D1] and [N, D2], rows paired. Neighbours are by inner product: normalise the rows for cosine.
        k: number of neighbours, 1 <= k < N.

    Returns:
        A share in [0, 1]; chance is ``k / (N - 1)``. Ties are broken at random, independently for x and for y, so a
        layer with more than ``k`` identical rows has less than 1 with itself, and constant layers are at chance.

    Raises:
        VlalignError: as :func:`vlalign.metrics.engine.neighbours.knn`, or if the numbers of rows differ.

    >>> import torch
    >>> x = torch.eye(4)[[0, 0, 1, 1]]
    >>> mutual_knn(x, 2 * x, k=1)
    1.0
    """
    k = whole_number(k, "k", "mutual_knn")
    x, y = paired_features(x, y)
    return mutual_knn_from_neighbours(knn(x, k), knn(y, k, side="y"))


def mutual_knn_from_neighbours(nx: Tensor, ny: Tensor) -> float:
    """Compute :func:`mutual_knn` of two neighbour lists [N, k] (each row without repetition)."""
    counts = overlap_counts(nx.unsqueeze(0), ny.unsqueeze(0))
    return float(counts[0, 0] / nx.numel())


def overlap_counts(nx: Lists, ny: Lists) -> Ints:
    """Count shared neighbours, summed over samples, of all layer pairs at once.

    Args:
        nx, ny: neighbour lists [Lx, N, k] and [Ly, N, k], each row without repetition.

    Returns:
        int64 [Lx, Ly]; divide by ``N * k`` for the mutual-kNN scores.

    >>> import torch
    >>> nx = torch.tensor([[[1], [0], [0]], [[2], [2], [1]]])
    >>> overlap_counts(nx, nx).tolist()
    [[3, 0], [0, 3]]
    """
    return overlap_counts_permuted(nx, ny, None)[0]


def overlap_counts_permuted(nx: Lists, ny: Lists, permutations: Ints | None) -> Ints:
    """Compute :func:`overlap_counts` after the rows of y are permuted, for each permutation.

    No distances are needed: sample i of the permuted y is ``perm[i]`` of y, its neighbours are relabelled by the
    inverse. Exact. Short lists of few layer pairs are compared neighbour by neighbour. For others, tables of bit masks
    hold which layers of one side have sample j among the neighbours of row i; the lists of the other side look their
    masks up, one permutation per CPU thread at a time.

    Args:
        nx, ny: neighbour lists [Lx, N, k] and [Ly, N, k], each row without repetition.
        permutations: int64 [P, N], each row a permutation of 0..N-1; None for the identity alone.

    Returns:
        int64 [P, Lx, Ly].
    """
    a, b = checked_lists(nx, ny)
    if permutations is None and len(a) * len(b) * a[0].shape[1] ** 2 <= _COMPARED * len(a[0]):
        return _compared_counts(a, b)[None]
    # Either side can be the table; permuting the other side by the inverse gives the same overlaps.
    swap = len(a) * -(-len(b) // _WORD) < len(b) * -(-len(a) // _WORD)
    table, looked_up = (b, a) if swap else (a, b)
    forward = relabel = None
    if permutations is not None:
        inverses = np.empty_like(permutations)
        np.put_along_axis(inverses, permutations, np.arange(permutations.shape[1])[None], axis=1)
        forward, relabel = (inverses, permutations) if swap else (permutations, inverses)
    n, k = table[0].shape
    if forward is not None and relabel is not None and n >= _HASHED and _SPARSE * k * min(len(table), _WORD) <= n:
        blocks = [table[low : low + _WORD] for low in range(0, len(table), _WORD)]
        parts = [_hashed_counts(block, looked_up, forward, relabel) for block in blocks]
        result = np.concatenate(parts, axis=1)
    else:
        result = _dense_counts(table, looked_up, forward, relabel)
    return result.transpose(0, 2, 1) if swap else result


def _compared_counts(a: Sequence[Ints], b: Sequence[Ints]) -> Ints:
    """Count [L of a, L of b] by comparing each neighbour in the one list with each in the other."""
    turned = [[np.ascontiguousarray(lists.T) for lists in side] for side in (a, b)]  # [k, N]
    return np.array(
        [[sum(np.count_nonzero(other == nearest) for nearest in one) for other in turned[1]] for one in turned[0]]
    )


def _dense_counts(table: Sequence[Ints], looked_up: Sequence[Ints], forward: Ints | None, relabel: Ints | None) -> Ints:
    """Count [P, L of table, L of looked_up] with masks of all samples, a block of rows at a time.

    Row i of the permuted lists is row ``forward[p][i]`` of ``looked_up``, whose neighbours are renamed by
    ``relabel[p]``. The bits are summed in parallel counters.
    """
    n, k = table[0].shape
    count = 1 if forward is None else len(forward)
    result = np.zeros((count, len(table), len(looked_up)), dtype=np.int64)
    flat = looked_up[0] if forward is None else np.concatenate(looked_up, axis=1)  # [N, L * k]; None needs none
    rows = min(n, max(1, _TABLE_BYTES // (4 * n)))
    for start in range(0, n, rows):
        stop = min(n, start + rows)
        tables = [
            _masks([lists[start:stop] for lists in table[low : low + _WORD]], n) for low in range(0, len(table), _WORD)
        ]
        base = np.arange(stop - start, dtype=np.int64)[:, None] * n

        def work(part: Ints, start: int = start, stop: int = stop, tables: Any = tables, base: Ints = base) -> None:
            counter = _BitCounter(stop - start, len(looked_up), k)
            index = np.empty((stop - start, len(looked_up) * k), dtype=np.int64)
            for p in part:
                if forward is None or relabel is None:
                    np.concatenate([lists[start:stop] for lists in looked_up], axis=1, out=index)
                else:
                    np.take(relabel[p], flat.take(forward[p][start:stop], axis=0), out=index, mode="clip")
                np.add(index, base, out=index)
                for word, masks in enumerate(tables):
                    low = word * _WORD
                    result[p, low : low + _WORD] += counter.count(masks, index)[: len(table) - low]

        map_layers(work, np.array_split(np.arange(count), min(count, torch.get_num_threads())))
    return result


def _hashed_counts(table: Sequence[Ints], looked_up: Sequence[Ints], forward: Ints, relabel: Ints) -> Ints:
    """Count as :func:`_dense_counts`, with masks of few samples: those with equal last digits share one.

    Of random pairs few look up a mask that is not 0, and those are compared with the lists themselves. Rows go in the
    order of the table, so that masks and lists of a block stay in the processor's cache.
    """
    n, k = table[0].shape
    dtype = np.dtype(np.uint8 if len(table) <= 8 else np.uint32)
    width = 1 << max(5, (_SPARSE * k * len(table) - 1).bit_length())
    while width > 32 and width * n * dtype.itemsize > _HASHED_BYTES:
        width //= 2
    masks = _masks([lists & (width - 1) for lists in table], width, dtype)
    lists_of = [lists.astype(np.int32) for lists in table]
    flat = np.concatenate(looked_up, axis=1).astype(np.int64)  # [N, L * k]
    columns = flat.shape[1]
    rows = max(1, _LOOKUPS // columns)
    firsts = np.arange(rows, dtype=np.int64)[:, None] * width
    narrow = np.min_scalar_type(width - 1)

    def work(one: tuple[Ints, Ints]) -> Ints:
        order, names = one
        last_digits, names = (names & (width - 1)).astype(narrow), names.astype(np.int32)
        listed, index = np.empty((2, rows, columns), dtype=np.int64)
        digits, part = np.empty((rows, columns), dtype=narrow), np.empty((rows, columns), dtype=dtype)
        places, bits, samples = [], [], []
        for start in range(0, n, rows):
            size = min(rows, n - start)
            np.take(flat, order[start : start + size], axis=0, out=listed[:size], mode="clip")
            np.take(last_digits, listed[:size], out=digits[:size], mode="clip")
            np.add(digits[:size], firsts[:size], out=index[:size])
            np.take(masks[start * width :], index[:size], out=part[:size], mode="clip")
            hit = np.flatnonzero(part[:size] != 0)
            places.append(hit + start * columns)
            bits.append(part.ravel()[hit])
            samples.append(names[listed.ravel()[hit]])
        place, bit, sample = np.concatenate(places), np.concatenate(bits), np.concatenate(samples)
        counts = np.empty((len(table), len(looked_up)), dtype=np.int64)
        for i, lists in enumerate(lists_of):
            here = np.flatnonzero(bit & dtype.type(1 << i))
            shared = np.flatnonzero(lists.take(place[here] // columns, axis=0) == sample[here, None]) // k
            counts[i] = np.bincount(place[here[shared]] % columns // k, minlength=len(looked_up))
        return counts

    return np.stack(map_layers(work, zip(forward, relabel, strict=True)))


def _masks(lists: Sequence[Ints], n: int, dtype: Any = np.uint32) -> NDArray[Any]:
    """Build flat masks [rows * n]: bit l of entry i * n + j is set if layer l of ``lists`` [rows, k] lists j for row i.

    There are as many layers as ``dtype`` has bits, at most.
    """
    rows = len(lists[0])
    masks = np.zeros(rows * n, dtype=dtype)
    base = np.arange(rows, dtype=np.int64)[:, None] * n
    for layer, neighbours in enumerate(lists):
        masks[(neighbours + base).ravel()] |= masks.dtype.type(1 << layer)
    return masks


class _BitCounter:
    """Counter of the 32 bits of looked-up masks [rows, L * k] over rows and neighbours, with its buffers made once.

    Masks are added as words: first eight 4-bit counters a word (up to 15 addends), then four 8-bit counters (17 of
    those), so the rows have the shape [15, 17, q].
    """

    def __init__(self, rows: int, layers: int, k: int) -> None:
        self.rows, self.layers, self.k = rows, layers, k
        groups = -(-rows // (_NIBBLE * _BYTE))
        self.masks = np.zeros((_NIBBLE * _BYTE * groups, layers * k), dtype=np.uint32)  # rows past the end stay zero
        self.shifted = np.empty_like(self.masks)
        self.stacked = self.shifted.reshape(_NIBBLE, _BYTE, groups, layers * k)

    def count(self, masks: NDArray[np.uint32], index: Ints) -> Ints:
        """Count how often each bit is set in ``masks[index]``, for each of the L lists: int64 [32, L]."""
        np.take(masks, index, out=self.masks[: self.rows], mode="clip")
        bits = np.empty((4, 8, self.layers), dtype=np.int64)
        for low in range(4):
            np.right_shift(self.masks, np.uint32(low), out=self.shifted)
            np.bitwise_and(self.shifted, np.uint32(0x11111111), out=self.shifted)
            nibbles = np.add.reduce(self.stacked, axis=0, dtype=np.uint32)
            for high in (0, 4):
                lanes = np.add.reduce((nibbles >> np.uint32(high)) & np.uint32(0x0F0F0F0F), axis=0, dtype=np.uint32)
                # "<u4" puts counter b of a word in byte b, whatever the machine
                parts = lanes.astype("<u4", copy=False).view(np.uint8).reshape(-1, self.layers, self.k, 4)
                bits[:, low + high] = parts.sum(axis=(0, 2), dtype=np.int64).T
        return bits.reshape(32, self.layers)


@dataclass(frozen=True)
class MutualKnn(NeighbourMetric):
    """The metric as the scorer uses it: neighbour lists once per layer, then all layer pairs together."""

    name: ClassVar[str] = "mutual_knn"
    info: ClassVar[Info] = Info(
        summary="shared k nearest neighbours, mean over samples: |kNN_X(i) ∩ kNN_Y(i)| / k",
        range="[0, 1]; chance k / (N − 1)",
        invariances="rotation and isotropic scaling",
        cost="N²·D per layer, N·k per pair",
        source="Huh et al. 2024 (arXiv 2405.07987)",
    )

    def grid(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> Floats:
        return overlap_counts(*of_sides(x, y)) / (len(x[0].x) * self.k)

    def permuted(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]], permutations: Ints) -> Floats:
        return overlap_counts_permuted(*of_sides(x, y), permutations) / (len(x[0].x) * self.k)

    def per_sample(self, x: Sided[Tensor], y: Sided[Tensor]) -> Floats:
        """Compute the shares [N] of the k neighbours of each sample that both lists have."""
        (of_x,), (of_y,) = checked_lists([x.x], [y.y])
        both = np.sort(np.concatenate([of_x, of_y], axis=1), axis=1)  # has a shared neighbour twice
        return np.asarray((both[:, 1:] == both[:, :-1]).sum(axis=1) / self.k)

    def moments(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> Moments:
        """Compute the exact mean k / (N - 1) and sd, which depends on how often samples are neighbours of others."""
        n = len(x[0].x)
        mean, sd = permutation_moments([graph_sums(layer.x) for layer in x], [graph_sums(layer.y) for layer in y], n)
        return Moments(mean / (n * self.k), sd / (n * self.k))

    def null_moments(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> NullMoments:
        """Compute exact mean and covariance of the shared neighbours of all layer pairs, in the order of rows."""
        mean, covariance = shared_neighbour_moments(*(np.stack(side) for side in checked_lists(*of_sides(x, y))))
        unit = 1 / (len(x[0].x) * self.k)
        return NullMoments(mean.ravel(), covariance.reshape(mean.size, mean.size), unit=unit)
