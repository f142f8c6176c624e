"""Paired differences of alignment: against a slow reference, and how often they err."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import t as student
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics import get_metric
from vlalign.metrics.base import of_pair
from vlalign.stats.difference import paired_differences
from vlalign.stats.halves import Halves
from vlalign.stats.interval import half_sampling

METRIC = get_metric("mutual_knn", k=4)


def models(n: int, seed: int, shares: tuple[float, ...] = (1.0, 1.0, 1.2)) -> list[list[Tensor]]:
    """Models of two layers that see a shared signal as strongly as told, the first two in the same way."""
    draw = torch.Generator().manual_seed(seed)
    shared = torch.randn(n, 5, generator=draw)
    views = [torch.randn(5, 8, generator=draw) for _ in range(4)]
    return [
        [
            share * part * shared @ views[2 * (i == 2) + j] / 5**0.5 + torch.randn(n, 8, generator=draw)
            for j, part in enumerate((0.5, 1.0))
        ]
        for i, share in enumerate(shares)
    ]


def test_against_the_definition() -> None:
    a, b, reference = models(41, 0)
    found = paired_differences(METRIC, a, b, reference, count=8, seed=3)

    def matrix(layers: list[Tensor], rows: np.ndarray) -> np.ndarray:
        return np.array([[of_pair(METRIC, x[rows], y[rows]) for y in reference] for x in layers])

    def maxima(rows: np.ndarray) -> list[float]:
        first, second = matrix(a, rows), matrix(b, rows)
        return [first.max() - second.max(), *(first.max(axis=1) - second.max(axis=1))]

    def crossed(picked: np.ndarray, scored: np.ndarray) -> float:
        values = [matrix(side, scored)[np.unravel_index(matrix(side, picked).argmax(), (2, 2))] for side in (a, b)]
        return values[0] - values[1]

    everything = np.arange(41)
    np.testing.assert_allclose(found.a, matrix(a, everything))
    np.testing.assert_allclose(found.b, matrix(b, everything))
    pairs = list(Halves.of(41, 8).rows(3))
    halves = [[maxima(rows) for rows in pair] for pair in pairs]
    sd = np.sqrt(40 / 41 * np.mean(np.square(np.subtract(*np.moveaxis(halves, 1, 0))), axis=0) / 4)
    expected = [np.mean([(crossed(h, k), crossed(k, h)) for h, k in pairs]), *maxima(everything)[1:]]
    told = [found.best, *found.layers]
    np.testing.assert_allclose([one.difference for one in told], expected, atol=1e-12)
    np.testing.assert_allclose([one.sd for one in told], sd, atol=1e-12)
    assert found.half == 20
    for one in told:
        if one.difference:
            assert one.p_value == pytest.approx(2 * student.sf(abs(one.difference) / one.sd, 4))
            assert one.high - one.difference == pytest.approx(student.ppf(0.975, 4) * one.sd)
        assert (one.p_value is not None and one.p_value < 0.05) == (not one.low <= 0 <= one.high)


def test_a_model_does_not_differ_from_itself() -> None:
    a, _, reference = models(40, 1)
    found = paired_differences(METRIC, a, a, reference, count=6)
    for one in (found.best, *found.layers):
        assert (one.difference, one.low, one.high, one.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_exchanging_the_models_turns_the_sign() -> None:
    a, b, reference = models(40, 2, (1.5, 0.5, 1.5))
    there, back = (paired_differences(METRIC, *pair, reference, count=6).best for pair in ((a, b), (b, a)))
    assert (there.difference, there.low, there.p_value) == (-back.difference, -back.high, back.p_value)


def test_the_pairing_finds_what_two_intervals_hide() -> None:
    """Noise added to a model makes it less aligned; the intervals overlap, the paired test sees it."""
    draw = torch.Generator().manual_seed(4)
    a, _, reference = models(300, 5, (2.5, 0.0, 2.5))
    b = [layer + 1.0 * torch.randn(layer.shape, generator=draw) for layer in a]
    found = paired_differences(METRIC, a, b, reference, count=60).best
    alone = [half_sampling(METRIC, side, reference, count=60) for side in (a, b)]
    assert found.p_value is not None
    assert found.p_value < 0.01
    assert alone[0].low < alone[1].high
    assert found.sd < alone[0].sd


def test_equal_models_are_seldom_told_apart() -> None:
    """Of 80 pairs that are aligned equally, about 5 % at most are told apart at 5 %."""
    p_values = [paired_differences(METRIC, *models(80, 100 + i), count=30, seed=i).best.p_value for i in range(80)]
    assert np.mean([p is not None and p < 0.05 for p in p_values]) <= 0.1


def test_more_layers_are_no_advantage() -> None:
    """Noise of 40 layers has larger maxima than noise of 2 layers, but is not told to be more aligned."""
    ahead, told = [], []
    for i in range(40):
        draw = torch.Generator().manual_seed(i)
        a, b, reference = ([torch.randn(60, 6, generator=draw) for _ in range(count)] for count in (2, 40, 6))
        found = paired_differences(METRIC, a, b, reference, count=20, seed=i)
        ahead.append((found.b.max() > found.a.max(), found.best.difference < 0))
        told.append(found.best.p_value is not None and found.best.p_value < 0.05)
    assert np.mean(ahead, axis=0)[0] >= 0.8
    assert 0.25 <= np.mean(ahead, axis=0)[1] <= 0.75
    assert sum(told) <= 2


def test_the_side_of_the_reference_matters_to_metrics_that_tell_sides_apart() -> None:
    metric = get_metric("linear_predictivity")
    a, b, reference = models(40, 5, (1.0, 2.0, 1.0))
    wide = [torch.cat([layer, layer**2], dim=1) for layer in reference]
    first, second = (
        paired_differences(metric, a, b, wide, count=2, reference_first=first).a for first in (True, False)
    )
    assert first[0, 0] == pytest.approx(of_pair(metric, wide[0], a[0]))
    assert second[0, 0] == pytest.approx(of_pair(metric, a[0], wide[0]))


def test_what_is_refused() -> None:
    a, b, reference = models(20, 6)
    for options in ({"count": 1}, {"level": 1.0}):
        with pytest.raises(VlalignError):
            paired_differences(METRIC, a, b, reference, **options)
    with pytest.raises(VlalignError, match="number of rows"):
        paired_differences(METRIC, a, [layer[:10] for layer in b], reference)
    with pytest.raises(VlalignError, match="half-samples, here of 3"):
        paired_differences(METRIC, *([layer[:6] for layer in side] for side in (a, b, reference)))
