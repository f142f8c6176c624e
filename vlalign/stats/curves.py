"""How a score depends on the number of samples and on the number of neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from vlalign.arrays import DelayedLayer
from vlalign.errors import VlalignError
from vlalign.metrics.base import Metric, whole_number
from vlalign.metrics.engine.neighbour_lists import LIST_BYTES, NeighbourMetric, shortened
from vlalign.metrics.engine.threads import map_layers
from vlalign.stats.null import generator
from vlalign.stats.subsets import common_rows, each_subset, widths

if TYPE_CHECKING:
    from torch import Tensor

Scores: TypeAlias = "list[float | None]"  #: of one subset or k, see :func:`_scores`
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
    k: int | None  # neighbours; None for a metric without, or with all
    repeats: int
    chance: float | None  # exact, of the fixed layer pair, mean over repeats
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


def n_curves(
    metric: Metric,
    x_layers: Sequence[Tensor],
    y_layers: Sequence[Tensor],
    sizes: Iterable[int] | None = None,
    repeats: int = 10,
    seed: int = 0,
    *,
    pair: tuple[int, int],
) -> dict[str, Curve]:
    """Score random subsets of the samples, drawn without replacement, against their size: k fixed, and in proportion.

    With k fixed, the chance level k / (n - 1) falls as n grows, and neighbours are nearer. With k in proportion to n it
    stays, and so does the part of the samples that are neighbours: what then falls is not the chance level.

    Args:
        metric: any metric.
        x_layers, y_layers: layers [N, D] as they are scored, rows paired.
        sizes: subset sizes; by default N, N/2, N/4, … down to 4 k (32 without a k), as far as the metric allows.
        repeats: subsets of each size (only one of size N). A subset depends on seed, size and repeat alone, so further
            sizes or repeats change no others.
        seed: of the subsets.
        pair: positions of the fixed layer pair.

    Returns:
        Curve ``n``, with the k of the metric, and ``n_proportional``, where it has one: the same subsets with k·n/N
        neighbours, rounded. Sizes of which this is 0 are left out, and the curve where one size remains.

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
    versions = _proportional(metric, n, chosen, width)
    scores: dict[int, list[Scores]] = {size: [] for size in chosen}
    scaled: dict[int, list[Scores]] = {size: [] for size in versions}
    for rows, (x, y) in zip(subsets, each_subset(metric, x_layers, y_layers, subsets), strict=True):
        scores[len(rows)].append(_scores(metric, x, y, pair))
        if _keeps_lists(metric) and len(rows) in versions:
            version = versions[len(rows)]
            x, y = ([shortened(layer, version.params["k"]) for layer in side] for side in (x, y))
            scaled[len(rows)].append(_scores(version, x, y, pair))
    if not _keeps_lists(metric):
        for size, version in versions.items():
            of_size = [rows for rows in subsets if len(rows) == size]
            prepared = each_subset(version, x_layers, y_layers, of_size)
            scaled[size] = [_scores(version, x, y, pair) for x, y in prepared]
    k = metric.params.get("k")
    curves = {"n": Curve(metric.label, "n", n, pair, [_point(size, k, values) for size, values in scores.items()])}
    if len(scaled) > 1:
        points = [_point(size, versions[size].params["k"], values) for size, values in scaled.items()]
        curves["n_proportional"] = Curve(metric.label, "n", n, pair, points)
    return curves


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
            allows, and as the lists of all layers take 512 MiB or are known.
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
        every = [*x_layers, *y_layers]
        known = [one.lists.x.shape[1] for one in every if isinstance(one, DelayedLayer) and one.lists is not None]
        most = max(min(n // 4, LIST_BYTES // (4 * n * len(width)), *known), own or 0)
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
    lists = _keeps_lists(metric)
    longest = map_layers(versions[max(versions)].prepare, both) if lists else []
    points = []
    for k, version in versions.items():
        layers = [shortened(layer, k) for layer in longest] if lists else map_layers(version.prepare, both)
        points.append(_point(k, k, [_scores(version, layers[: len(x_layers)], layers[len(x_layers) :], pair)]))
    return Curve(metric.name, "k", n, pair, points)


def curves_hold(metric: Metric, n: int, widths: Sequence[int]) -> int:
    """Return the bytes that :func:`n_curves` and :func:`k_curve` hold for ``n`` samples and layers of both sides."""
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


def _proportional(metric: Metric, n: int, sizes: Sequence[int], width: Sequence[int]) -> dict[int, Metric]:
    """Return the metric with k in proportion to each size of which this is at least 1; empty for one without a k."""
    if not (k := metric.params.get("k")):
        return {}
    ks = {size: (2 * k * size + n) // (2 * n) for size in sizes}  # rounded
    allowed = {size: k for size, k in ks.items() if k and _allows(metric, size, width, k=k)}
    return {size: replace(metric, k=k) for size, k in allowed.items()}  # type: ignore[type-var]


def _keeps_lists(metric: Metric) -> bool:
    """Return whether prepared layers are neighbour lists, of which shorter ones are the beginnings."""
    return isinstance(metric, NeighbourMetric) and metric.lazy


def _allows(metric: Metric, n: int, width: Sequence[int], **params: Any) -> bool:
    """Return whether a metric, with these parameters, is defined for ``n`` samples and layers of ``width``."""
    try:
        replace(metric, **params).check(n, width)  # type: ignore[type-var]
    except VlalignError:
        return False
    return True


def _scores(metric: Metric, x: Sequence[Any], y: Sequence[Any], pair: tuple[int, int]) -> Scores:
    """Return the largest value, it corrected, the value of the fixed pair, it corrected, and its chance level."""
    matrix = metric.grid(x, y)
    if not (0 <= pair[0] < matrix.shape[0] and 0 <= pair[1] < matrix.shape[1]):
        raise VlalignError(f"no layer pair {tuple(pair)} among {matrix.shape[0]} × {matrix.shape[1]} layers")
    i, j = np.unravel_index(int(np.argmax(matrix)), matrix.shape)
    values: Scores = []
    for a, b in ((int(i), int(j)), pair):
        moments = metric.moments([x[a]], [y[b]])
        chance = None if moments is None else float(moments.mean[0, 0])
        score = float(matrix[a, b])
        corrected = None if chance is None or chance > 1 - 1e-12 else (score - chance) / (1 - chance)
        values += [score, corrected]
    return [*values, chance]


def _point(at: int, k: int | None, rows: list[Scores]) -> Point:
    def value(column: int) -> Value | None:
        values = [row[column] for row in rows if row[column] is not None]
        if len(values) < len(rows):
            return None
        numbers = np.array(values, dtype=np.float64)
        return Value(float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else None)

    largest, fixed, chance = value(0), value(2), value(4)
    assert largest is not None
    assert fixed is not None
    return Point(at, k, len(rows), None if chance is None else chance.mean, largest, value(1), fixed, value(3))
