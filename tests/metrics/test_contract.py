"""What every metric of the registry must hold, whatever it computes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from support.inputs import KINDS, pair_of

from vlalign.errors import VlalignError
from vlalign.metrics import Metric, get_metric, metric_names
from vlalign.metrics.base import of_pair
from vlalign.metrics.graph import NeighbourMetric

#: every metric with its defaults, and the other modes of those that have some
TEXTS: list[tuple[str, dict[str, object]]] = [
    *((name, {}) for name in metric_names()),
    ("cka", {"kernel": "rbf", "bandwidth": "median"}),
    ("unbiased_cka", {"kernel": "rbf", "bandwidth": "median"}),
    ("cmd", {"centred": True}),
    ("cknna", {"k": None}),
    ("rsa", {"compare": "pearson", "distance": "euclidean"}),
]
METRICS = [get_metric(name, **params) for name, params in TEXTS]
every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.label)


@every_metric
def test_says_what_it_is(metric: Metric) -> None:
    info = metric.info
    assert get_metric(metric.name, **metric.params) == metric
    for text in (info.summary, info.range, info.invariances, info.cost, info.source):
        assert text.strip()


@every_metric
@pytest.mark.parametrize("kind", KINDS)
def test_values_are_finite_and_of_the_right_shape(metric: Metric, kind: str) -> None:
    (x, y), z = pair_of(kind), pair_of(kind, seed=1)[0]
    sides = [metric.prepare(side) for side in (x, z)], [metric.prepare(y)]
    grid = metric.grid(*sides)
    assert grid.shape == (2, 1)
    assert grid.dtype == np.float64
    assert np.isfinite(grid).all()
    assert grid[0, 0] == pytest.approx(of_pair(metric, x, y), abs=1e-6)
    if metric.info.symmetric:
        assert metric.grid(sides[1], sides[0])[0, 0] == pytest.approx(grid[0, 0], abs=1e-6)


@every_metric
def test_order_of_the_samples(metric: Metric) -> None:
    x, y = pair_of("aligned")
    orders = np.stack([np.random.default_rng(seed).permutation(60) for seed in range(3)])
    sides = [metric.prepare(x), metric.prepare(2 * x + 1)], [metric.prepare(y)]
    found = metric.permuted(*sides, orders)
    assert found.shape == (3, 2, 1)
    generic = Metric.permuted(metric, *sides, orders)
    assert found == pytest.approx(generic, abs=2e-6)
    for order, values in zip(orders, found, strict=True):
        afresh = metric.grid(sides[0], [metric.prepare(y[torch.from_numpy(order)])])
        assert values == pytest.approx(afresh, abs=2e-6)


@every_metric
def test_aligned_layers_score_higher_than_random_ones(metric: Metric) -> None:
    if not metric.paired:
        return
    x, _ = pair_of("random", n=80)
    aligned = of_pair(metric, x, x + 0.1 * pair_of("random", n=80, seed=1)[0])
    assert aligned > of_pair(metric, x, pair_of("random", n=80, seed=2)[0])


@every_metric
def test_exact_mean_and_spread_under_permutation(metric: Metric) -> None:
    x, y = (metric.prepare(side) for side in pair_of("aligned", n=24))
    moments = metric.moments([x], [y])
    if moments is None:
        return
    orders = np.stack([np.random.default_rng(seed).permutation(24) for seed in range(1500)])
    values = metric.permuted([x], [y], orders)[:, 0, 0]
    spread = values.std() / len(values) ** 0.5
    assert abs(values.mean() - moments.mean[0, 0]) < 4.5 * spread + 1e-7
    if moments.sd is not None:
        assert values.std() == pytest.approx(moments.sd[0, 0], rel=0.1)


@every_metric
def test_subsets(metric: Metric) -> None:
    x, y = pair_of("aligned", n=120)
    rows = np.sort(np.random.default_rng(0).choice(120, 60, replace=False))
    kept = [metric.for_subsets(side, 60) for side in (x, y)]
    halves = [[metric.subset(side, rows)] for side in kept]
    afresh = [[metric.prepare(side[torch.from_numpy(rows)])] for side in (x, y)]
    assert metric.grid(*halves) == pytest.approx(metric.grid(*afresh), abs=1e-6)


@every_metric
def test_degenerate_layers_never_give_nan(metric: Metric) -> None:
    x, y = pair_of("random", n=30)
    one_hot = torch.eye(30)
    ones, zeros = torch.full((30, 3), 0.1), torch.zeros(30, 3)
    lone = torch.zeros(30, 3)
    lone[7] = 1
    for a, b in product((ones, zeros, lone, one_hot, x[:, :1]), (x, y[:, :1], ones, lone)):
        assert np.isfinite(of_pair(metric, a, b))
        assert np.isfinite(of_pair(metric, b, a))


@every_metric
def test_wrong_input_has_one_clear_error(metric: Metric) -> None:
    x, y = pair_of("random", n=30, widths=(5, 5))
    bad = x.clone()
    bad[3, 2] = float("nan")
    for a, b, message in (
        (x, y[:29], "30 rows and y has 29"),
        (x[:, 0], y, "N, D"),
        (x, (10 * y).long(), "floating"),
        (bad, y, "row 3"),
        (x, torch.full_like(y, float("inf")), "not finite"),
        (x[:3], y[:3], "N=3"),
    ):
        with pytest.raises(VlalignError, match=message) as caught:
            of_pair(metric, a, b)
        assert "\n" not in str(caught.value)
    if isinstance(metric, NeighbourMetric):
        with pytest.raises(VlalignError, match="k=0"):
            get_metric(metric.name, k=0)
        with pytest.raises(VlalignError, match="N=30"):
            of_pair(get_metric(metric.name, k=30), x, y)


@every_metric
def test_threads_change_nothing(metric: Metric) -> None:
    x, y = pair_of("aligned", n=200)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(of_pair(metric, x, y))
    finally:
        torch.set_num_threads(before)
    assert found[0] == pytest.approx(found[1], abs=1e-6)
