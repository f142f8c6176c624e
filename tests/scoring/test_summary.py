"""The verdict on a score, never stronger than its interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import vlalign
from vlalign.scoring import ScoreRecord
from vlalign.scoring.summary import score_facts, verdict


@pytest.fixture(scope="module")
def record() -> ScoreRecord:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(80, 6))
    return vlalign.score(x, x + 0.3 * draw.normal(size=x.shape), k=5, permutations=99, half_samples=20)


def made(record: ScoreRecord, p: float, low: float, calibrated: float | None = 0.5) -> ScoreRecord:
    """A record with these values and a null whose 95 % point is 0.2."""
    assert record.null is not None
    null = record.null | {
        "p_value": p,
        "calibrated": calibrated,
        "threshold": 0.2,
        "permutations": 999,
        "stopped": False,
    }
    return replace(record, null=null, interval={"low": low, "high": 0.95, "level": 0.95, "count": 20})


def test_a_real_score(record: ScoreRecord) -> None:
    text = verdict(record)
    assert text.startswith("above chance (p ≤ 0.01), ")
    assert f"{record.calibrated:.0%} of the way" in text


@pytest.mark.parametrize(
    ("low", "word"),
    [
        (0.95, "very strong"),
        (0.8, "very strong"),
        (0.7, "strong"),
        (0.5, "moderate"),
        (0.3, "weak"),
        (0.21, "very weak"),
    ],
)
def test_the_strength_is_that_of_the_low_end(record: ScoreRecord, low: float, word: str) -> None:
    assert f"), {word}: " in verdict(made(record, 0.001, low, calibrated=0.99))


def test_no_strength_where_the_interval_reaches_the_null(record: ScoreRecord) -> None:
    assert verdict(made(record, 0.001, 0.15)) == (
        "above chance (p ≤ 0.001), but its interval reaches below the null's 95% point: not settled by 80 samples"
    )


def test_chance_and_scores_without_a_null(record: ScoreRecord) -> None:
    assert verdict(made(record, 0.3, 0.5)) == "indistinguishable from chance (p = 0.3)"
    assert "best of" not in score_facts(record)  # one layer of each model: nothing was selected
    layers = {side: record.axes[side] * 2 for side in "xy"}
    several = replace(made(record, 0.3, 0.5), axes=layers)
    assert verdict(several) == "indistinguishable from chance (p = 0.3, layer selection included)"
    assert score_facts(several)["best of"] == "2 × 2 layer pairs"
    assert verdict(replace(record, null=None)).startswith("not tested: ")
    assert "too few permutations" in verdict(made(record, 0.04, 0.5, calibrated=None))


def test_small_shares_are_not_rounded_to_nothing(record: ScoreRecord) -> None:
    assert "0.2% of the way" in verdict(made(record, 0.001, 0.201, calibrated=0.002))
