"""Shares of a score that categories explain, and the null inside categories: planted data and slow references."""

from __future__ import annotations

from itertools import pairwise
from itertools import permutations as orders

import numpy as np
import pytest
import torch
from support.metrics import GramCorrelation
from torch import Tensor
from torch.nn.functional import normalize

from vlalign.metrics import MutualKnn
from vlalign.metrics.base import Ints, Metric
from vlalign.stats.explained import Explained, explained, other_samples, strata
from vlalign.stats.null import permutation_null, permutations


def planted(n: int, categories: int, shared: float, seed: int) -> tuple[Tensor, Tensor, Ints]:
    """Return two sides that agree in the category alone, or also in each sample where ``shared`` is above 0."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, categories, (n,), generator=draw)
    each = shared * torch.randn(n, 6, generator=draw)
    x, y = (
        torch.randn(categories, 6, generator=draw)[labels] + each + 0.5 * torch.randn(n, 6, generator=draw)
        for _ in range(2)
    )
    return normalize(x), normalize(y), np.unique(labels.numpy(), return_inverse=True)[1].astype(np.int64)


def chance_of(metric: Metric, x: Tensor, y: Tensor) -> float:
    exact = metric.moments([metric.prepare(x)], [metric.prepare(y)])
    assert exact is not None
    return float(exact.mean[0, 0])


def of(metric: Metric, x: Tensor, y: Tensor, labels: Ints, level: float | None = None) -> Explained:
    (result,) = explained(metric, x, y, [labels], chance_of(metric, x, y), level=level)
    assert result is not None
    return result


def test_permutations_stay_inside_categories_and_are_uniform() -> None:
    labels = np.array([0, 1, 0, 2, 1, 0])
    drawn = np.concatenate(list(permutations(6, 3000, 0, 100, within=labels)))
    assert (labels[drawn] == labels).all()
    assert (np.sort(drawn, axis=1) == np.arange(6)).all()
    seen, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(seen) == 6 * 2  # orders of three samples and of two
    assert (abs(counts - 250) < 5 * np.sqrt(250)).all()
    assert np.array_equal(drawn[:150], np.concatenate(list(permutations(6, 150, 0, 7, within=labels))))


def test_other_samples_are_others_of_the_category() -> None:
    labels = np.array([2, 0, 2, 1, 0, 2, 2])
    drawn = other_samples(labels, 2000, 0)
    assert (labels[drawn] == labels).all()
    assert (np.sort(drawn, axis=1) == np.arange(7)).all()
    alone = labels == 1
    assert (drawn[:, alone] == np.flatnonzero(alone)).all()
    assert (drawn[:, ~alone] != np.flatnonzero(~alone)).all()
    counts = np.bincount(drawn[:, 0], minlength=7)[[2, 5, 6]]  # each of the three others as often
    assert (abs(counts - 2000 / 3) < 5 * np.sqrt(2000 / 3)).all()


def test_strata_hold_similar_numbers() -> None:
    values = np.random.default_rng(0).permutation(1000).astype(np.float64)[:, None]
    labels = strata(values)
    assert set(np.bincount(labels).tolist()) == {31, 32}
    bounds = [(values[labels == one].min(), values[labels == one].max()) for one in range(32)]
    assert all(high < low for (_, high), (low, _) in pairwise(sorted(bounds)))
    equal = strata(np.repeat([3.0, 1.0, 2.0], [50, 8, 40])[:, None])  # 8 are too few for a stratum
    assert [len(set(equal[part])) for part in (slice(50), slice(50, 58), slice(58, 98))] == [1, 1, 1]
    assert equal[50] == equal[97] != equal[0]
    assert strata(np.ones((40, 2))).tolist() == [0] * 40
    plane = np.random.default_rng(1).normal(size=(640, 2)) * [1.0, 0.001]
    cut = strata(plane)
    bounds = sorted((plane[cut == one, 0].min(), plane[cut == one, 0].max()) for one in set(cut.tolist()))
    assert all(high < low for (_, high), (low, _) in pairwise(bounds))


@pytest.mark.parametrize("metric", [MutualKnn(2), GramCorrelation()])
def test_share_equals_the_mean_over_all_pairings_with_others(metric: Metric) -> None:
    x, y, _ = planted(7, 2, 1.0, 3)
    labels = np.array([0, 1, 0, 0, 1, 0, 2])
    prepared = [metric.prepare(x)], [metric.prepare(y)]
    values = []
    for cycle in orders([2, 3, 5]):  # those of category 0: once through all, from sample 0
        order = np.arange(7)
        path = [0, *cycle]
        order[path] = [*path[1:], 0]
        order[[1, 4]] = [4, 1]
        values.append(float(metric.permuted(*prepared, order[None])[0, 0, 0]))
    score, chance = float(metric.grid(*prepared)[0, 0]), 0.01
    (found,) = explained(metric, x, y, [labels], chance, level=None)
    assert found is not None
    error = 5 * np.std(values) / np.sqrt(200)
    assert found.score == pytest.approx(np.mean(values), abs=error + 1e-6)
    assert found.share == pytest.approx((found.score - chance) / (score - chance))
    assert (found.low, found.high) == (None, None)
    assert explained(metric, x, y, [labels], chance=score + 0.1, level=None) == [None]


def test_category_alone_explains_everything_and_noise_nothing() -> None:
    metric = MutualKnn(10)
    x, y, labels = planted(240, 4, 0.0, 0)
    coarse = of(metric, x, y, labels, level=0.95)
    assert coarse.low is not None
    assert coarse.high is not None
    assert coarse.low < 1 < coarse.high
    assert coarse.high - coarse.low < 0.7
    small = np.random.default_rng(0).permutation(240) // 4  # a category of 4 says nothing, though few can be exchanged
    assert abs(of(metric, x, y, small).share) < 0.05
    assert of(metric, x, y, labels).share == coarse.share
    x, y, labels = planted(240, 4, 0.7, 0)
    assert 0.2 < of(metric, x, y, labels).share < 0.8


def test_p_within_is_uniform_where_only_the_category_is_shared() -> None:
    """And small where more is shared, although the null without categories rejects both."""
    metric = MutualKnn(5)
    values = []
    for seed in range(100):
        x, y, labels = planted(60, 3, 0.0, seed)
        other = planted(60, 3, 0.0, 1000 + seed)[0]  # a second layer, so that one is selected
        prepared = [metric.prepare(x), metric.prepare(normalize(x + other))], [metric.prepare(y)]
        observed = float(metric.grid(*prepared).max())
        null = permutation_null(
            metric, *prepared, n=60, observed=observed, count=19, seed=seed, stop_after=None, within=labels
        )
        values.append(null.p_value)
    p = np.array(values)
    for level in (0.05, 0.2, 0.5, 0.8):  # within four standard deviations
        assert abs((p <= level + 1e-9).sum() - 100 * level) < 4 * np.sqrt(100 * level * (1 - level)), level
    x, y, labels = planted(100, 3, 0.8, 0)
    layers = [metric.prepare(x)], [metric.prepare(y)]
    score = float(metric.grid(*layers)[0, 0])
    assert permutation_null(metric, *layers, n=100, observed=score, count=99, within=labels).p_value == 0.01
