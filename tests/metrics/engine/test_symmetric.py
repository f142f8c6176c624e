"""Moments of kernels and dissimilarities under row permutations, against all permutations, and a sample of them."""

from __future__ import annotations

from itertools import permutations as all_orders

import numpy as np
import pytest
import torch

from vlalign.metrics import parse_metric
from vlalign.metrics.engine import pairwise
from vlalign.metrics.engine.pairwise import PairMatrix, PairMetric
from vlalign.metrics.engine.symmetric import SymmetricSums, symmetric_moments
from vlalign.stats.analytic import largest_value
from vlalign.stats.null import permutations

METRICS = (
    "cka", "unbiased_cka", "cka:kernel=rbf", "unbiased_cka:kernel=rbf,bandwidth=median", "cmd", "cmd:centred=true",
    "rsa", "rsa:compare=pearson,distance=euclidean",
)  # fmt: skip


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("n", [5, 6])
def test_moments_are_those_of_all_permutations(name: str, n: int) -> None:
    metric, draw = parse_metric(name), torch.Generator().manual_seed(n)
    x = [metric.prepare(torch.randn(n, 3, generator=draw, dtype=torch.float64)) for _ in range(2)]
    y = [metric.prepare(torch.rand(n, 4, generator=draw, dtype=torch.float64) ** 2) for _ in range(2)]
    y.append(metric.prepare(torch.ones(n, 4, dtype=torch.float64)))  # all samples equal
    values = metric.permuted(x, y, np.array(list(all_orders(range(n))))).reshape(-1, 6)
    moments = metric.null_moments(x, y)
    assert moments is not None
    apart = values - values.mean(axis=0)
    np.testing.assert_allclose(moments.mean, values.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(moments.covariance, apart.T @ apart / len(apart), atol=1e-12)
    third = (apart**3).mean(axis=0)
    assert moments.skewness is not None
    np.testing.assert_allclose(moments.skewness * np.diag(moments.covariance) ** 1.5, third, atol=1e-12)


def test_any_symmetric_matrices() -> None:
    """With entries of every part: 5,040 permutations of 7 samples, and of 4, where six samples cannot differ."""
    for n in (4, 7):
        draw = np.random.default_rng(n)
        x, y = ([PairMatrix.of(torch.from_numpy(a + a.T)) for a in draw.exponential(size=(2, n, n))] for _ in "xy")
        orders = np.array(list(all_orders(range(n))))
        values = pairwise.cosines_permuted(x, y, orders)
        apart = values - values.mean(axis=0)
        covariance, third, _ = symmetric_moments(SymmetricSums.of(x, n), SymmetricSums.of(y, n), n)
        np.testing.assert_allclose(covariance, np.einsum("kab,kcd->abcd", apart, apart) / len(apart), atol=1e-13)
        np.testing.assert_allclose(third, (apart**3).mean(axis=0), atol=1e-13)


@pytest.mark.parametrize("name", ["unbiased_cka", "cka", "cmd", "rsa", "cka:kernel=rbf,bandwidth=median"])
@pytest.mark.parametrize("held", [True, False])
def test_some_of_many_samples(name: str, held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit correlations and skewness come from some samples; means and variances stay exact."""
    metric, draw = parse_metric(name), torch.Generator().manual_seed(0)
    shrink = torch.arange(1, 21) ** -1.0
    base = torch.randn(800, 20, generator=draw)
    layers = [shrink * (base + torch.randn(800, 20, generator=draw)) for _ in range(4)]
    layers = [torch.nn.functional.normalize(one, dim=1) for one in layers]
    exact = metric.null_moments(*([metric.prepare(one) for one in part] for part in (layers[:2], layers[2:])))
    if not held:  # whole kernel matrices
        for module in ("cka", "cmd"):
            monkeypatch.setattr(f"vlalign.metrics.definitions.{module}.GRAM_SAMPLES", 500)
    monkeypatch.setattr(pairwise, "_EXACT_SAMPLES", 300)
    some = metric.null_moments(*([metric.prepare(one) for one in part] for part in (layers[:2], layers[2:])))
    assert exact is not None
    assert some is not None
    assert exact.skewness is not None
    assert some.skewness is not None
    np.testing.assert_allclose(some.mean, exact.mean, atol=1e-6)
    sd = np.sqrt(np.diag(exact.covariance))
    np.testing.assert_allclose(np.sqrt(np.diag(some.covariance)), sd, rtol=1e-4)
    np.testing.assert_allclose(some.covariance / np.outer(sd, sd), exact.covariance / np.outer(sd, sd), atol=0.05)
    np.testing.assert_allclose(some.skewness, exact.skewness, atol=0.15)
    assert some.heaviness == pytest.approx(exact.heaviness, abs=0.1)


@pytest.mark.parametrize(("name", "n"), [("unbiased_cka", 64), ("cka", 96), ("rsa", 64)])
def test_p_values_are_those_of_permutations(name: str, n: int) -> None:
    """At points of the tail of 4,000 permutations, whose share has a standard error of .0034 at .05, .0016 at .01."""
    metric, draw = parse_metric(name), torch.Generator().manual_seed(0)
    assert isinstance(metric, PairMetric)
    clusters = 2 * torch.randn(2, 4, 20, generator=draw)[:, torch.arange(n) % 4]
    x, y = ([metric.prepare(side + torch.randn(n, 20, generator=draw)) for _ in range(3)] for side in clusters)
    parts = permutations(n, 4000, 0, 500)
    maxima = np.concatenate([metric.permuted(x, y, part).max(axis=(1, 2)) for part in parts])
    moments = metric.null_moments(x, y)
    assert moments is not None
    assert moments.heaviness < 1.15
    for share in (0.5, 0.1, 0.05, 0.01):
        observed = float(np.quantile(maxima, 1 - share, method="higher"))
        p = largest_value(moments, observed, draws=10).p_value
        assert 0.8 * share - 0.003 < p < 1.25 * share + 0.003
    assert largest_value(moments, 1.0).threshold() == pytest.approx(float(np.quantile(maxima, 0.95)), rel=0.1)


def test_few_samples_make_an_irregular_null() -> None:
    """Two samples that are far from all others decide an unbiased kernel."""
    metric, draw = parse_metric("unbiased_cka"), torch.Generator().manual_seed(0)
    layers = [torch.randn(64, 20, generator=draw) for _ in range(2)]
    plain = metric.null_moments([metric.prepare(layers[0])], [metric.prepare(layers[1])])
    for layer in layers:
        layer[-2:] *= 20
    heavy = metric.null_moments([metric.prepare(layers[0])], [metric.prepare(layers[1])])
    assert plain is not None
    assert heavy is not None
    assert plain.skewness is not None
    assert heavy.skewness is not None
    assert plain.heaviness < 1.1 < 1.3 < heavy.heaviness
    assert abs(plain.skewness[0]) < 1 < 3 < abs(heavy.skewness[0])


@pytest.mark.parametrize("held", [True, False])
def test_large_samples_outside_of_the_some(held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of 600 samples are 30 times as large, wherever they are."""
    metric, draw = parse_metric("unbiased_cka"), torch.Generator().manual_seed(0)
    monkeypatch.setattr(pairwise, "_EXACT_SAMPLES", 200)
    if not held:
        monkeypatch.setattr("vlalign.metrics.definitions.cka.GRAM_SAMPLES", 500)
    layers = [torch.randn(600, 12, generator=draw) for _ in range(2)]
    for start in (None, 0, 100, 597):
        changed = [layer.clone() for layer in layers]
        if start is not None:
            changed[0][start : start + 3] *= 30
        moments = metric.null_moments(*([metric.prepare(layer)] for layer in changed))
        assert moments is not None
        assert moments.skewness is not None
        assert (moments.heaviness > 1.12 or abs(moments.skewness[0]) > 2.5) == (start is not None)
