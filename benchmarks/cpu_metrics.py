"""Measure the metrics and their statistics: layer grids, permutations, memory.

  python benchmarks/cpu_metrics.py
  python benchmarks/cpu_metrics.py --quick --json metrics.json

The permutation null is compared with the algorithm of the calibrated-similarity package, which runs the metric again
for every permutation: with the package itself where it is installed (pip install calibrated-similarity). It is timed
for one permutation and scaled, since a thousand take hours. Measure on an idle machine.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from cpu_scores import Shape, make_layers, reference_mutual_knn
from measure import Row, clock, growth_in_process, print_growth, row_of, run_alone
from torch import Tensor

from vlalign.metrics import get_metric, metric_names, overlap_counts, unbiased_cka
from vlalign.metrics.base import Metric
from vlalign.metrics.engine.threads import map_layers
from vlalign.scoring import score
from vlalign.stats import permutation_null

_X, _Y, _N = (31, 576), (12, 384), 1024


def two_models(n: int, x: Shape, y: Shape) -> tuple[list[Tensor], list[Tensor]]:
    """Make layers of two models of the same samples."""
    shared = torch.randn(n, 16, generator=torch.Generator().manual_seed(0))
    return make_layers(n, *x, 1, shared), make_layers(n, *y, 2, shared)


def reference_unbiased_cka(x: Tensor, y: Tensor) -> float:
    """Compute unbiased linear CKA of one layer pair by its definition (Song et al. 2012, eq. 5)."""
    n = len(x)

    def hsic(k: Tensor, m: Tensor) -> Tensor:
        k, m = k.clone().fill_diagonal_(0), m.clone().fill_diagonal_(0)
        cross = torch.sum(k * m.T) + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * torch.mm(k, m).sum() / (n - 2)
        return cross / (n * (n - 3))

    k, m = x @ x.T, y @ y.T
    return float(hsic(k, m) / torch.sqrt(hsic(k, k) * hsic(m, m)))


def grid_of(metric: Metric, x: list[Tensor], y: list[Tensor]) -> np.ndarray:
    """Compute the whole grid from features."""
    return metric.grid(map_layers(metric.prepare, x), map_layers(metric.prepare, y))


def cka_row(n: int = _N, x_shape: Shape = _X, y_shape: Shape = _Y, repeats: int = 5) -> Row:
    """Measure unbiased CKA of all layer pairs against pair by pair from features; the values must agree."""
    x, y = two_models(n, x_shape, y_shape)
    metric = get_metric("unbiased_cka")
    grid_of(metric, x, y)
    theirs = np.zeros((len(x), len(y)))
    slow, fast = 0.0, []
    for i, a in enumerate(x):  # all pairs are timed, ours sometimes in between
        start = time.perf_counter()
        for j, b in enumerate(y):
            theirs[i, j] = reference_unbiased_cka(a, b)
        slow += time.perf_counter() - start
        if i % max(1, len(x) // repeats) == 0:
            fast.append(clock(lambda: grid_of(metric, x, y)))
    ours = grid_of(metric, x, y)
    difference = float(np.abs(ours - theirs).max())
    exact = abs(unbiased_cka(x[0].double(), y[0].double()) - ours[0, 0])
    if difference > 1e-3 or exact > 1e-5:  # the definition in float32 loses digits, ours must not
        raise AssertionError(f"the grid differs from the pairs by {difference}, from float64 by {exact}")
    what = f"unbiased_cka grid, N={n}, {x_shape[0]}×{x_shape[1]} and {y_shape[0]}×{y_shape[1]} layers"
    return row_of(what, "pair by pair", statistics.median(fast), slow, "s", at_least=50, difference=difference)


def metric_rows(n: int = _N, x_shape: Shape = _X, y_shape: Shape = _Y) -> list[Row]:
    """Measure every metric over all layer pairs from features, and all metrics together."""
    x, y = two_models(n, x_shape, y_shape)
    rows = []
    for name in metric_names():
        start = time.perf_counter()
        values = grid_of(get_metric(name), x, y)
        seconds = time.perf_counter() - start
        if not np.isfinite(values).all():
            raise AssertionError(f"{name} gave a value that is not finite")
        rows.append(row_of(f"{name} over {values.size} layer pairs, N={n}", "–", seconds, None, "s"))
    total = sum(row["ours"] for row in rows)
    what = f"all {len(rows)} metrics over {len(x) * len(y)} layer pairs, N={n}"
    return [*rows, row_of(what, "–", total, None, "s", below=60)]


def null_row(n: int = _N, x_shape: Shape = _X, y_shape: Shape = _Y, count: int = 1000) -> list[Row]:
    """Measure a permutation null of the layer maximum against running the metric again for every permutation."""
    x, y = two_models(n, x_shape, y_shape)
    start = time.perf_counter()
    metric = get_metric("mutual_knn")
    layers = map_layers(metric.prepare, x), map_layers(metric.prepare, y)
    best = float(metric.grid(*layers).max())
    null = permutation_null(metric, *layers, n=n, observed=best, count=count, stop_after=None)
    ours = time.perf_counter() - start
    assert len(null.maxima) == count

    def sim(a: Tensor, b: Tensor) -> float:
        return reference_mutual_knn(a, b, 10)

    start = time.perf_counter()
    against = rerun(x, y, sim)
    theirs = (time.perf_counter() - start) / 2 * (count + 1)  # one grid for the observed value, one a permutation
    what = f"{count} permutations with layer maximum, N={n}, from features"
    return [
        row_of(what, f"{against}, scaled from 1", ours, theirs, "s", at_least=1000),
        row_of(what, "–", ours, None, "s", below=15),
    ]


def rerun(x: list[Tensor], y: list[Tensor], sim: Callable[[Tensor, Tensor], float]) -> str:
    """Compute the observed grid and one permutation, by the package or by its algorithm; returns which."""
    try:
        from calibrated_similarity import calibrate_layers
    except ImportError:
        order = torch.randperm(len(y[0]))
        for layers in (y, [layer[order] for layer in y]):
            max(sim(a, b) for a in x for b in layers)
        return "the metric run again"
    calibrate_layers(x, y, sim, K=1)
    return "calibrated-similarity"


def overlap_rows(n: int = 20_000, layers: tuple[int, int] = (31, 12), k: int = 10) -> list[Row]:
    """Measure the mutual-kNN grid of many samples, from neighbour lists."""
    growth, seconds = growth_in_process(f"cpu_metrics.grid_growth({n}, {layers}, {k})")
    what = f"mutual-kNN grid after neighbours, N={n}, {layers[0]}×{layers[1]} layers"
    return [
        row_of(what, "–", seconds, None, "s", below=20),
        row_of(f"{what}: peak memory", "–", growth, None, "GiB", below=3),
    ]


def linear_cka_rows(n: int = 200_000, width: int = 768, names: Sequence[str] = ("cka", "unbiased_cka")) -> list[Row]:
    """Measure the growth of the peak memory during linear CKA of two layers."""
    rows = []
    for name in names:
        growth, seconds = growth_in_process(f"cpu_metrics.cka_growth({name!r}, {n}, {width})")
        what = f"linear {name}, N={n}, D={width}: growth of peak memory"
        rows.append(row_of(what, "–", growth, None, "GiB", below=1, seconds=round(seconds, 1)))
    return rows


def grid_growth(n: int, layers: tuple[int, int], k: int) -> None:
    """Print the growth of memory of lists and grid together, for :func:`overlap_rows`."""
    random = np.random.default_rng(0)

    def work() -> None:
        lists = [np.sort(random.integers(0, n - k, (n, k)), axis=1) + np.arange(k) for _ in range(sum(layers))]
        both = torch.from_numpy(np.stack(lists))  # each row without repetition
        overlap_counts(both[: layers[0]], both[layers[0] :])

    print_growth(work)


def cka_growth(name: str, n: int, width: int) -> None:
    """Print the growth of memory, for :func:`linear_cka_rows`."""
    x, y = (torch.randn(n, width, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    metric = get_metric(name)
    grid_of(metric, [x[:16]], [y[:16]])  # allocations of libraries that are made once
    print_growth(lambda: grid_of(metric, [x], [y]))


def report_row(n: int = _N, x_shape: Shape = _X, y_shape: Shape = _Y) -> list[Row]:
    """Measure `vlalign score` by default and in full, and the bare grid."""
    x, y = two_models(n, x_shape, y_shape)
    times = {}
    for name, options in (
        ("grid alone", {"permutations": 0, "half_samples": 0}), ("default", {}), ("full", {"full": True}),
    ):  # fmt: skip
        times[name] = clock(lambda: score(x, y, **options))  # noqa: B023
    return [row_of(f"vlalign.score, mutual_knn, {name}, N={n}", "–", spent, None, "s") for name, spent in times.items()]


def rows(quick: bool = False) -> list[Row]:
    """Measure all rows; ``quick`` measures smaller cases, to check that everything runs."""
    if quick:
        small = (128, (3, 24), (2, 16))
        return [
            cka_row(*small, 2), *metric_rows(*small), *null_row(*small, 50), *report_row(*small),
            *overlap_rows(2000, (3, 2)), *linear_cka_rows(20_000, 256, ["unbiased_cka"]),
        ]  # fmt: skip
    return [cka_row(), *metric_rows(), *null_row(), *report_row(), *overlap_rows(), *linear_cka_rows()]


if __name__ == "__main__":
    sys.exit(run_alone(rows, __doc__))
