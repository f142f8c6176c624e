"""Correlations against scipy, by hand and by simulation."""

from __future__ import annotations

import itertools
import json
import math
import re
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from scipy import stats

from vlalign.errors import VlalignError
from vlalign.stats.correlations import METHODS, correlation

SCIPY = {"spearman": stats.spearmanr, "pearson": stats.pearsonr, "kendall": stats.kendalltau}
# of a bivariate normal distribution with Pearson correlation 0.6
TRUE = {"pearson": 0.6, "spearman": 6 / math.pi * math.asin(0.3), "kendall": 2 / math.pi * math.asin(0.6)}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ties", [False, True])
def test_equals_scipy(method: str, ties: bool) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=25)
    y = x + random.normal(size=25)
    if ties:
        x, y = x.round(), y.round()
    found, expected = correlation(x, y, method), SCIPY[method](x, y)
    assert found.r == pytest.approx(expected.statistic, abs=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.p_from == "scipy"
    assert found.low < found.r < found.high
    flipped = correlation(x, -y, method)
    assert (flipped.r, flipped.low, flipped.high) == pytest.approx((-found.r, -found.high, -found.low))
    assert json.loads(json.dumps(asdict(found)))["n"] == 25


def test_perfect_ranks_are_no_rarer_than_their_orders() -> None:
    found = correlation(range(9), range(9))
    assert found.r == pytest.approx(1)
    assert found.p_value == 2 / math.factorial(9)


@pytest.mark.parametrize("method", ["spearman", "pearson"])
def test_exact_p_of_few_values(method: str) -> None:
    random = np.random.default_rng(1)
    x, y = random.normal(size=6), random.normal(size=6).round(1)
    found = correlation(x, y, method)
    every = [abs(SCIPY[method](x, y[list(order)]).statistic) for order in itertools.permutations(range(6))]
    assert found.p_value == pytest.approx(np.mean(np.array(every) >= abs(found.r) - 1e-9))
    assert found.p_from == "all permutations"


@pytest.mark.parametrize("method", METHODS)
def test_interval_by_hand(method: str) -> None:
    random = np.random.default_rng(2)
    x, y = random.normal(size=12), random.normal(size=12)
    found = correlation(x, y, method, level=0.9)
    se = {"spearman": math.sqrt((1 + found.r**2 / 2) / 9), "kendall": math.sqrt(0.437 / 8), "pearson": 1 / 3}[method]
    ends = [math.tanh(math.atanh(found.r) + sign * 1.6448536 * se) for sign in (-1, 1)]
    assert [found.low, found.high] == pytest.approx(ends, abs=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_intervals_cover(method: str) -> None:
    random = np.random.default_rng(3)
    inside = 0
    for _ in range(600):
        x = random.normal(size=20)
        y = 0.6 * x + 0.8 * random.normal(size=20)
        found = correlation(x, y, method)
        inside += found.low <= TRUE[method] <= found.high
    assert 0.92 <= inside / 600 <= 0.98


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sign", [1, -1])
def test_perfect_correlation(method: str, sign: int) -> None:
    x = np.arange(7.0)
    found = correlation(x, sign * x, method)
    assert found.r == pytest.approx(sign)
    outer, inner = (found.high, found.low) if sign == 1 else (found.low, found.high)
    assert outer == pytest.approx(sign)
    if method == "pearson":
        assert inner == pytest.approx(sign)
    else:
        assert 0 < sign * inner < 0.95
        assert found.p_value == pytest.approx(2 / math.factorial(7))


def test_scale_does_not_matter() -> None:
    x, y = [1e200, 2e200, 5e200, 3e200, 4e200], [1e-200, 2e-200, 2.5e-200, 3e-200, 4e-200]
    plain = correlation([1, 2, 5, 3, 4], [1, 2, 2.5, 3, 4], "pearson")
    assert correlation(x, y, "pearson").r == pytest.approx(plain.r)


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        ([1, 1, 1, 1, 1], [1, 2, 3, 4, 5], {}, "x is constant"),
        ([1, 2, 3, 4, 5], [2, 2, 2, 2, 2], {}, "y is constant"),
        ([1, 2, 3, 4], [1, 2, 3, 4], {}, "at least 5"),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4], {}, "5 of x and 4 of y"),
        ([1, 2, 3, 4, float("nan")], [1, 2, 3, 4, 5], {}, "nan at position 4"),
        ([1, 2, 3, 4, 5], [1, 2, 3, float("inf"), 5], {}, "y holds inf"),
        ([[1, 2, 3, 4, 5]], [1, 2, 3, 4, 5], {}, "one list"),
        (["a", "b"], [1, 2], {}, "list of numbers"),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], {"method": "tau"}, "spearman or pearson or kendall"),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], {"level": 1.0}, "between 0 and 1"),
    ],
)
def test_wrong_input(x: list, y: list, options: dict, message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        correlation(x, y, **options)


def test_random_orders_give_the_p_value_of_all_orders() -> None:
    draws = np.random.default_rng(3)
    x = draws.normal(size=9)
    y = 0.2 * x + draws.normal(size=9)
    u, v = (side - side.mean() for side in (x, y))
    r = abs(u @ v)
    all_orders = np.mean([abs(u @ v[list(order)]) >= r - 1e-12 for order in itertools.permutations(range(9))])
    found = correlation(x, y, "pearson", permutations=4999)
    assert found.p_from == "4999 permutations"
    assert found.p_value == pytest.approx(all_orders, abs=4 * np.sqrt(all_orders * (1 - all_orders) / 4999))
    assert found.p_value == correlation(x, y, "pearson", permutations=4999).p_value
    assert found.p_value != correlation(x, y, "pearson", permutations=4999, seed=1).p_value


def test_a_p_value_of_random_orders_is_never_zero() -> None:
    found = correlation(range(20), range(20), "spearman", permutations=99)
    assert found.p_value == 1 / 100


def test_blocks_change_places_as_a_whole() -> None:
    x = [0.0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
    y = [1.0, 0, 2, 3, 5, 9, 11, 13, 12, 14]
    blocks = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    pairs = np.array(y).reshape(5, 2)
    u = np.array(x) - np.mean(x)
    all_orders = [abs(u @ pairs[list(order)].ravel()) for order in itertools.permutations(range(5))]
    found = correlation(x, y, "pearson", blocks=blocks)
    assert found.p_value == np.mean(np.array(all_orders) >= abs(u @ np.array(y)) - 1e-9)
    assert found.p_from == "all permutations of 5 blocks"
    alone = correlation(x, y, "pearson")
    assert found.r == alone.r
    assert found.low < alone.low


def test_blocks_keep_the_level_where_values_of_a_block_are_alike() -> None:
    """Two sides that have nothing in common but their blocks."""
    draws = np.random.default_rng(0)
    blocks = np.repeat(range(10), 3)
    counts = np.zeros(2)
    for seed in range(200):
        x, y = (draws.normal(size=10)[blocks] + 0.2 * draws.normal(size=30) for _ in range(2))
        for i, options in enumerate(({}, {"blocks": blocks})):
            counts[i] += correlation(x, y, "pearson", permutations=199, seed=seed, **options).p_value <= 0.05
    assert counts[0] > 40  # as if there were thirty values, far too many
    assert counts[1] < 20  # at most 5 %, of 200, within the binomial's 99.9 % point


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": [0, 1, 2, 3, 4]}, "a block is needed for each of 10 values, got 5"),
        ({"blocks": [0] * 5 + [1] * 5}, "needs at least 5 of them, got 2"),
        ({"blocks": [0, 1, 2, 3, 4, 4, 4, 4, 4, 4]}, "must be of one size, got 1, 1, 1, 1, 6"),
        ({"method": "kendall", "permutations": 9}, "permutations are for Pearson and Spearman"),
    ],
)
def test_permutations_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(VlalignError, match=re.escape(message)):
        correlation(range(10), [3, 1, 2, 5, 4, 7, 6, 9, 8, 0], **options)
