"""How a score depends on the number of samples and on the number of neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.metrics.base import Metric, whole_number
from vlalign.metrics.engine.neighbour_lists import LIST_BYTES, NeighbourMetric, shortened
from vlalign.metrics.engine.threads import map_layers
from vlalign.stats.null import generator
from vlalign.stats.subsets import common_rows, each_subset, widths

if TYPE_CHECKING:
    from torch import Tensor

_KS = tuple(step * 10**power for power in range(6) for step in (1, 2, 5))


@dataclass(frozen=True)
class Value:
    """Mean over repeats, and their sd; None for a single one."""

    mean: float
    sd: float | None


@dataclass(frozen=True)
class Point:
    """Scores at one N or k. ``corrected`` is ``(s − c) / (1 − c)`` with the exact chance level c, None without one."""

    at: int
    repeats: int
    largest: Value  # maximum over all layer pairs
    largest_corrected: Value | None  # for the chance level of the selected pair, not for selection
    fixed: Value  # at the fixed layer pair
    fixed_corrected: Value | None


@dataclass(frozen=True)
class Curve:
    """Points in ascending order of ``parameter`` ("n" or "k")."""

    metric: str
    parameter: str
    n: int  # all samples
    pair: tuple[int, int]  # positions of the fixed layer pair
    points: list[Point]

    def summary(self) -> dict[str, Any]:
        """JSON-able, all fields."""
        return {**asdict(self), "pair": list(self.pair)}


def n_curve(
    metric: Metric,
    x_layers: Sequence[Tensor],
    y_layers: Sequence[Tensor],
    sizes: Iterable[int] | None = None,
    repeats: int = 10,
    seed: int = 0,
    *,
    pair: tuple[int, int],
) -> Curve:
    """Score random subsets of the samples, drawn without replacement, against their size.

    Args:
        metric: any metric.
        x_layers, y_layers: layers [N, D] as they are scored, rows paired.
        sizes: subset sizes; by default N, N/2, N/4, … down to 4 k (32 without a k), as far as the metric allows.
        repeats: subsets of each size (only one of size N). A subset depends on seed, size and repeat alone, so further
            sizes or repeats change no others.
        seed: of the subsets.
        pair: positions of the fixed layer pair.

    Raises:
        VlalignError: sizes that the metric does not allow or beyond N, no repeats, or layers that cannot be paired.
    """
    n = common_rows(x_layers, y_layers)
    repeats = whole_number(repeats, "repeats", "an N curve")
    width = widths([*x_layers, *y_layers])
    metric.check(n, width)
    chosen = _halvings(metric, n, width) if sizes is None else sorted(set(sizes))
    for size in chosen:
        if whole_number(size, "size", "an N curve") > n:
            raise VlalignError(f"an N curve cannot draw {size} of N={n} samples: leave that size out")
        metric.check(size, width)
    if not chosen:
        raise VlalignError("an N curve needs at least one size")
    subsets = [
        np.sort(generator("subset", seed, n, size, repeat).choice(n, size, replace=False))
        for size in chosen
        for repeat in range(1 if size == n else repeats)
    ]
    scores: dict[int, list[list[float | None]]] = {size: [] for size in chosen}
    for rows, prepared in zip(subsets, each_subset(metric, x_layers, y_layers, subsets), strict=True):
        scores[len(rows)].append(_scores(metric, *prepared, pair))
    points = [_point(size, values) for size, values in scores.items()]
    return Curve(metric.label, "n", n, pair, points)


def k_curve(
    metric: Metric,
    x_layers: Sequence[Tensor],
    y_layers: Sequence[Tensor],
    ks: Iterable[int] | None = None,
    *,
    pair: tuple[int, int],
) -> Curve:
    """Score all samples against the number of neighbours k.

    Neighbours are searched once, at the largest k, where the metric compares neighbour lists (shorter lists are their
    beginnings); other metrics with a k prepare the layers for each k.

    Args:
        metric: a metric that has a k.
        x_layers, y_layers: layers [N, D] as they are scored, rows paired.
        ks: numbers of neighbours; by default the metric's own and 1, 2, 5, 10, 20, 50, … up to N / 4, as far as it
            allows and as the lists of all layers take 512 MiB.
        pair: positions of the fixed layer pair.

    Raises:
        VlalignError: a metric without k, a k that it does not allow, or layers that cannot be paired.
    """
    if "k" not in metric.params:
        raise VlalignError(f"{metric.name} has no number of neighbours k: a k curve needs a metric that has one")
    n = common_rows(x_layers, y_layers)
    width = widths([*x_layers, *y_layers])
    own = metric.params["k"]
    if ks is None:
        most = max(min(n // 4, LIST_BYTES // (4 * n * len(width))), own or 0)
        usual = {k for k in _KS if k <= most} | ({own} if own else set())
        allowed = [k for k in sorted(usual) if k < n and _allows(metric, n, width, k=k)]
        versions = {k: replace(metric, k=k) for k in allowed}  # type: ignore[type-var]
    else:
        versions = {k: replace(metric, k=k) for k in sorted(set(ks))}  # type: ignore[type-var]
        for version in versions.values():
            version.check(n, width)
    if not versions:
        raise VlalignError(f"{metric.name} allows no number of neighbours k with N={n} samples")
    both = [*x_layers, *y_layers]
    lists = isinstance(metric, NeighbourMetric) and type(metric).prepare is NeighbourMetric.prepare
    longest = map_layers(versions[max(versions)].prepare, both) if lists else []
    points = []
    for k, version in versions.items():
        layers = [shortened(layer, k) for layer in longest] if lists else map_layers(version.prepare, both)
        points.append(_point(k, [_scores(version, layers[: len(x_layers)], layers[len(x_layers) :], pair)]))
    return Curve(metric.name, "k", n, pair, points)


def curves_hold(metric: Metric, n: int, widths: Sequence[int]) -> int:
    """Return the bytes that :func:`n_curve` and :func:`k_curve` hold for ``n`` samples and all layers of both sides."""
    if not metric.lazy:  # the layers, and what the metric makes of them, beside what is kept for the null
        return 4 * n * sum(widths) + metric.holds(n, widths)
    lists = max(min(LIST_BYTES, n * n * len(widths)), metric.holds(n, widths))
    return lists + 10 * metric.holds(n, widths)


def _halvings(metric: Metric, n: int, width: Sequence[int]) -> list[int]:
    sizes: list[int] = []
    smallest = min(n, 4 * (metric.params.get("k") or 8))  # below, chance dominates
    while n >= smallest and _allows(metric, n, width):
        sizes.insert(0, n)
        n //= 2
    return sizes


def _allows(metric: Metric, n: int, width: Sequence[int], **params: Any) -> bool:
    """Return whether a metric, with these parameters, is defined for ``n`` samples and layers of ``width``."""
    try:
        replace(metric, **params).check(n, width)  # type: ignore[type-var]
    except VlalignError:
        return False
    return True


def _scores(metric: Metric, x: Sequence[Any], y: Sequence[Any], pair: tuple[int, int]) -> list[float | None]:
    """Return the largest value, it corrected, the value of the fixed pair, it corrected."""
    matrix = metric.grid(x, y)
    if not (0 <= pair[0] < matrix.shape[0] and 0 <= pair[1] < matrix.shape[1]):
        raise VlalignError(f"no layer pair {tuple(pair)} among {matrix.shape[0]} × {matrix.shape[1]} layers")
    i, j = np.unravel_index(int(np.argmax(matrix)), matrix.shape)
    values: list[float | None] = []
    for a, b in ((int(i), int(j)), pair):
        moments = metric.moments([x[a]], [y[b]])
        chance = 1.0 if moments is None else float(moments.mean[0, 0])
        score = float(matrix[a, b])
        values += [score, (score - chance) / (1 - chance) if chance < 1 - 1e-12 else None]
    return values


def _point(at: int, rows: list[list[float | None]]) -> Point:
    def value(column: int) -> Value | None:
        values = [row[column] for row in rows if row[column] is not None]
        if len(values) < len(rows):
            return None
        numbers = np.array(values, dtype=np.float64)
        return Value(float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else None)

    largest, fixed = value(0), value(2)
    assert largest is not None
    assert fixed is not None
    return Point(at, len(rows), largest, value(1), fixed, value(3))
