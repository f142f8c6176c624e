"""Paired differences of alignment: against a slow reference, and how often they err."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import t as student
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics import get_metric
from vlalign.stats.difference import Difference, Differences, paired_differences
from vlalign.stats.interval import half_sampling
from vlalign.stats.subsets import Halves

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
        return np.array([[METRIC.evaluate(x[rows], y[rows]) for y in reference] for x in layers])

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
    largest, *layers = maxima(everything)
    expected = [largest, np.mean([(crossed(h, k), crossed(k, h)) for h, k in pairs]), *layers]
    sd = sd[[0, 0, 1, 2]]
    told = [found.largest, found.crossed, *found.layers]
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
    for one in (found.largest, found.crossed, *found.layers):
        assert (one.difference, one.low, one.high, one.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_exchanging_the_models_turns_the_sign() -> None:
    a, b, reference = models(40, 2, (1.5, 0.5, 1.5))
    there, back = (paired_differences(METRIC, *pair, reference, count=6) for pair in ((a, b), (b, a)))
    assert there.p_value == back.p_value
    for one, other in ((there.largest, back.largest), (there.crossed, back.crossed)):
        assert (one.difference, one.low, one.p_value) == (-other.difference, -other.high, other.p_value)


def test_the_pairing_finds_what_two_intervals_hide() -> None:
    """Noise added to a model makes it less aligned; the intervals overlap, the paired test sees it."""
    draw = torch.Generator().manual_seed(4)
    a, _, reference = models(300, 5, (2.5, 0.0, 2.5))
    b = [layer + 1.0 * torch.randn(layer.shape, generator=draw) for layer in a]
    found = paired_differences(METRIC, a, b, reference, count=60)
    alone = [half_sampling(METRIC, side, reference, count=60) for side in (a, b)]
    assert found.p_value is not None
    assert found.p_value < 0.01
    assert alone[0].low < alone[1].high
    assert found.largest.sd < alone[0].sd


def test_equal_models_are_seldom_told_apart() -> None:
    """Of 40 pairs that are aligned equally, about 5 % at most are told apart at 5 %."""
    p_values = [paired_differences(METRIC, *models(80, 100 + i), count=20, seed=i).p_value for i in range(40)]
    assert np.mean([p is not None and p < 0.05 for p in p_values]) <= 0.1


def rates(layers: list[tuple[list[Tensor], list[Tensor], list[Tensor]]]) -> dict[str, float]:
    """Shares of data sets in which a and b are told apart at 5 %, and in which b seems ahead."""
    found = [paired_differences(METRIC, *one, count=12, seed=i) for i, one in enumerate(layers)]
    kinds = {
        "largest": [one.largest.p_value for one in found],
        "crossed": [one.crossed.p_value for one in found],
        "both": [one.p_value for one in found],
    }
    told = {name: np.mean([p is not None and p < 0.05 for p in values]) for name, values in kinds.items()}
    told["largest b"] = np.mean([one.largest.difference < 0 for one in found])
    told["crossed b"] = np.mean([one.crossed.difference < 0 for one in found])
    return {name: float(value) for name, value in told.items()}


def test_more_layers_are_no_advantage() -> None:
    """Noise of 8 layers has larger maxima than noise of 1 layer, but is not reported as more aligned."""
    draws = [torch.Generator().manual_seed(i) for i in range(24)]
    found = rates([
        tuple([torch.randn(60, 6, generator=draw) for _ in range(count)] for count in (1, 8, 4)) for draw in draws
    ])  # fmt: skip
    assert found["largest b"] >= 0.8
    assert 0.25 <= found["crossed b"] <= 0.75
    assert found["both"] <= 0.05


def test_more_layers_are_no_disadvantage() -> None:
    """One model has the other's only layer, and many that are a little worse: picked now and then, they cost."""

    def models(seed: int) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        draw = torch.Generator().manual_seed(seed)
        shared, view, other = (torch.randn(*shape, generator=draw) for shape in ((100, 5), (5, 10), (5, 10)))

        def layer(signal: float, seen: Tensor) -> Tensor:
            return signal * shared @ seen / 5**0.5 + torch.randn(100, 10, generator=draw)

        many = [layer(1.5, view), *(layer(1.25, view) for _ in range(12))]
        return [layer(1.5, view)], many, [layer(1.5, other) for _ in range(3)]

    found = rates([models(i) for i in range(20)])
    assert found["crossed b"] <= 0.35
    assert found["both"] <= 0.05


def test_both_must_say_so() -> None:
    def of(largest: tuple[float, float | None], crossed: tuple[float, float | None]) -> float | None:
        kinds = [Difference(d, d, d, 0.95, 1.0, p) for d, p in (largest, crossed)]
        return Differences(np.zeros((1, 1)), np.zeros((1, 1)), *kinds, [], 1, 2, 0).p_value

    assert of((0.1, 0.01), (0.2, 0.03)) == 0.03
    assert of((-0.1, 0.04), (-0.2, 0.03)) == 0.04
    assert of((-0.1, 0.01), (0.2, 0.01)) == 1
    assert of((0.0, 1.0), (0.0, 1.0)) == 1
    assert of((0.1, None), (0.2, 0.03)) is None


def test_the_side_of_the_reference_matters_to_metrics_that_tell_sides_apart() -> None:
    metric = get_metric("linear_predictivity")
    a, b, reference = models(40, 5, (1.0, 2.0, 1.0))
    wide = [torch.cat([layer, layer**2], dim=1) for layer in reference]
    first, second = (
        paired_differences(metric, a, b, wide, count=2, reference_first=first).a for first in (True, False)
    )
    assert first[0, 0] == pytest.approx(metric.evaluate(wide[0], a[0]))
    assert second[0, 0] == pytest.approx(metric.evaluate(a[0], wide[0]))


def test_what_is_refused() -> None:
    a, b, reference = models(20, 6)
    for options in ({"count": 1}, {"level": 1.0}):
        with pytest.raises(VlalignError):
            paired_differences(METRIC, a, b, reference, **options)
    with pytest.raises(VlalignError, match="number of rows"):
        paired_differences(METRIC, a, [layer[:10] for layer in b], reference)
    with pytest.raises(VlalignError, match="half-samples, here of 3"):
        paired_differences(METRIC, *([layer[:6] for layer in side] for side in (a, b, reference)))
