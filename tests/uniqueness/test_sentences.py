"""What the findings say, and that they do not say more."""

from __future__ import annotations

from support.study import line, point

from vlalign.uniqueness import Point, family_curves, findings, performance_fits


def told(points: list[Point]) -> list[str]:
    curves, fits = family_curves(points), performance_fits(points)
    return findings(curves, fits, points)


def values(scores: list[float], threshold: float | None = None, margin: float | None = None) -> list[Point]:
    if margin is None:
        return [point(s, 10 * i, threshold=threshold) for i, s in enumerate(scores)]
    return [point(s, 10 * i, threshold=threshold, low=s - margin, high=s + margin) for i, s in enumerate(scores)]


def test_a_falling_curve() -> None:
    trend, chance, linear = told(values([0.1, 0.08, 0.06, 0.04, 0.02], threshold=0.03))
    assert trend == (
        "dino: the maximum falls with U, from 0.100 at 0 % to 0.020 at 40 %, "
        "ρ = −1.00 (95 % interval −1.00 to 0.17 for 5 rates, were they independent)"
    )
    assert chance == (
        "dino: indistinguishable from chance (not above the null's 95 % point) from 40 % on; more samples may decide"
    )
    assert linear == "dino: a straight line of −0.002 per % has r² = 1.000"


def test_a_curve_that_rises_in_between() -> None:
    scores = [0.12, 0.11, 0.1, 0.09, 0.08, 0.081, 0.06, 0.05, 0.04, 0.03]
    trend, rise, chance, _ = told(values(scores, threshold=0.014, margin=0.002))
    assert trend.startswith("dino: the maximum falls with U on the whole, ")
    assert rise == "dino: rises from 40 to 50 %: 0.080 to 0.081 (95 % intervals overlap)"
    assert chance == "dino: is still above chance at 90 %: 0.030 against 0.014"
    assert "overlap" not in told(values(scores, margin=0.0001))[1]


def test_close_values_are_told_apart() -> None:
    assert "0.03001 against 0.03000" in "".join(told(values([0.05, 0.03001], threshold=0.03)))


def test_trends() -> None:
    for scores, said in (
        ([0.5, 0.4, 0.4], "never rises with U, from 0.500 at 0 % to 0.400 at 20 %"),
        ([0.4, 0.4, 0.5], "never falls with U"),
        ([0.3, 0.4, 0.5], "rises with U, from"),
        ([0.3, 0.5, 0.2], "goes up and down with U"),
        ([0.3, 0.5, 0.2, 0.4, 0.1, 0.6], "shows no clear trend with U"),
        ([0.1, 0.2, 0.3, 0.4, 0.6, 0.5, 0.7, 0.8], "rises with U on the whole"),
    ):
        assert f"the maximum {said}" in told(values(scores))[0]
    assert (
        told(values([0.5, 0.4, 0.4]))[-1]
        == "ρ of U and the maximum is left out: 3 rates, a correlation needs at least 5"
    )
    assert told(values([0.3, 0.3]))[0] == "dino: the maximum is 0.300 at all 2 rates"
    assert told(values([0.3]))[0] == "dino: only 0 % has a score, so no trend over rates is known"


def test_chance() -> None:
    assert "dino: not compared with chance: there is no permutation null" in told(values([0.3, 0.2]))
    assert any(
        "indistinguishable from chance" in text and "at any rate" in text for text in told(values([0.3, 0.2], 0.4))
    )
    dip = told(values([0.5, 0.1, 0.4, 0.1], threshold=0.2))
    assert any("indistinguishable from chance" in text and "from 30 % on" in text for text in dip)
    assert "dino: is not above chance at 10 % either" in dip
    back = told(values([0.5, 0.1, 0.4], threshold=0.2))
    assert "dino: is still above chance at 20 %: 0.400 against 0.200" in back
    assert "dino: is not above chance at 10 %" in back
    partly = told([*values([0.5, 0.4], threshold=0.2), point(0.1, 20)])
    assert "dino: no permutation null at 20 %" in partly
    assert not any("still above" in sentence or "told from chance" in sentence for sentence in partly)


def test_what_was_left_out_is_said() -> None:
    points = [*line([0.5, None, 0.3], note="captions are empty"), *line([0.4, None, None], y="bloom")]
    found = told(points)
    assert "dino: no score at 10 %, so this rate is left out" in found
    assert any("over fewer pairs of models at 20 % (1 instead of 2" in sentence for sentence in found)
    assert "3 of 6 points have no score and are left out, first dino-s × llama at 10 %: captions are empty" in found


def test_samples_that_differ_and_the_choice_of_pairs() -> None:
    found = told([point(0.5, threshold=0.1), point(0.4, 10, n=90), point(0.3, y="bloom")])
    assert "points differ in their number of samples, 90 to 100, and scores depend on it" in found
    assert any("best of up to 2 pairs" in sentence for sentence in found)
    assert not any("pairs of models" in sentence for sentence in told(values([0.5, 0.4], threshold=0.1)))


def test_few_language_models() -> None:
    points = [point(0.1 * i, rate, y=f"lm-{i}", performance=-1.0 * i) for i in (1, 2, 3) for rate in (0, 10)]
    warning = "alignment against performance is left out: 3 language models, a correlation needs at least 5"
    assert told(points).count(warning) == 1
    assert "left out: 1 language model, a correlation" in "".join(told(points[:2]))


def test_performance() -> None:
    points = [
        point(0.1 * i, rate, y=f"lm-{i}", performance=-1.0 * i * (rate < 90))
        for i in range(1, 7)
        for rate in (0, 50, 90)
    ]
    (said,) = (sentence for sentence in told(points) if "performance" in sentence)
    assert said.startswith("dino-s: alignment against performance: ρ = −1.00 (95 % interval −1.00 to −")
    assert said.endswith("6 language models) at 0 %; no ρ (all performances are equal) at 90 %")


def test_nothing_is_said_of_nothing() -> None:
    assert told([]) == []
    assert told([point(None)]) == ["1 of 1 points have no score and are left out, first dino-s × llama at 0 %"]
