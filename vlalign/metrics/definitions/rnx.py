"""R_NX: shared neighbours above chance, as a share of what is possible; at one k, and over all k.

``R_NX(k) = ((N - 1) Q(k) - k) / (N - 1 - k)`` with ``Q(k)`` the mutual-kNN score (Lee et al. 2013, "Type 1 and 2
mixtures of Kullback–Leibler divergences…", Neurocomputing 112). Its area over log k, ``Σ_k R_NX(k) / k / Σ_k 1 / k``,
needs no choice of k (Lee et al. 2015, "Multi-scale similarities in stochastic neighbour embedding", Neurocomputing
169).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Info, Ints, Metric, Moments, NullMoments, whole_number
from vlalign.metrics.definitions.mutual_knn import MutualKnn
from vlalign.metrics.engine.matches import find_matches
from vlalign.metrics.engine.neighbour_lists import relabelled
from vlalign.metrics.engine.neighbours import knn_of_sides
from vlalign.metrics.engine.threads import map_layers
from vlalign.metrics.engine.ties import Sided

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK_BYTES = 4 * 2**20  # of weights [layers, rows, N] held at once by each thread


def rnx(x: ArrayLike, y: ArrayLike, k: int = 10) -> float:
    """Compute chance-corrected mutual-kNN: ``((N - 1) Q - k) / (N - 1 - k)``, Q the mean overlap of the k neighbours.

    Args:
        x, y: features [N, D1] and [N, D2], N >= 4, rows paired. Neighbours are by inner product: normalise the rows
            for cosine.
        k: number of neighbours, 1 <= k <= N - 2.

    Returns:
        1 for the same neighbours everywhere, 0 on average for a random pairing, at least ``-k / (N - 1 - k)``.
        Ties are broken at random, independently for x and for y.

    Raises:
        VlalignError: as :meth:`vlalign.metrics.Metric.evaluate`, or for N or k out of range.

    >>> x = torch.eye(4)[[0, 0, 1, 1]]
    >>> rnx(x, 2 * x, k=1)
    1.0
    """
    return Rnx(k).evaluate(x, y)


def rnx_area(x: ArrayLike, y: ArrayLike, max_k: int | None = None) -> float:
    """Compute the area under R_NX(k) over log k, ``Σ_k R_NX(k) / k / Σ_k 1 / k`` for k = 1..max_k.

    Args:
        x, y: features [N, D1] and [N, D2], N >= 4, rows paired. Neighbours are by inner product: normalise the rows
            for cosine.
        max_k: largest number of neighbours, 1 <= max_k <= N - 2; None for N - 2.

    Returns:
        1 for the same order of neighbours everywhere, 0 on average for a random pairing. Ties are broken at
        random, independently for x and for y.

    Raises:
        VlalignError: as :meth:`vlalign.metrics.Metric.evaluate`, or for N or max_k out of range.

    >>> x = torch.tensor([[4.0, 1.0], [3.0, 2.0], [1.0, 3.0], [0.0, 5.0]])
    >>> round(rnx_area(x, 2 * x), 6)
    1.0
    """
    return RnxArea(max_k).evaluate(x, y)


@dataclass(frozen=True)
class Rnx(MutualKnn):
    """R_NX at one k: mutual-kNN on another scale."""

    name: ClassVar[str] = "rnx"
    info: ClassVar[Info] = replace(
        MutualKnn.info,
        summary="chance-corrected mutual-kNN: ((N − 1) Q − k) / (N − 1 − k), Q the mutual-kNN score",
        range="[−k / (N − 1 − k), 1]; chance 0",
        source="Lee et al. 2013 (Neurocomputing 112)",
    )

    def check(self, n: int, widths: Any = ()) -> None:
        Metric.check(self, n)
        _check_k(self.name, "k", self.k, n)

    def grid(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> Floats:
        return self._corrected(super().grid(x, y), len(x[0].x))

    def permuted(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]], permutations: Ints) -> Floats:
        return self._corrected(super().permuted(x, y, permutations), len(x[0].x))

    def per_sample(self, x: Sided[Tensor], y: Sided[Tensor]) -> Floats:
        return self._corrected(super().per_sample(x, y), len(x.x))

    def moments(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> Moments:
        """Compute the exact mean 0 and the sd of mutual-kNN on the new scale."""
        n = len(x[0].x)
        moments = super().moments(x, y)
        assert moments.sd is not None
        return Moments(np.zeros_like(moments.mean), moments.sd * (n - 1) / (n - 1 - self.k))

    def null_moments(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> NullMoments:
        """Compute the moments of mutual-kNN, for counts on the new scale."""
        n = len(x[0].x)
        free = n - 1 - self.k
        moments = super().null_moments(x, y)
        return replace(moments, unit=moments.unit * (n - 1) / free, zero=-self.k / free)

    def _corrected(self, share: Floats, n: int) -> Floats:
        return ((n - 1) * share - self.k) / (n - 1 - self.k)


@dataclass(frozen=True)
class RnxArea(Metric):
    """Area under R_NX over log k.

    A sample at rank r of a row in one layer and s in the other is shared from k = max(r, s) on, so each adds a weight
    ``w(max(r, s)) = min(w(r), w(s))``. A prepared layer is the matrix [N, N] of ranks (0 the nearest, max_k all
    beyond), or the neighbour list [N, max_k] where that is smaller, for each side.
    """

    max_k: int | None = None

    name: ClassVar[str] = "rnx_area"
    info: ClassVar[Info] = Info(
        summary="area under R_NX(k) over log k: Σ R_NX(k) / k / Σ 1 / k for k = 1..max_k (None: N − 2)",
        range="at most 1; chance 0",
        invariances="rotation and isotropic scaling",
        cost="N²·(D + log N) per layer, N² per pair (N·max_k for a small max_k)",
        source="Lee et al. 2015 (Neurocomputing 169)",
        permutations=200,
    )

    def __post_init__(self) -> None:
        if self.max_k is not None:
            object.__setattr__(self, "max_k", whole_number(self.max_k, "max_k", self.name))

    def check(self, n: int, widths: Sequence[int] = ()) -> None:
        super().check(n)
        _check_k(self.name, "max_k", self._depth(n), n)

    def holds(self, n: int, widths: Sequence[int]) -> int:
        """Return the bytes of the ranks [N, N] of one model, or of its neighbour lists."""
        depth = self._depth(n)
        return (8 * depth if _as_list(depth, n) else np.min_scalar_type(depth).itemsize * n) * n * len(widths)

    def prepare(self, layer: Tensor) -> Sided[Any]:
        """Compute the ranks [N, N] of one layer [N, D], or its neighbour list."""
        n = len(layer)
        depth = self._depth(n)

        def kept(lists: Tensor) -> Any:
            if _as_list(depth, n):
                return lists.cpu()
            ranks = np.full((n, n), depth, dtype=np.min_scalar_type(depth))
            np.put_along_axis(ranks, lists.cpu().numpy(), np.arange(depth, dtype=ranks.dtype)[None], axis=1)
            return ranks

        return knn_of_sides(layer, depth).map(kept)

    def grid(self, x: Sequence[Sided[Any]], y: Sequence[Sided[Any]]) -> Floats:
        return self.permuted(x, y, np.arange(len(x[0].x))[None])[0]

    def reorder(self, prepared: Sided[Any], order: Ints) -> Sided[Any]:
        return prepared.map(
            lambda kept: relabelled(kept, order) if isinstance(kept, torch.Tensor) else kept[order][:, order]
        )

    def permuted(self, x: Sequence[Sided[Any]], y: Sequence[Sided[Any]], permutations: Ints) -> Floats:
        n = len(x[0].x)
        depth = self._depth(n)
        k = np.arange(1, depth + 1)
        per_k = 1 / (n - 1 - k) / (1 / k).sum()
        weights = np.append((per_k / k**2)[::-1].cumsum()[::-1] * (n - 1) / n, 0.0)  # of rank 0..depth-1, and beyond
        of_x, of_y = [layer.x for layer in x], [layer.y for layer in y]
        summed = _of_lists if isinstance(of_x[0], torch.Tensor) else _of_ranks
        return summed(of_x, of_y, permutations, weights) - per_k.sum()

    def moments(self, x: Sequence[Any], y: Sequence[Any]) -> Moments:
        """Return the exact mean 0, that of R_NX at every k; the sd has no simple formula."""
        return Moments(np.zeros((len(x), len(y))), None)

    def _depth(self, n: int) -> int:
        return n - 2 if self.max_k is None else self.max_k


def _check_k(name: str, param: str, k: int, n: int) -> None:
    if k > n - 2:
        raise VlalignError(f"{name} with {param}={k} needs at least {k + 2} samples, got N={n}: lower {param}")


def _as_list(depth: int, n: int) -> bool:
    return 8 * depth < n


def _of_lists(x: Sequence[Tensor], y: Sequence[Tensor], permutations: Ints, weights: Floats) -> Floats:
    """Sum the weights [P, Lx, Ly] from neighbour lists."""
    pairs = len(x) * len(y)
    sums = np.zeros((len(permutations), pairs))
    for match in find_matches(x, y, permutations):
        pair = match.x * len(y) + match.y
        sums[match.permutation] += np.bincount(pair, weights[np.maximum(match.a, match.b)], minlength=pairs)
    return sums.reshape(-1, len(x), len(y))


def _of_ranks(x: Sequence[Ints], y: Sequence[Ints], permutations: Ints, weights: Floats) -> Floats:
    """Sum the weights [P, Lx, Ly] from matrices of ranks, in blocks of rows."""
    n = len(x[0])
    rows = max(1, _BLOCK_BYTES // (8 * n * (len(x) + 2 * len(y))))

    def work(start: int) -> Floats:
        sums = np.empty((len(permutations), len(x), len(y)))
        wx = [weights.take(layer[start : start + rows]) for layer in x]
        smaller = np.empty((len(y), *wx[0].shape))
        for p, order in enumerate(permutations):
            wy = np.stack([weights.take(layer[order[start : start + rows]].take(order, axis=1)) for layer in y])
            for i, layer in enumerate(wx):
                np.minimum(layer, wy, out=smaller)
                sums[p, i] = smaller.reshape(len(y), -1).sum(axis=1)
        return sums

    return np.sum(map_layers(work, range(0, n, rows)), axis=0)
