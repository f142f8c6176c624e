"""What every metric of the registry must hold, whatever it computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from inspect import signature
from itertools import product

import numpy as np
import pytest
import torch
from support.inputs import KINDS, orders, pair_of, random_layer

import vlalign.metrics
from vlalign.errors import VlalignError
from vlalign.metrics import Metric, get_metric, metric_names
from vlalign.metrics.engine.ties import Sided

#: every metric with its defaults, and the other modes of those that have some
TEXTS: list[tuple[str, dict[str, object]]] = [
    *((name, {}) for name in metric_names()),
    ("cycle_knn", {"k": 3}),
    ("cycle_knn", {"direction": "x_to_y"}),
    ("cycle_knn", {"direction": "mean"}),
    ("rnx_area", {"max_k": 3}),
    ("rnx_area", {"max_k": 12}),
    ("cknna", {"k": None}),
    ("cknna", {"k": 18}),
    ("cka", {"kernel": "rbf", "bandwidth": "median"}),
    ("unbiased_cka", {"kernel": "rbf", "bandwidth": "median"}),
    ("cmd", {"centred": True}),
    ("rsa", {"compare": "pearson", "distance": "euclidean"}),
    ("linear_predictivity", {"direction": "x_to_y"}),
    ("linear_predictivity", {"direction": "y_to_x"}),
]
#: metrics that are means over samples
PER_SAMPLE = ("mutual_knn", "cycle_knn", "lcs_knn", "edit_distance_knn", "jaccard_knn", "rnx")
METRICS = [get_metric(name, **params) for name, params in TEXTS]
every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.label)


def is_symmetric(metric: Metric) -> bool:
    return metric.info.symmetric or metric.params.get("k", 1) is None or metric.params.get("direction") == "mean"


@every_metric
def test_says_what_it_is(metric: Metric) -> None:
    info = metric.info
    assert get_metric(metric.name, **metric.params) == metric
    for text in (info.summary, info.range, info.invariances, info.cost, info.source):
        assert text.strip()


@every_metric
@pytest.mark.parametrize("kind", [*KINDS, "constant"])
def test_values_are_finite_and_of_the_right_shape(metric: Metric, kind: str) -> None:
    (x, y), z = pair_of(kind, 40), pair_of(kind, 40, seed=1)[0]
    sides = [metric.prepare(side) for side in (x, z)], [metric.prepare(y)]
    grid = metric.grid(*sides)
    assert grid.shape == (2, 1)
    assert grid.dtype == np.float64
    assert np.isfinite(grid).all()
    assert [row[0] for row in grid] == pytest.approx([metric.evaluate(side, y) for side in (x, z)], abs=1e-6)
    if is_symmetric(metric):
        turned = [[s.turned() if isinstance(s, Sided) else s for s in side] for side in sides[::-1]]  # same neighbours
        assert metric.grid(*turned)[0, 0] == pytest.approx(grid[0, 0], abs=1e-6)


@every_metric
def test_the_function_of_two_tensors(metric: Metric) -> None:
    x, y = (side.double() for side in pair_of("aligned", 50, (6, 4)))
    function = getattr(vlalign.metrics, metric.name)
    value = function(x, y, **metric.params)
    assert value == metric.evaluate(x, y)
    assert isinstance(value, float)
    if not is_symmetric(metric):
        assert function(y, x, **metric.params) != pytest.approx(value, abs=1e-6)


@every_metric
def test_order_of_the_samples(metric: Metric) -> None:
    """The longer side first and last; all of it once more on the features themselves."""
    xs = [random_layer(40, 4 + 3 * i, i) for i in range(3)]
    ys = [torch.cat([side[:, :3], random_layer(40, 3, 9)], 1) for side in xs[:2]]
    for first, second in ((xs, ys), (ys, xs)):
        x, y = ([metric.prepare(layer) for layer in side] for side in (first, second))
        found = metric.permuted(x, y, orders(40, 3))
        assert found.shape == (3, len(x), len(y))
        assert found == pytest.approx(Metric.permuted(metric, x, y, orders(40, 3)), abs=2e-6)
        assert np.abs(found[0] - found[1]).max() > 1e-3
        for order, values in zip(orders(40, 2), found, strict=False):
            afresh = [metric.prepare(layer[torch.from_numpy(order)]) for layer in second]
            assert values == pytest.approx(metric.grid(x, afresh), abs=2e-6)


@every_metric
def test_rotation_scale_and_joint_order_change_nothing(metric: Metric) -> None:
    x, y = (side.double() for side in pair_of("aligned", 50, (6, 4)))
    value = metric.evaluate(x, y)
    assert metric.evaluate(x, 1e5 * y) == pytest.approx(value, abs=1e-6)
    if metric.info.invariances.startswith("rotation"):
        rotation = torch.linalg.qr(random_layer(6, 6)).Q
        assert metric.evaluate(x @ rotation, y) == pytest.approx(value, abs=1e-6)
    if metric.name != "linear_predictivity":  # its folds go by row number
        order = torch.from_numpy(orders(50, 1)[0])
        assert metric.evaluate(x[order], y[order]) == pytest.approx(value, abs=1e-6)


@every_metric
def test_aligned_layers_score_higher_than_random_ones(metric: Metric) -> None:
    x, _ = pair_of("random", n=80)
    aligned = metric.evaluate(x, x + 0.1 * pair_of("random", n=80, seed=1)[0])
    assert aligned > metric.evaluate(x, pair_of("random", n=80, seed=2)[0])


@every_metric
def test_values_of_samples(metric: Metric) -> None:
    """Their mean is the score; a sample's own lists alone decide about it."""
    x, y = (metric.prepare(side) for side in pair_of("aligned", 40))
    values = metric.per_sample(x, y)
    assert (values is not None) == (metric.name in PER_SAMPLE)
    if values is None:
        return
    assert values.shape == (40,)
    assert values.mean() == pytest.approx(metric.grid([x], [y])[0, 0], abs=1e-12)
    order = orders(40, 2)[1]
    again = metric.per_sample(metric.reorder(x, order), metric.reorder(y, order))
    assert again == pytest.approx(values[order], abs=1e-12)
    if metric.name == "mutual_knn":
        shared = [len(set(a) & set(b)) / metric.params["k"] for a, b in zip(x.x.tolist(), y.y.tolist(), strict=True)]
        assert values.tolist() == shared
    if metric.label == "cycle_knn:k=10":
        assert values.tolist() == [any(i in x.x[j] for j in row) for i, row in enumerate(y.y.tolist())]


@every_metric
def test_exact_mean_and_spread_under_permutation(metric: Metric) -> None:
    pairs = [pair_of("aligned", n=24, seed=seed) for seed in range(2)]
    x, y = ([metric.prepare(pair[side]) for pair in pairs] for side in (0, 1))
    moments = metric.moments(x, y)
    known = ("mutual_knn", "cycle_knn", "jaccard_knn", "rnx", "rnx_area", "cka", "unbiased_cka", "cmd", "rsa")
    assert (moments is not None) == (metric.name in known or metric.params == {"k": None})
    if moments is None:
        return
    values = metric.permuted(x, y, orders(24, 1500))
    spread = values.std(axis=0) / len(values) ** 0.5
    assert (np.abs(values.mean(axis=0) - moments.mean) < 4.5 * spread + 1e-7).all()
    if moments.sd is not None:
        assert values.std(axis=0) == pytest.approx(moments.sd, rel=0.1)


@every_metric
@pytest.mark.parametrize("size", [60, 113])
def test_subsets(metric: Metric, size: int) -> None:
    x, y = pair_of("aligned", n=120)
    rows = np.sort(orders(120, 1)[0][:size])
    kept = [metric.for_subsets(side, size) for side in (x, y)]
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
    least = 2 if metric.params.get("distance") == "correlation" else 1  # features, which it correlates
    for a, b in product((ones, zeros, lone, one_hot, x[:, :least]), (x, y[:, :least], ones, lone)):
        assert np.isfinite(metric.evaluate(a, b))
        assert np.isfinite(metric.evaluate(b, a))


@every_metric
def test_wrong_input_has_one_clear_error(metric: Metric) -> None:
    x, y = pair_of("random", n=30, widths=(5, 5))
    bad = x.clone()
    bad[3, 2] = float("nan")
    for a, b, message in (
        (x, y[:29], "30 rows and y has 29"),
        (x[:, 0], y, r"x must be \[N, D\]"),
        (x, "y", "y holds no numbers"),
        (x, x.numpy().astype(object), r"y is an array of object \(first: float\)"),
        (x, bad, r"a value of y is not finite \(first in row 3\)"),
        (x, torch.full_like(y, float("inf")), "not finite"),
        (x[:3], y[:3], "N=3"),
    ):
        with pytest.raises(VlalignError, match=message) as caught:
            metric.evaluate(a, b)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metric", [m for m in METRICS if {"k", "max_k"} & set(m.params)], ids=lambda m: m.label)
def test_numbers_of_neighbours(metric: Metric) -> None:
    name = next(iter(metric.params))
    x, _ = pair_of("random", n=30)
    most = 28 if metric.name.startswith("rnx") else 29  # there, every k >= N - 1 is chance itself
    for k in (0, -1, 2.5, True, *((1,) if metric.name == "cknna" else ())):
        with pytest.raises(VlalignError, match=f"{name}={k}"):
            get_metric(metric.name, **{name: k})
    for k, n in ((most + 1, 30), (30, 30)):
        with pytest.raises(VlalignError, match=f"N={n}"):
            replace(metric, **{name: k}).evaluate(x, x)  # type: ignore[type-var]
    assert replace(metric, **{name: most}).evaluate(x, x) == pytest.approx(1, abs=1e-6)  # type: ignore[type-var]


ODD = [
    None, "3", "nan", "", b"3", 3.0, 2.5, True, np.int64(3), np.float32(3), 0, -1, 31, 10**30, 10**5000, float("nan"),
    float("inf"), 1e-300, 1e300, [], [3], (3,), {}, {3}, object(), 1j, torch.tensor(3), np.array([1, 2]),
]  # fmt: skip


@contextmanager
def clear_error() -> Iterator[None]:
    """Let only errors of this package pass, on one short line."""
    try:
        yield
    except VlalignError as error:
        message = str(error)
        if "\n" in message or len(message) > 400:
            raise


@pytest.mark.parametrize("name", metric_names())
def test_odd_parameters_give_a_value_or_one_clear_error(name: str) -> None:
    x, y = pair_of("random", n=30)
    function = getattr(vlalign.metrics, name)
    for parameter, value in product(signature(function).parameters, ODD):
        if parameter in ("x", "y"):
            continue
        with clear_error():
            assert np.isfinite(function(x, y, **{parameter: value}))


@pytest.mark.parametrize("name", metric_names())
def test_odd_features_give_a_value_or_one_clear_error(name: str) -> None:
    x, y = (side.float() for side in pair_of("random", n=30))
    function = getattr(vlalign.metrics, name)
    odd = [
        None, 3, "x", [], x.tolist(), x.numpy(), x.numpy().astype(object), x.bool(), x.int(), x.to(torch.complex64),
        x.half(), x.bfloat16(), x.to(torch.float8_e4m3fn), x.clone().requires_grad_(), x.to_sparse(), x.to("meta"),
        x[:1], x[:0], x[:, :0], x[0], x[0, 0], x[None], x * 1e30, x * 1e-30, x * float("nan"), x / 0,
    ]  # fmt: skip
    for one in odd:
        for pair in ((one, y), (y, one)):
            with clear_error():
                assert np.isfinite(function(*pair))


@every_metric
def test_threads_change_nothing(metric: Metric) -> None:
    x, y = pair_of("aligned", n=200)
    layers = [x, y, x[:, :5]]
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            prepared = [metric.prepare(layer) for layer in layers]
            found.append(metric.grid(prepared, prepared[:2]))
    finally:
        torch.set_num_threads(before)
    assert found[0] == pytest.approx(found[1], abs=1e-6)
