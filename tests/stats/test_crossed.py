"""Interval of a mean over seeds and samples: equal to plain formulas, and wide enough for both kinds of variation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from vlalign.stats.crossed import crossed_mean


def test_equals_the_formula_written_out() -> None:
    values = np.random.RandomState(0).standard_normal((4, 9))
    result = crossed_mean(values, comparisons=3)
    seeds = [sum(row) / 9 for row in values]
    samples = [sum(values[s, i] for s in range(4)) / 4 for i in range(9)]
    grand = sum(seeds) / 4
    a = sum((value - grand) ** 2 for value in seeds) / 3 / 4
    b = sum((value - grand) ** 2 for value in samples) / 8 / 9
    df = (a + b) ** 2 / (a**2 / 3 + b**2 / 8)
    reach = t.ppf(1 - 0.05 / 6, df) * (a + b) ** 0.5
    assert (result.mean, result.se, result.df) == pytest.approx((grand, (a + b) ** 0.5, df))
    assert (result.low, result.high) == pytest.approx((grand - reach, grand + reach))
    assert result.detectable == pytest.approx(reach + t.ppf(0.8, df) * (a + b) ** 0.5)


def test_equal_values_leave_an_interval() -> None:
    result = crossed_mean(np.zeros((5, 40)))
    assert result.low < 0 < result.high < 0.05


@pytest.mark.parametrize(
    ("seed_sd", "sample_sd"), [(0.0, 0.0), (0.05, 0.0), (0.0, 0.4), (0.05, 0.4), (0.3, 0.4)], ids=str
)
def test_excludes_a_true_mean_of_0_in_at_most_5_percent(seed_sd: float, sample_sd: float) -> None:
    random = np.random.RandomState(1)
    wrong = 0
    for _ in range(400):
        values = (
            seed_sd * random.standard_normal((5, 1))
            + sample_sd * random.standard_normal((1, 60))
            + 0.3 * random.standard_normal((5, 60))
        )
        result = crossed_mean(values)
        wrong += not result.low <= 0 <= result.high
    assert wrong <= 0.05 * 400 + 9  # two standard errors of the share above it
