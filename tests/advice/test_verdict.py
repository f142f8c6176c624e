"""Verdicts: what effects and controls lead to, and how often a difference that does not exist leads to one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vlalign.advice.analysis import effect_table
from vlalign.advice.arms import PAIRS, SHUFFLED, WITHIN_CLASS, all_arms
from vlalign.advice.verdict import Verdict, decide

ARMS = all_arms([0, 0.5, 2])
FACTS = {"names": ["image", "text"]}


def verdict_of(shifts: dict[tuple[str, float], float], n: int = 400, facts: Any = FACTS) -> list[Verdict]:
    """The verdicts for scores whose mean differs from that of λ = 0 by ``shifts``."""
    random = np.random.RandomState(0)
    base = random.rand(1, n)
    scores = np.empty((5, len(ARMS), 3, n))
    for i, arm in enumerate(ARMS):
        level = 0.6 + shifts.get((arm.control, arm.weight), 0.0) + 0.01 * random.standard_normal((5, 1))
        scores[:, i] = (base < level)[:, None]
    valid = scores.mean(axis=(0, 3))
    return decide(effect_table(scores, valid, ARMS), facts)


@pytest.mark.parametrize(
    ("shifts", "decision", "weight", "reason"),
    [
        ({}, "no difference", None, ""),
        ({(PAIRS, 0.5): 0.1}, "align", 0.5, "the pairing: true pairs gain more than random partners, and more than"),
        ({(PAIRS, 0.5): 0.1, (PAIRS, 2): 0.2}, "align", 2, "the pairing"),
        ({(PAIRS, 2): 0.1, (SHUFFLED, 2): 0.1, (WITHIN_CLASS, 2): 0.1}, "align", 2, "a regulariser"),
        ({(PAIRS, 2): 0.1, (WITHIN_CLASS, 2): 0.1}, "align", 2, "class information"),
        ({(PAIRS, 0.5): 0.1, (PAIRS, 2): -0.2}, "align", 0.5, "the pairing"),
        ({(PAIRS, 2): -0.2}, "do not align", 2, "the pairing: true pairs lose more than random partners"),
        ({(PAIRS, 2): -0.2, (SHUFFLED, 2): -0.2}, "do not align", 2, "any contrastive term: random partners lose too"),
    ],
)  # fmt: skip
def test_decision_and_reason(shifts: Any, decision: str, weight: float | None, reason: str) -> None:
    verdict = verdict_of(shifts)[0]
    assert verdict.decision == decision
    assert verdict.reason.startswith(reason)
    assert bool(verdict.reason) == bool(reason)
    assert weight is None or verdict.weight == weight
    assert verdict.text.startswith({"no difference": "makes no difference that"}.get(decision, decision))
    if decision == "align":
        assert verdict.low > 0
    if decision == "no difference":
        assert verdict.low <= 0 <= verdict.high
        assert f"an effect of {verdict.detectable:.3f}" in verdict.text
    assert (verdict.losses == [2.0]) == (shifts.get((PAIRS, 2), 0) < 0)


def test_reasons_name_what_each_modality_knows() -> None:
    known = {"estimates": {name: {"value": 0.25, "detected": name != "S"} for name in ("R", "U1", "U2", "S")}}
    facts = {**FACTS, "information": {**known, "units": "bits"}}
    for shift, use, words in (
        (-0.2, 0, "image alone 0.25 bits, text alone 0.25 bits, only both together none detected"),
        (0.1, 2, "in both 0.25 bits, image alone 0.25 bits"),
    ):
        verdict = verdict_of({(PAIRS, 2): shift}, facts=facts)[use]
        assert verdict.reason.endswith(f"; information about the label: {words}")


def test_false_verdicts_are_rare() -> None:
    """Arms that differ by the chance of training alone: correctness tables of every kind of variation."""
    random = np.random.RandomState(0)
    wrong = 0
    for repeat in range(24):
        n = (60, 400)[repeat % 2]
        level = random.beta(2, 1, n)  # of each sample
        scores = np.empty((5, len(ARMS), 3, n))
        for i in range(len(ARMS)):
            noise = 0.03 * random.standard_normal((5, 3, 1)) + 0.15 * random.standard_normal((5, 3, n))
            scores[:, i] = random.rand(5, 3, n) < level + noise
        effects = effect_table(scores, scores.mean(axis=(0, 3)), ARMS)
        wrong += any(verdict.decision != "no difference" for verdict in decide(effects, FACTS))
    assert wrong <= 0.05 * 24 + 2
