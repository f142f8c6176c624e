"""Centred kernel nearest-neighbour alignment: unbiased CKA over the mutual nearest neighbours only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Info, Ints, Metric, Moments, take_rows, whole_number
from vlalign.metrics.definitions.cka import UnbiasedCka
from vlalign.metrics.definitions.mutual_knn import MutualKnn
from vlalign.metrics.engine.matches import find_matches
from vlalign.metrics.engine.neighbour_lists import relabelled
from vlalign.metrics.engine.ties import Sided

if TYPE_CHECKING:
    from torch import Tensor

_GATHER_BYTES = 2**20  # of neighbours' features held at once
_SUM_BYTES = 64 * 2**20  # of row and column sums held at once
_ROUNDING = 1e-12  # a difference this small, relative to its parts, is rounding
_ALL = UnbiasedCka()  # the metric when all other samples are neighbours


def cknna(x: ArrayLike, y: ArrayLike, k: int | None = 10) -> float:
    """Compute the unbiased HSIC of two linear kernels masked to shared nearest neighbours, over the two self terms.

    With ``K = XXᵀ`` and ``L = YYᵀ`` and masks ``A[i, j] = (j in kNN_X(i))``, ``B`` alike: ``HSIC(ABK, ABL) /
    sqrt(HSIC(AK, AK) HSIC(BL, BL))``, all products but those inside HSIC entry by entry. HSIC is the unbiased
    estimator of Song et al. 2012. Huh et al. 2024 (arXiv 2405.07987), whose code adds 1e-6 to the denominator; that
    depends on the scale of the features and is left out here. Masked kernels are not symmetric, and neither is the
    value, quite.

    Args:
        x, y: features [N, D1] and [N, D2], N >= 4, rows paired.
        k: number of neighbours, 2 <= k < N; None for all others, which is unbiased linear CKA.

    Returns:
        At most about 1, and negative values occur; 0 where a self term is not positive (as for constant features).

    Raises:
        VlalignError: as :meth:`vlalign.metrics.Metric.evaluate`, or for N or k out of range.

    >>> x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    >>> round(cknna(x, 2 * x, k=5), 6)
    1.0
    """
    return Cknna(k).evaluate(x, y)


class Masked(NamedTuple):
    """A kernel masked to the nearest neighbours."""

    lists: Tensor  # [N, k] neighbours
    values: Floats  # [N, k] inner products with them, of features scaled to a largest entry of 1
    returned: NDArray[np.bool_]  # [N, k] whether the neighbour lists the row too
    own: float  # HSIC with itself, 0 where not positive

    def reorder(self, order: Ints) -> Masked:
        return Masked(relabelled(self.lists, order), self.values[order], self.returned[order], self.own)


@dataclass(frozen=True)
class Cknna(Metric):
    """The metric as the scorer uses it. A prepared layer is :class:`Masked`, for k=None a centred kernel [N, N]."""

    k: int | None = 10

    name: ClassVar[str] = "cknna"
    info: ClassVar[Info] = Info(
        summary="unbiased CKA of linear kernels masked to the shared k nearest neighbours (k=None: all)",
        range="at most about 1; chance a little above 0; negative values occur",
        invariances="rotation and isotropic scaling",
        cost="N²·D per layer, N·k per pair; for k=None N² per pair",
        source="Huh et al. 2024 (arXiv 2405.07987), whose code adds 1e-6 to the denominator",
        symmetric=False,
    )

    def __post_init__(self) -> None:
        if self.k is not None:
            object.__setattr__(self, "k", whole_number(self.k, "k", self.name, least=2))

    @property
    def _lists(self) -> MutualKnn:
        assert self.k is not None
        return MutualKnn(self.k)

    def check(self, n: int, widths: Sequence[int] = ()) -> None:
        super().check(n)
        if self.k is not None and n <= self.k:
            raise VlalignError(f"{self.name} with k={self.k} needs more than {self.k} samples, got N={n}: lower k")

    def holds(self, n: int, widths: Sequence[int]) -> int:
        """Return the bytes of the kernels [N, N] of one model for k=None, else of lists and kernels [N, k]."""
        return _ALL.holds(n, widths) if self.k is None else (4 + 8 + 1) * n * self.k * len(widths)

    def prepare(self, layer: Tensor) -> Any:
        """Compute the kernel of one layer [N, D], masked to the neighbours; for k=None as :class:`UnbiasedCka`."""
        return _ALL.prepare(layer) if self.k is None else _masked(layer, self._lists.prepare(layer))

    def grid(self, x: Sequence[Any], y: Sequence[Any]) -> Floats:
        return _ALL.grid(x, y) if self.k is None else _values(x, y, None)[0]

    def permuted(self, x: Sequence[Any], y: Sequence[Any], permutations: Ints) -> Floats:
        return _ALL.permuted(x, y, permutations) if self.k is None else _values(x, y, permutations)

    def moments(self, x: Sequence[Any], y: Sequence[Any]) -> Moments | None:
        """Compute exact mean (0) and sd for k=None; None otherwise."""
        return _ALL.moments(x, y) if self.k is None else None

    def reorder(self, prepared: Any, order: Ints) -> Any:
        if self.k is None:
            return prepared.reorder(order)
        return prepared.map(lambda masked: masked.reorder(order))

    def for_subsets(self, layer: Tensor, smallest: int) -> Any:
        return layer if self.k is None else self._lists.for_subsets(layer, smallest)

    def subset(self, kept: Any, rows: Ints) -> Any:
        if self.k is None:
            return super().subset(kept, rows)
        return _masked(take_rows(kept[0], rows), self._lists.subset(kept, rows))


def _masked(layer: Tensor, lists: Sided[Tensor]) -> Sided[Masked]:
    return lists.map(lambda one: _mask(layer, one))


def _mask(layer: Tensor, lists: Tensor) -> Masked:
    n, k = lists.shape
    scale, index = float(layer.abs().max()) or 1.0, lists.to(layer.device)
    products = torch.empty((n, k), dtype=torch.float64)
    rows = max(1, _GATHER_BYTES // (8 * k * layer.shape[1]))
    for start in range(0, n, rows):
        part = slice(start, start + rows)
        features = (layer[part].double() / scale / scale).unsqueeze(2)
        products[part] = (layer[index[part]].double() @ features).squeeze(2).cpu()
    values, neighbours = products.numpy(), lists.numpy().astype(np.int64)
    row = np.arange(n)[:, None]
    returned = np.isin(row * n + neighbours, neighbours * n + row)
    total = float(values.sum())
    columns = np.bincount(neighbours.ravel(), values.ravel(), minlength=n)
    parts = float((values**2)[returned].sum()), total, total, float(columns @ values.sum(axis=1))
    own = float(_hsic(*parts, n))
    size = float(_hsic(parts[0], total, total, -abs(parts[3]), n))
    return Masked(lists, values, returned, own if own > _ROUNDING * size else 0.0)


def _hsic(returned: Any, total_a: Any, total_b: Any, crossed: Any, n: int) -> Any:
    """Compute the unbiased HSIC of A and B (zero diagonals) from ``Σ A∘Bᵀ``, ``Σ A``, ``Σ B`` and ``Σ AB``."""
    return (returned + total_a * total_b / ((n - 1) * (n - 2)) - 2 * crossed / (n - 2)) / (n * (n - 3))


def _values(x_layers: Sequence[Sided[Masked]], y_layers: Sequence[Sided[Masked]], permutations: Ints | None) -> Floats:
    x, y = [layer.x for layer in x_layers], [layer.y for layer in y_layers]
    n = len(x[0].lists)
    count = 1 if permutations is None else len(permutations)
    step = max(1, _SUM_BYTES // (16 * n * len(x) * len(y)))
    parts = [None] if permutations is None else [permutations[low : low + step] for low in range(0, count, step)]
    hsic = np.concatenate([_shared(x, y, part) for part in parts])
    scale = np.sqrt(np.outer([layer.own for layer in x], [layer.own for layer in y]))
    return np.divide(hsic, scale, out=np.zeros_like(hsic), where=scale > 0)


def _shared(x: Sequence[Masked], y: Sequence[Masked], permutations: Ints | None) -> Floats:
    """Compute the HSIC [P, Lx, Ly] of the kernels masked to the shared neighbours of each pair."""
    lists = [[layer.lists for layer in side] for side in (x, y)]
    kernels = [np.stack([layer.values for layer in side]).ravel() for side in (x, y)]
    returns = [np.stack([layer.returned for layer in side]).ravel() for side in (x, y)]
    columns_of = torch.stack(lists[0]).long().numpy().ravel()
    n, k = x[0].lists.shape
    orders = np.arange(n)[None] if permutations is None else permutations
    pairs = len(x) * len(y)
    returned = np.zeros((len(orders), pairs))
    columns, rows = (np.zeros((len(orders), pairs * n)) for _ in range(2))  # of K and of L
    for matches in find_matches(lists[0], lists[1], permutations):
        p, pair = matches.permutation, matches.x * len(y) + matches.y
        left = (matches.x * n + matches.row) * k + matches.a
        right = (matches.y * n + orders[p][matches.row]) * k + matches.b
        a, b = kernels[0][left], kernels[1][right]
        both = returns[0][left] & returns[1][right]  # the opposite entry matches too, and kernels are symmetric
        returned[p] += np.bincount(pair, a * b * both, minlength=pairs)
        np.add.at(columns[p], pair * n + columns_of[left], a)
        np.add.at(rows[p], pair * n + matches.row, b)
    by_pair = [sums.reshape(len(orders), pairs, n) for sums in (columns, rows)]
    crossed = np.einsum("pqn,pqn->pq", *by_pair)
    hsic = _hsic(returned, by_pair[0].sum(axis=2), by_pair[1].sum(axis=2), crossed, n)
    return np.reshape(hsic, (-1, len(x), len(y)))
