"""Curves and fits by hand and by their properties."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.study import line, point

from vlalign.errors import VlalignError
from vlalign.stats.correlations import correlation
from vlalign.uniqueness import Point, family_curves, performance_fits

SCORES = st.lists(st.integers(0, 40).map(lambda value: value / 40), min_size=1, max_size=9)


def test_the_maximum_is_over_all_pairs_of_a_family() -> None:
    points = [
        point(0.3, 0, "dino-s", "llama", low=0.25, high=0.35, chance=0.01, threshold=0.04),
        point(0.4, 0, "dino-b", "llama", low=0.35, high=0.45, chance=0.02, threshold=0.05),
        point(0.2, 50, "dino-s", "bloom", low=0.15, high=0.25, chance=0.03, threshold=0.06),
        point(0.1, 50, "dino-b", "llama"),
        point(0.9, 0, "clip-b", "llama"),
    ]
    clip, dino = family_curves(points)
    assert (clip.family, clip.maxima, clip.pairs) == ("clip", [0.9], [1])
    assert (dino.family, dino.rates, dino.maxima) == ("dino", [0, 50], [0.4, 0.2])
    assert dino.best == [("dino-b", "llama"), ("dino-s", "bloom")]
    assert (dino.low, dino.high, dino.chance, dino.thresholds) == (
        [0.35, 0.15], [0.45, 0.25], [0.02, 0.03], [0.05, 0.06],
    )  # fmt: skip
    assert dino.pairs == [2, 2]


def test_families_of_the_other_side() -> None:
    curves = family_curves([point(0.3, y="llama-7b"), point(0.4, y="bloom"), point(0.5, y="llama-13b")], by="y")
    assert [(curve.family, curve.maxima) for curve in curves] == [("bloom", [0.4]), ("llama", [0.5])]
    with pytest.raises(VlalignError, match="x or y"):
        family_curves([], by="z")


def test_the_line_by_hand() -> None:
    # rates 0, 10, 20, 30; residuals of 0.5, 0.3, 0.3, 0.1 from 0.48 - 0.012 r are 0.02, -0.06, 0.06, -0.02
    (curve,) = family_curves(line([0.5, 0.3, 0.3, 0.1]))
    assert curve.slope == pytest.approx(-0.012)
    assert curve.intercept == pytest.approx(0.48)
    assert curve.r2 == pytest.approx(1 - 0.008 / 0.08)


def test_rho_is_spearmans_of_rate_and_maximum() -> None:
    scores = [0.5, 0.4, 0.45, 0.2, 0.2, 0.1]
    (curve,) = family_curves(line(scores))
    assert curve.rho == correlation([0, 10, 20, 30, 40, 50], scores)
    assert (curve.reason, curve.falls) == ("", False)


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ([0.4, 0.3, 0.2, 0.1], "4 rates: a correlation needs at least 5"),
        ([0.4], "1 rate: a correlation needs at least 5"),
        ([0.2] * 6, "all maxima are equal"),
    ],
)
def test_no_rho_and_why(scores: list[float], reason: str) -> None:
    (curve,) = family_curves(line(scores))
    assert curve.rho is None
    assert curve.reason == reason


def test_too_few_rates_for_a_line() -> None:
    (one,), (two,), (flat,) = (family_curves(line(scores)) for scores in ([0.4], [0.4, 0.2], [0.3, 0.3, 0.3]))
    assert (one.slope, one.intercept, one.r2, one.falls) == (None, None, None, False)
    assert (two.slope, two.r2, two.falls) == (pytest.approx(-0.02), None, True)
    assert (flat.slope, flat.r2, flat.falls) == (0, None, True)
    (tiny,) = family_curves(line([0, 1e-200, 2e-200]))
    assert tiny.r2 is None


def test_points_without_score_are_left_out() -> None:
    points = [*line([0.5, None, 0.3]), *line([0.4, None, None], y="bloom"), point(None, x="clip-b")]
    (curve,) = family_curves(points)
    assert (curve.rates, curve.maxima, curve.missing, curve.pairs) == ([0, 20], [0.5, 0.3], [10], [2, 1])


def test_the_first_pair_by_name_wins_a_tie() -> None:
    (curve,) = family_curves([point(0.5, x="dino-s"), point(0.5, x="dino-b"), point(0.5, x="dino-b", y="bloom")])
    assert curve.best == [("dino-b", "bloom")]


@pytest.mark.parametrize(
    ("scores", "thresholds", "reached"),
    [
        ([0.5, 0.2, 0.1], [0.2, 0.2, 0.2], 10),  # a maximum at the threshold is not above it
        ([0.5, 0.3, 0.1], [0.2, 0.2, 0.2], 20),
        ([0.5, 0.1, 0.3], [0.2, 0.2, 0.2], None),
        ([0.1, 0.1, 0.1], [0.2, 0.2, 0.2], 0),
        ([0.5, 0.1, 0.1], [None] * 3, None),
        ([0.5, 0.1, 0.1], [0.2, 0.2, None], None),
        ([0.5, 0.1, 0.1], [0.2, None, 0.2], 20),
    ],
)
def test_where_chance_is_reached(scores: list[float], thresholds: list[float | None], reached: float | None) -> None:
    points = [point(s, 10 * i, threshold=t) for i, (s, t) in enumerate(zip(scores, thresholds, strict=True))]
    assert family_curves(points)[0].reaches_chance == reached


@given(st.permutations([*line([0.5, 0.3, 0.3, None, 0.1, 0.2]), *line([0.4, 0.3, 0.5, 0.1], y="bloom")]))
def test_the_order_of_points_does_not_matter(points: list[Point]) -> None:
    expected = [*line([0.5, 0.3, 0.3, None, 0.1, 0.2]), *line([0.4, 0.3, 0.5, 0.1], y="bloom")]
    assert family_curves(points) == family_curves(expected)


@given(SCORES)
def test_falls_if_and_only_if_sorted(scores: list[float]) -> None:
    (curve,) = family_curves(line(scores))
    assert curve.falls == (len(scores) > 1 and scores == sorted(scores, reverse=True))


@given(SCORES, st.integers(-4, 4))
def test_a_constant_moves_the_line_and_nothing_else(scores: list[float], constant: int) -> None:
    (curve,), (moved,) = (family_curves(line([score + shift for score in scores])) for shift in (0, constant))
    assert (moved.rho, moved.reason, moved.falls) == (curve.rho, curve.reason, curve.falls)
    if curve.slope is not None and moved.slope is not None:
        assert moved.slope == pytest.approx(curve.slope, abs=1e-12)
        assert moved.intercept == pytest.approx((curve.intercept or 0) + constant)


def language(scores: list[float], performances: list[float], side: str = "y", **values: Any) -> list[Point]:
    pairs = enumerate(zip(scores, performances, strict=True))
    own: dict[str, Any] = {"performance_of": side, **values}
    return [point(s, performance=p, **{side: f"lm-{i}"}, **own) for i, (s, p) in pairs]


def test_fit_by_hand() -> None:
    # score = 0.6 + 0.2 · performance, so performance = 5 · score − 3
    (fit,) = performance_fits(language([0.5, 0.3, 0.4], [-0.5, -1.5, -1.0]))
    assert (fit.x, fit.rate, fit.y, fit.swapped) == ("dino-s", 0, ["lm-1", "lm-2", "lm-0"], False)
    assert (fit.performances, fit.scores) == ([-1.5, -1.0, -0.5], [0.3, 0.4, 0.5])
    assert fit.slope == pytest.approx(0.2)
    assert fit.intercept == pytest.approx(0.6)
    assert (fit.performance_slope, fit.performance_intercept) == pytest.approx((5, -3))
    assert fit.rho is None
    assert fit.reason == "3 language models: a correlation needs at least 5"


def test_fits_have_a_rho_from_five_models_on() -> None:
    scores, performances = [0.1, 0.3, 0.2, 0.4, 0.5], [-1.5, -1.4, -1.3, -1.2, -1.1]
    (fit,) = performance_fits(language(scores, performances))
    assert fit.rho is not None
    assert math.isclose(fit.rho.r, 0.9)
    equal = performance_fits(language(scores, [-1.0] * 5)) + performance_fits(language([0.2] * 5, performances))
    assert [(fit.rho, fit.reason) for fit in equal] == [
        (None, "all performances are equal"),
        (None, "all scores are equal"),
    ]
    assert [(fit.slope, fit.performance_slope) for fit in equal] == [(None, 0), (0, None)]


def test_one_fit_for_each_model_and_rate() -> None:
    points = [p for rate in (20, 0) for x in ("vit", "dino-s") for p in language([0.2, 0.1], [-1, -2], x=x, rate=rate)]
    assert [(fit.x, fit.rate) for fit in performance_fits(points)] == [
        ("dino-s", 0), ("dino-s", 20), ("vit", 0), ("vit", 20),
    ]  # fmt: skip


def test_points_without_score_or_performance_are_in_no_fit() -> None:
    points = [*language([0.5, 0.3], [-1, -2]), point(None, y="a", performance=-1.0), point(0.3, y="b")]
    assert performance_fits(points)[0].y == ["lm-1", "lm-0"]
    assert performance_fits([point(0.3)]) == []


def test_roles_swap_where_only_side_x_has_language_models() -> None:
    (fit,) = performance_fits(language([0.5, 0.3, 0.4], [-0.5, -1.5, -1.0], side="x", y="dino-s"))
    (usual,) = performance_fits(language([0.5, 0.3, 0.4], [-0.5, -1.5, -1.0]))
    assert fit.swapped
    assert (fit.x, fit.y, fit.slope) == (usual.x, usual.y, usual.slope)


@pytest.mark.parametrize(("field", "value"), [("score", math.nan), ("rate", 101), ("performance_of", "z")])
def test_impossible_points(field: str, value: Any) -> None:
    with pytest.raises(VlalignError, match="dino-s × llama"):
        point(**{"score": 0.3, field: value})
