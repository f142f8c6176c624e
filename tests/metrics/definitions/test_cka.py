"""CKA against the definition, with float64 and explicit N × N matrices."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.inputs import KINDS, pair_of
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.definitions.cka import Cka, UnbiasedCka, cka, unbiased_cka
from vlalign.metrics.engine.kernels import median_distance

cka_module = importlib.import_module("vlalign.metrics.definitions.cka")  # the package exports the function of that name

METRICS = [Cka(), UnbiasedCka(), Cka("rbf", 3.0), UnbiasedCka("rbf", "median")]


def seen(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The same features at distances that an RBF kernel of bandwidth 3 can tell apart."""
    return tuple(side * float(4 / torch.cdist(side, side).median()) for side in (x, y))  # type: ignore[return-value]


def kernel(x: Tensor, metric: Cka) -> np.ndarray:
    x64 = x.double().numpy()
    if metric.kernel == "linear":
        return x64 @ x64.T
    d2 = ((x64[:, None] - x64[None]) ** 2).sum(axis=2)
    sigma = metric.bandwidth
    if sigma == "median":
        upper = np.sort(np.sqrt(d2[np.triu_indices(len(x), 1)]))
        sigma = upper[(len(upper) - 1) // 2]
    return np.exp(-d2 / (2 * sigma**2))


def hsic(a: np.ndarray, b: np.ndarray, unbiased: bool) -> float:
    n = len(a)
    if not unbiased:
        h = np.eye(n) - 1 / n
        return float(np.trace(a @ h @ b @ h))
    a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
    value = (a * b.T).sum() + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 * (a @ b).sum() / (n - 2)
    return float(value / (n * (n - 3)))


def reference(x: Tensor, y: Tensor, metric: Cka) -> float:
    a, b = kernel(x, metric), kernel(y, metric)
    unbiased = isinstance(metric, UnbiasedCka)
    return hsic(a, b, unbiased) / (hsic(a, a, unbiased) * hsic(b, b, unbiased)) ** 0.5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.label)
def test_definition(kind: str, metric: Cka) -> None:
    x, y = seen(*pair_of(kind))
    expected = reference(x, y, metric)
    prepared = [metric.prepare(side) for side in (x, y)]
    assert metric.grid(prepared[:1], prepared[1:])[0, 0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.label)
def test_without_any_square_matrix(kind: str, metric: Cka, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = seen(*pair_of(kind))
    z = seen(*pair_of(kind, seed=1))[0]
    small = [metric.prepare(side) for side in (x, z, y)]
    order = np.stack([np.random.default_rng(i).permutation(len(x)) for i in range(3)])
    expected = metric.grid(small[:2], small[2:]), metric.permuted(small[:2], small[2:], order)
    moments = metric.moments(small[:2], small[2:])
    monkeypatch.setattr(cka_module, "GRAM_SAMPLES", 10)
    monkeypatch.setattr("vlalign.metrics.engine.streamed._BLOCK_BYTES", 8 * 60 * 7)
    monkeypatch.setattr("vlalign.metrics.engine.kernels._ROWS", 7)
    large = [metric.prepare(side) for side in (x, z, y)]
    assert metric.holds(60, [3]) == 4 * 60 * 3
    assert metric.grid(large[:2], large[2:]) == pytest.approx(expected[0], abs=2e-6)
    assert metric.permuted(large[:2], large[2:], order) == pytest.approx(expected[1], abs=2e-6)
    streamed = metric.moments(large[:2], large[2:])
    assert streamed.mean == pytest.approx(moments.mean, abs=1e-6)
    assert streamed.sd == pytest.approx(moments.sd, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.label)
def test_exact_moments_by_simulation(metric: Cka) -> None:
    x, y = (metric.prepare(side) for side in seen(*pair_of("aligned", n=20)))
    moments = metric.moments([x], [y])
    orders = np.stack([np.random.default_rng(i).permutation(20) for i in range(4000)])
    values = metric.permuted([x], [y], orders)[:, 0, 0]
    assert abs(values.mean() - moments.mean[0, 0]) < 4 * moments.sd[0, 0] / 4000**0.5
    assert values.std() == pytest.approx(moments.sd[0, 0], rel=0.06)


def test_the_mean_of_biased_and_the_spread_of_unbiased_cka_have_a_short_form() -> None:
    x, y = pair_of("random")
    a, b = (kernel(side - side.mean(dim=0), Cka()) for side in (x, y))
    short = np.trace(a) * np.trace(b) / (59 * np.linalg.norm(a) * np.linalg.norm(b))
    assert Cka().moments([Cka().prepare(x)], [Cka().prepare(y)]).mean[0, 0] == pytest.approx(short, abs=1e-6)
    metric = UnbiasedCka()
    found = metric.moments([metric.prepare(x)], [metric.prepare(y)])
    assert found.mean[0, 0] == pytest.approx(0, abs=1e-12)
    assert found.sd[0, 0] == pytest.approx((2 / (60 * 57)) ** 0.5, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(4, 40), width=st.integers(1, 20), scale=st.floats(1e-3, 1e3),
    shift=st.floats(-10, 10),
)  # fmt: skip
def test_invariances(seed: int, n: int, width: int, scale: float, shift: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, width, generator=generator, dtype=torch.float64)
    y = torch.randn(n, 5, generator=generator, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64)).Q
    order = torch.randperm(n, generator=generator)
    for metric in (cka, unbiased_cka):
        value = metric(x, y)
        assert -1 - 1e-9 <= value <= 1 + 1e-9
        assert metric(y, x) == pytest.approx(value, abs=1e-9)
        assert metric(scale * x @ rotation + shift, y) == pytest.approx(value, abs=1e-6)
        assert metric(x[order], y[order]) == pytest.approx(value, abs=1e-9)
    assert cka(x, x) == pytest.approx(1, abs=1e-9)
    assert cka(x, y) >= -1e-12


def test_self_similarity_and_degenerate_features() -> None:
    x, y = pair_of("random")
    constant = torch.full((60, 3), 0.1)
    equidistant = torch.eye(60)
    for metric in (cka, unbiased_cka):
        assert metric(x, x) == pytest.approx(1, abs=1e-6)
        assert metric(x, x, "rbf", "median") == pytest.approx(1, abs=1e-6)
        assert metric(constant, y) == 0
        assert metric(constant, constant, "rbf", "median") == 0
    assert cka(equidistant, equidistant) == pytest.approx(1, abs=1e-6)
    assert unbiased_cka(equidistant, y) == 0  # every pair of samples is alike: nothing to compare
    assert unbiased_cka(x[:4], y[:4]) == pytest.approx(reference(x[:4], y[:4], UnbiasedCka()), abs=1e-5)


@pytest.mark.parametrize("limit", [10, 2048])
@pytest.mark.parametrize("metric", [cka, unbiased_cka])
def test_a_bandwidth_of_another_scale_than_the_rows_is_refused(
    metric: Any, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cka_module, "GRAM_SAMPLES", limit)
    x = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    for scale, reason in ((1.0, "is the identity .* far above it"), (1e-9, "is constant .* far below it")):
        for dtype in (torch.float32, torch.float64):
            with pytest.raises(VlalignError, match=f"bandwidth 1 {reason}.*bandwidth=median"):
                metric(scale * x.to(dtype), x, "rbf")
        assert metric(scale * x, x, "rbf", "median") == pytest.approx(1, abs=1e-6)
    assert metric(x / 16, x / 16, "rbf") == pytest.approx(1, abs=1e-6)
    for constant in (torch.full((64, 3), 0.1), torch.full((64, 3), 0.1) + 1e-8 * x[:, :3]):
        assert metric(constant, constant, "rbf") == 0
    assert unbiased_cka(torch.eye(64), x / 16, "rbf") == 0  # rows at equal distances: nothing to compare


def test_half_precision_and_float64() -> None:
    x, y = pair_of("aligned")
    assert cka(x.half(), y.half()) == pytest.approx(cka(x, y), abs=1e-3)
    assert unbiased_cka(x.double(), y.double()) == pytest.approx(unbiased_cka(x, y), abs=1e-6)


def test_median_distance() -> None:
    assert median_distance(torch.tensor([[0.0], [1.0], [3.0]])) == pytest.approx(2)
    assert median_distance(torch.ones(5, 2)) == 0
    many = torch.arange(5000.0)[:, None]
    assert median_distance(many) == pytest.approx(5000 * (1 - 0.5**0.5), rel=0.01)


@pytest.mark.parametrize("metric", [Cka, UnbiasedCka])
def test_errors(metric: type[Cka]) -> None:
    for wrong, message in (
        ({"kernel": "poly"}, "kernel='poly'"),
        ({"kernel": "rbf", "bandwidth": 0}, "bandwidth=0"),
        ({"kernel": "rbf", "bandwidth": "mean"}, "median"),
        ({"bandwidth": float("nan")}, "bandwidth"),
        ({"bandwidth": True}, "bandwidth"),
    ):
        with pytest.raises(VlalignError, match=message):
            metric(**wrong)
    with pytest.raises(VlalignError, match="4 samples"):
        metric().check(3)
