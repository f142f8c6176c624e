"""The analytic null of a largest value, against permutations and where it is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import nbinom, pearson3

from vlalign.metrics.base import NullMoments
from vlalign.metrics.definitions.mutual_knn import overlap_counts_permuted
from vlalign.metrics.engine.covariance import shared_neighbour_moments
from vlalign.metrics.engine.neighbours import knn
from vlalign.stats.analytic import LargestNull, _borders, _largest, largest_value
from vlalign.stats.null import permutations


def largest_count(mean: np.ndarray, covariance: np.ndarray, observed: float, **more: Any) -> LargestNull:
    """Null of the largest count."""
    return largest_value(NullMoments(mean, covariance), observed, **more)


def layers(count: int, n: int, seed: int, shared: float) -> torch.Tensor:
    """Neighbour lists [L, N, 8] of layers that share a part of their features."""
    draw = torch.Generator().manual_seed(seed)
    base = torch.randn(n, 24, generator=draw)
    made = [shared * base + (1 - shared) * torch.randn(n, 24, generator=draw) for _ in range(count)]
    return torch.stack([knn(torch.nn.functional.normalize(one, dim=1), 8) for one in made])


@pytest.mark.parametrize(("n", "shared"), [(64, 0.0), (200, 0.7)])
def test_it_meets_permutations(n: int, shared: float) -> None:
    """At points of the tail: the share of 5,000 permutations has a standard error of .0031 at .05, .0014 at .01."""
    x, y = layers(4, n, 0, shared), layers(3, n, 1, shared)
    mean, covariance = shared_neighbour_moments(x.numpy(), y.numpy())
    mean, covariance = mean.ravel(), covariance.reshape(12, 12)
    parts = permutations(n, 5000, 0, 500)
    maxima = np.concatenate([overlap_counts_permuted(x, y, part).max(axis=(1, 2)) for part in parts])
    for q in (0.5, 0.9, 0.95, 0.99):
        observed = float(np.quantile(maxima, q, method="higher"))
        found = (maxima >= observed).mean()
        assert 0.93 * found - 0.004 < largest_count(mean, covariance, observed, draws=10).p_value < 1.25 * found + 0.005
    null = largest_count(mean, covariance, 0)
    assert abs(null.threshold() - np.sort(maxima)[int(0.95 * len(maxima))]) <= 2
    assert abs(null.maxima.mean() - maxima.mean()) < 0.3
    assert null.p_value == pytest.approx(1.0, abs=0.05)


def test_independent_and_equal_counts() -> None:
    """The p-value of independent counts is known, however small; equal counts have that of one of them."""
    mean, variance = np.full(5, 100.0), 150.0
    one = nbinom(200, 2 / 3)
    for observed in (120, 160, 250):
        tail = one.sf(observed - 1)
        apart = largest_count(mean, np.eye(5) * variance, observed, draws=10)
        assert apart.p_value == pytest.approx(-np.expm1(5 * np.log1p(-tail)), rel=0.03)
        alike = largest_count(mean, np.full((5, 5), variance), observed, draws=10)
        assert alike.p_value == pytest.approx(tail, rel=1e-5)
    assert 0 < largest_count(mean, np.eye(5) * variance, 400, draws=10).p_value < 1e-50
    assert tail < largest_count(mean, np.full((5, 5), variance), 250, draws=10, least_p=1e-4).p_value <= 5.005 * tail
    assert largest_count(mean[:1], np.eye(1) * variance, 100).threshold() == pytest.approx(one.isf(0.05), abs=1)


def test_the_largest_count_is_that_of_all_pairs() -> None:
    draw = np.random.default_rng(0)
    borders, _ = _borders(draw.uniform(20, 100, 30), draw.uniform(10, 200, 30), 100)
    for few in (borders[:1], borders):  # the last row has counts beyond those of the tables
        normal = np.vstack([draw.standard_normal((500, len(few))), np.full(len(few), -99.0), np.full(len(few), 99.0)])
        pairs = zip(few, normal.T, strict=True)
        expected = np.max([low + np.searchsorted(border, column) for (low, border), column in pairs], axis=0)
        np.testing.assert_array_equal(_largest(few, normal), expected)


def test_counts_that_do_not_vary_and_counts_that_vary_little() -> None:
    fixed = largest_count(np.array([6.0, 2.0]), np.zeros((2, 2)), 6.0, draws=10)
    assert (fixed.p_value, fixed.threshold()) == (1.0, 6.0)
    assert largest_count(np.array([6.0, 2.0]), np.zeros((2, 2)), 7.0, draws=10).p_value == 0.0
    mixed = largest_count(np.array([6.0, 4.0]), np.diag([0.0, 2.0]), 7.0, draws=4000)
    assert mixed.maxima.min() == 6.0
    assert mixed.p_value == pytest.approx((mixed.maxima >= 7).mean(), abs=0.02)
    assert mixed.maxima.max() <= 8  # 8 trials with probability 1/2


def test_independent_and_equal_values() -> None:
    """Values follow Pearson type III distributions: p-values of independent ones are known, of equal ones too."""
    for skewness in (-1.5, -1e-6, 0.0, 0.7, 2.5):
        one = pearson3(skewness, loc=0.3, scale=0.02)
        observed = float(one.isf(0.004))
        varied = {"mean": np.full(5, 0.3), "skewness": np.full(5, skewness)}
        apart = largest_value(NullMoments(covariance=np.eye(5) * 4e-4, **varied), observed, draws=10)
        assert apart.p_value == pytest.approx(1 - 0.996**5, rel=0.03)
        alike = largest_value(NullMoments(covariance=np.full((5, 5), 4e-4), **varied), observed)
        assert alike.p_value == pytest.approx(0.004, rel=1e-3)
        quantiles = np.quantile(alike.maxima, (0.1, 0.5, 0.9))
        np.testing.assert_allclose(quantiles, one.ppf((0.1, 0.5, 0.9)), atol=1.5e-3)  # 10,000 draws
    fixed = NullMoments(np.array([0.2, 0.1]), np.diag([0.0, 4e-4]), np.zeros(2))
    assert largest_value(fixed, 0.2, draws=10).p_value == 1.0
    assert largest_value(fixed, 0.21, draws=500).maxima.min() == 0.2
