"""Correlation over models whose interval counts families."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

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


def test_too_few_models_are_refused() -> None:
    with pytest.raises(VlalignError, match="at least 5 models, got 4"):
        family_correlation(np.ones((1, 4)), [1, 2, 3, 4], list("abcd"))
