"""Correlation of alignment and probes: only scores and probes of equal conditions count together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from support.board import made_up

from vlalign.probing.correlation import correlate, correlation_frame
from vlalign.scoring import ScoreRecord

PERFORMANCE = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75]


def record(i: int, value: float, **changes: Any) -> ScoreRecord:
    return made_up("dino", f"text-{i}", value, **changes)


def rising(**changes: Any) -> list[ScoreRecord]:
    return [record(i, 0.1 + 0.01 * i, **changes) for i in range(6)]


def falling(count: int = 6, **changes: Any) -> list[ScoreRecord]:
    return [record(i, 0.3 - 0.01 * i, **changes) for i in range(count)]


def probed(record: ScoreRecord, value: float, classes: Mapping[str, float] | None = None, n: int = 60) -> Any:
    rows = [{"class": name, "f1": f1} for name, f1 in (classes or {}).items()]
    return SimpleNamespace(
        run=record.y["run"], model=record.y["model"], modality="text", labels="kind", task="classes", score="accuracy",
        value=value, classes=rows, n=n, parts={"train": [n]},
    )  # fmt: skip


def results(**changes: Any) -> list[Any]:
    return [probed(record(i, 0.5, **changes), value) for i, value in enumerate(PERFORMANCE)]


@pytest.mark.parametrize(
    ("other", "names"),
    [
        ({"preset": "cosine"}, ["preset platonic (clip 0.95)", "preset cosine (clip 0.95)"]),
        ({"k": 10}, ["k = 5", "k = 10"]),
    ],
)
def test_scores_of_other_conditions_are_a_correlation_apart(other: dict[str, Any], names: list[str]) -> None:
    both = correlate(results(), [*rising(), *falling(**other)])
    assert [(one.conditions, one.result.rho) for one in both] == [
        (names[0], pytest.approx(1)), (names[1], pytest.approx(-1)),
    ]  # fmt: skip
    assert list(correlation_frame(both)["conditions"]) == names
    for mixed in ([*rising(), *falling(3, **other)], [*falling(3, **other), *rising()]):
        [one] = correlate(results(), mixed)
        assert (one.conditions, one.result.rho, one.result.n) == ("", pytest.approx(1), 6)


def test_models_that_were_scored_or_probed_on_other_samples_are_apart() -> None:
    elsewhere = {"y_run": {"content": "e" * 64}}
    mixed = [*rising()[:3], *rising(**elsewhere)[3:]]
    assert correlate([*results()[:3], *results(**elsewhere)[3:]], mixed) == []
    fewer = [probed(one, value, n=40) for one, value in zip(rising(), PERFORMANCE[::-1], strict=True)]
    assert correlate([*results()[:3], *fewer[3:]], rising()) == []
    both = correlate([*results(), *fewer], rising())
    assert [(one.conditions, one.result.rho) for one in both] == [
        ("60 samples probed", pytest.approx(1)), ("40 samples probed", pytest.approx(-1)),
    ]  # fmt: skip


def test_a_symmetric_metric_counts_either_side_and_another_one_each() -> None:
    def swapped(one: ScoreRecord) -> ScoreRecord:
        return replace(one, x=one.y, y=one.x, axes={"x": one.axes["y"], "y": one.axes["x"]})

    half = [one if i % 2 else swapped(one) for i, one in enumerate(rising())]
    [one] = correlate(results(), half)
    assert (one.result.n, one.result.rho) == (6, pytest.approx(1))
    directed = rising(metric="linear_predictivity")
    both = correlate(results(), [*directed, *map(swapped, directed)])
    assert [one.conditions for one in both] == ["models as y", "models as x"]


def test_references_without_a_run_are_known_by_their_content() -> None:
    def of_array(one: ScoreRecord, content: str) -> ScoreRecord:
        return replace(one, x={**one.x, "run": None, "tensor": {"sha256": content * 64}})

    mixed = [*(of_array(one, "a") for one in rising()), *(of_array(one, "b") for one in falling(3))]
    [one] = correlate(results(), mixed)
    assert (one.references, one.result.rho) == (("dino",), pytest.approx(1))


def test_every_class_is_correlated_by_its_name() -> None:
    classes = [{"a": 0.5 + 0.01 * (i % 2), "b": 0.1 * i, "c": 0.9 - 0.01 * i} for i in range(6)]
    full = [probed(one, 0.1 * i, classes[i]) for i, one in enumerate(rising())]
    by_name = {one.of: one.result.rho for one in correlate(full, rising())}
    assert (by_name["F1, b"], by_name["F1, c"]) == (pytest.approx(1), pytest.approx(-1))
    lacking = [probed(one, 0.1 * i, {n: classes[i][n] for n in "bc"}) for i, one in enumerate(rising()[:1])]
    reduced = {one.of: one.result for one in correlate([*lacking, *full[1:]], rising())}
    assert (reduced["F1, b"].rho, reduced["F1, b"].n) == (pytest.approx(1), 5)
