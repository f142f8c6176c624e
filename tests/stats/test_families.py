"""Correlation over models whose interval counts families."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr, t

from vlalign.errors import VlalignError
from vlalign.stats.families import family_correlation


def test_rho_and_slope_are_means_over_references() -> None:
    draw = np.random.default_rng(0)
    alignment, performance = draw.normal(size=(3, 9)), draw.normal(size=9)
    result = family_correlation(alignment, performance, list("aaabbbccc"))
    assert result.rho == pytest.approx(np.mean([spearmanr(x, performance).statistic for x in alignment]))
    assert result.slope == pytest.approx(np.mean([np.polyfit(x, performance, 1)[0] for x in alignment]))
    assert (result.n, result.families) == (9, 3)
    assert result.low is not None
    assert result.low < result.rho < result.high  # type: ignore[operator]


def test_models_of_few_families_give_a_wider_interval_than_as_many_families() -> None:
    draw = np.random.default_rng(1)
    x = draw.normal(size=12)
    y = x + draw.normal(size=12)
    few = family_correlation(x[None], y, [name for name in "abc" for _ in range(4)])
    many = family_correlation(x[None], y, list("abcdefghijkl"))
    assert few.rho == many.rho
    assert few.high - few.low > many.high - many.low  # type: ignore[operator]
    two = family_correlation(x[None], y, ["a", "b"] * 6)
    assert (two.low, two.high) == (None, None)


@pytest.mark.parametrize("n", [5, 6, 12])
def test_a_perfect_correlation_has_the_interval_of_one_swap_of_neighbours(n: int) -> None:
    x = np.arange(n)
    swapped = spearmanr(x, [1, 0, *range(2, n)]).statistic
    margin = t.ppf(0.975, n - 1) / np.sqrt(n - 3)
    result = family_correlation(x[None], x, list(map(str, x)))
    assert (result.rho, result.high) == (pytest.approx(1), pytest.approx(1))
    assert result.low == pytest.approx(np.tanh(np.arctanh(swapped) - margin))


def test_a_constant_side_has_no_correlation() -> None:
    x = np.arange(6.0)
    for alignment, performance in ((x, np.ones(6)), (np.ones(6), x)):
        result = family_correlation(alignment[None], performance, list("abcdef"))
        assert np.isnan([result.rho, result.slope]).all()
        assert (result.low, result.high, result.n) == (None, None, 6)


def test_too_few_models_are_refused() -> None:
    with pytest.raises(VlalignError, match="at least 5 models, got 4"):
        family_correlation(np.ones((1, 4)), [1, 2, 3, 4], list("abcd"))
