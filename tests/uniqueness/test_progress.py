"""The time left: never negative, nothing at the end, right where speeds are steady; a bar that ends when all ends."""

from __future__ import annotations

import math
from collections.abc import Hashable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlalign.study.progress import Forecast, Work
from vlalign.uniqueness.progress import UniquenessProgress

AMOUNTS = st.integers(1, 10**6)
SECONDS = st.just(0.0) | st.floats(1e-3, 1e6)
SHARES = st.just(0.0) | st.floats(0.01, 1)
#: kind, amount, expected seconds, share done, seconds it took
PARTS = st.lists(
    st.tuples(st.sampled_from(["text", "vision", "score"]), AMOUNTS, SECONDS, SHARES, SECONDS),
    min_size=1,
    max_size=6,
)
Parts = list[tuple[str, int, float, float, float]]


def forecast_of(parts: Parts, scale: float = 1.0) -> Forecast:
    works: dict[Hashable, Work] = {i: Work(part[0], part[1], part[2] * scale) for i, part in enumerate(parts)}
    forecast = Forecast(works)
    for i, (_, amount, _, share, seconds) in enumerate(parts):
        if share:
            forecast.add(i, amount * share, seconds * scale)
    return forecast


@given(PARTS)
def test_never_negative_and_nothing_at_the_end(parts: Parts) -> None:
    forecast = forecast_of(parts)
    assert 0 <= forecast.left() < math.inf
    for i, (_, amount, *_) in enumerate(parts):
        forecast.add(i, max(0.0, amount - forecast.works[i].done), 1.0)
    assert forecast.left() == pytest.approx(0, abs=1e-6)
    forecast.add(0, 5, 1.0)  # a part that turned out larger
    assert forecast.left() == pytest.approx(0, abs=1e-6)


@given(PARTS)
def test_a_machine_that_is_slower_throughout(parts: Parts) -> None:
    assert forecast_of(parts, 3.0).left() == pytest.approx(3 * forecast_of(parts).left(), rel=1e-6, abs=1e-9)


@given(st.lists(st.tuples(AMOUNTS, st.floats(0.1, 1e4)), min_size=1, max_size=5))
def test_nothing_measured_is_what_was_expected(parts: list[tuple[int, float]]) -> None:
    forecast = forecast_of([("text", amount, expected, 0.0, 0.0) for amount, expected in parts])
    assert forecast.left() == pytest.approx(sum(expected for _, expected in parts))


def test_speeds_of_kin_go_first() -> None:
    works: dict[Hashable, Work] = {
        "a": Work("text", 100, 10.0),
        "b": Work("text", 10, 20.0),
        "v": Work("vision", 5, 5.0),
        "score": Work("score", 0, 0.0),
    }
    forecast = Forecast(works)
    assert forecast.left() == 35
    forecast.add("v", 1, 4.0)  # four times as slow as expected: all are that until their kind is measured
    assert forecast.left() == pytest.approx(4 * 4 + 4 * 30)
    forecast.add("a", 50, 10.0)  # twice
    assert forecast.left() == pytest.approx(4 * 4 + 10 + 2 * 20)
    forecast.add("b", 5, 2.0)  # what is measured of a part itself goes before all
    assert forecast.left() == pytest.approx(4 * 4 + 10 + 2)
    assert Forecast().left() == 0


class Clock:
    """Stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def plan_of(name: str, samples: int, amount: float, to_do: int | None = None) -> Any:
    return SimpleNamespace(
        source=SimpleNamespace(spec=name),
        key=SimpleNamespace(title=name),
        data=SimpleNamespace(n=samples),
        to_do=samples if to_do is None else to_do,
        amount=amount,
    )


def play(
    clock: Clock,
    progress: UniquenessProgress,
    plans: list[Any],
    seconds: dict[str, float],
    pairs: int,
    pause: float = 0.0,
) -> None:
    """A study in which every model has one speed; loading takes ``pause``."""
    for plan in plans:
        with progress.follow(plan) as update:
            clock.now += pause
            update(plan.data.n - plan.to_do)
            for done in range(plan.data.n - plan.to_do + 1, plan.data.n + 1):
                clock.now += seconds[plan.key.title] / plan.to_do
                update(done)
                assert progress._bar.n <= 99
    for _ in range(pairs):
        clock.now += seconds["score"] / pairs
        progress.advance(40 / pairs, "score", "x × y at 0 %")
        assert progress._bar.n <= 99


def works_of(**expected: float) -> dict[Hashable, Work]:
    kinds = {"v": "vision", "score": "score"}
    return {name: Work(kinds.get(name, "text"), 40, value) for name, value in expected.items()}


@pytest.mark.parametrize("factor", [1.0, 3.0, 0.2])
def test_steady_speeds_are_foretold(factor: float) -> None:
    clock = Clock()
    seconds = {"a": 50.0 * factor, "b": 30.0 * factor, "v": 10.0 * factor, "score": 10.0 * factor}
    progress = UniquenessProgress(works_of(a=50, b=30, v=10, score=10), shown=False, clock=clock)
    with progress:
        play(clock, progress, [plan_of("a", 20, 40), plan_of("b", 20, 40), plan_of("v", 40, 40)], seconds, 10)
        found = progress.accuracy()
    assert found == {mark: pytest.approx(1.0, abs=1e-3) for mark in ("5%", "10%", "25%", "50%", "75%")}
    assert progress.left == pytest.approx(0)
    times = [at for at, _ in progress.estimates]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(100 * factor)


def test_accuracy_against_a_known_truth() -> None:
    """Scores take four times what is expected and nothing else is off: they are missing while models run."""
    clock = Clock()
    progress = UniquenessProgress(works_of(a=60, score=10), shown=False, clock=clock)
    play(clock, progress, [plan_of("a", 60, 40)], {"a": 60.0, "score": 40.0}, 10)
    found = progress.accuracy()
    expected = {f"{at}%": (70 - at) / (100 - at) for at in (5, 10, 25, 50)} | {"75%": 1.0}
    assert set(found) == set(expected)
    for mark, value in found.items():
        # the scores move every 4 seconds: the last estimate before 75 % is that after 72
        assert value == pytest.approx(expected[mark], abs=2e-3)


def test_only_what_is_missing_counts() -> None:
    clock = Clock()
    progress = UniquenessProgress(works_of(a=10, score=10), shown=False, clock=clock)
    play(clock, progress, [plan_of("a", 100, 40, to_do=20), plan_of("whole", 100, 0, to_do=0)], {"a": 10.0}, 0)
    assert progress._forecast.works["a"].done == pytest.approx(40)
    assert progress._forecast.works["a"].seconds == pytest.approx(10)
    assert progress.left == pytest.approx(10)


def test_loading_is_no_speed() -> None:
    clock = Clock()
    progress = UniquenessProgress(works_of(a=10, score=5), shown=False, clock=clock)
    play(clock, progress, [plan_of("a", 5, 40)], {"a": 10.0, "score": 5.0}, 1, pause=1000.0)
    assert progress._forecast.works["a"].seconds == pytest.approx(10)


def test_nothing_to_tell_of_a_study_without_time() -> None:
    progress = UniquenessProgress({}, shown=False, clock=Clock())
    assert progress.accuracy() == {}
    assert progress.left == 0


def test_the_bar_is_full_only_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with UniquenessProgress(works_of(a=1, score=1), clock=clock) as progress:
        play(clock, progress, [plan_of("a", 5, 40)], {"a": 300.0, "score": 300.0}, 4)  # far slower than expected
        assert progress.left == pytest.approx(0)
        assert progress._bar.n == 99
        before = capsys.readouterr().err
    bar = progress._bar
    assert (bar.n, bar.disable) == (100, True)  # closed
    assert "about" in before
    assert "left: x × y at 0 %" in before
    assert "100%" not in before
    last = capsys.readouterr().err.split("\r")[-1]
    assert "100%" in last
    assert "left" not in last


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_an_interruption_closes_the_bar_where_it_is(
    stop: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    progress = UniquenessProgress(works_of(a=10, score=10), clock=clock)

    def interrupted() -> None:
        with progress:
            play(clock, progress, [plan_of("a", 5, 40)], {"a": 10.0}, 0)
            raise stop

    with pytest.raises(stop):
        interrupted()
    assert progress._bar.disable is True
    assert progress._bar.n == 50
    assert "100%" not in capsys.readouterr().err


def test_a_hidden_bar_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with UniquenessProgress(works_of(a=10, score=10), shown=False, clock=clock) as progress:
        play(clock, progress, [plan_of("a", 5, 40)], {"a": 10.0, "score": 10.0}, 2)
    assert capsys.readouterr().err == ""
