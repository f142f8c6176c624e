"""The table of p(label | bits) against the definition in loops; which bits decide; what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.synthetic import TINY, number, states

from vlalign.display.format import ranges
from vlalign.errors import VlalignError
from vlalign.synthetic import Task, label_table
from vlalign.synthetic.distribution import MARGINAL_TOLERANCE, positions, relevant, weights

PAPER = Task()


def chosen_bits(task: Task, uniqueness: int) -> list[list[int]]:
    """The relevant bits of every state: shared ones, own ones of each modality, exclusive ors."""
    where = positions(task, uniqueness)
    rows = []
    for shared, own in states(task):
        bits = [shared[i] for i in where.shared]
        for m in range(task.modalities):
            bits += [own[m][i] for i in where.unique[m]]
        for s in range(task.synergy):
            bits.append(sum(own[m][where.synergy[m][s]] for m in range(task.modalities)) % 2)
        rows.append(bits)
    return rows


def rescaled_softmax(task: Task, uniqueness: int) -> list[list[float]]:
    """p(y | state) of every state, from the definition: softmax, proportional fitting over all states, noise."""
    w = weights(task)
    table = []
    for bits in chosen_bits(task, uniqueness):
        logits = [sum(b * w[i][c] for i, b in enumerate(bits)) / task.temperature for c in range(task.classes)]
        powers = [math.exp(value - max(logits)) for value in logits]
        table.append([power / sum(powers) for power in powers])
    while True:
        marginal = [sum(row[c] for row in table) / len(table) for c in range(task.classes)]
        if max(abs(p - 1 / task.classes) for p in marginal) <= 0.01:
            break
        scaled = [[p / marginal[c] for c, p in enumerate(row)] for row in table]
        table = [[p / sum(row) for p in row] for row in scaled]
    noise = task.label_noise
    return [[(1 - noise) * p + noise / task.classes for p in row] for row in table]


@pytest.mark.parametrize("name", TINY)
def test_the_table_is_the_rescaled_softmax_of_the_relevant_bits(name: str) -> None:
    task, uniqueness = TINY[name]
    found = label_table(task, uniqueness)
    assert found.shape == (2**task.shared_bits, *[2**task.unique_bits] * task.modalities, task.classes)
    expected = rescaled_softmax(task, uniqueness)
    for (shared, own), row in zip(states(task), expected, strict=True):
        place = (number(shared), *map(number, own))
        assert found[place] == pytest.approx(row, abs=1e-12)


@pytest.mark.parametrize("name", TINY)
def test_relevant_bits(name: str) -> None:
    task, uniqueness = TINY[name]
    assert relevant(task, uniqueness).tolist() == chosen_bits(task, uniqueness)


def test_positions_are_drawn_as_the_released_code_draws_them() -> None:
    for uniqueness in range(9):
        draw = np.random.RandomState(1)
        shared = draw.choice(np.arange(8), size=8 - uniqueness, replace=False)
        first = draw.choice(np.arange(4), size=uniqueness // 2, replace=False)
        second = draw.choice(np.arange(4), size=uniqueness - uniqueness // 2, replace=False)
        found = positions(PAPER, uniqueness)
        assert found.shared.tolist() == shared.tolist()
        assert [own.tolist() for own in found.unique] == [first.tolist(), second.tolist()]
        assert [own.size for own in found.synergy] == [0, 0]


def test_a_synergistic_bit_is_no_unique_one() -> None:
    task = Task(unique_bits=6, synergy=3)
    for uniqueness in range(6):
        found = positions(task, uniqueness)
        for own, combined in zip(found.unique, found.synergy, strict=True):
            assert len({*own.tolist(), *combined.tolist()}) == len(own) + 3
            assert max([*own, *combined]) < 6


def test_weights_have_rows_of_length_one_and_depend_on_their_seed_alone() -> None:
    drawn = np.random.RandomState(2).uniform(0, 1, size=(8, 4))
    assert weights(PAPER) == pytest.approx(drawn / np.sqrt((drawn**2).sum(axis=1, keepdims=True)))
    assert (weights(PAPER) == weights(replace(PAPER, features_seed=9, label_noise=0.5, temperature=1))).all()
    assert (weights(PAPER) != weights(replace(PAPER, weights_seed=3))).all()


@pytest.mark.parametrize("uniqueness", range(9))
def test_labels_are_uniform_within_the_tolerance(uniqueness: int) -> None:
    table = label_table(PAPER, uniqueness).reshape(-1, 4)
    assert len(table) == 2**16
    assert table.min() >= 0
    assert table.sum(axis=1) == pytest.approx(1)
    assert np.abs(table.mean(axis=0) - 0.25).max() <= MARGINAL_TOLERANCE == 0.01


def test_all_noise_leaves_uniform_labels() -> None:
    assert label_table(Task(label_noise=1), 3) == pytest.approx(0.25)


TASKS = st.builds(
    lambda modalities, shared, unique, relevant, synergy, split: Task(
        modalities=modalities,
        shared_bits=shared,
        unique_bits=unique,
        relevant_bits=min(relevant, shared + modalities * unique),
        synergy=min(synergy, relevant, unique),
        unique_split=split[:modalities] if split is not None and sum(split[:modalities]) else None,
    ),
    st.integers(2, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 8),
    st.integers(0, 2),
    st.none() | st.tuples(*[st.integers(0, 9)] * 4),
)


@given(TASKS, st.integers(-1, 9))
@settings(max_examples=300)
def test_unique_bits_add_up_and_fit(task: Task, uniqueness: int) -> None:
    parts = [Fraction(weight) for weight in task.unique_split or (1,) * task.modalities]
    ends = [math.floor(uniqueness * sum(parts[: m + 1]) / sum(parts)) for m in range(task.modalities)]
    own = tuple(end - start for start, end in zip([0, *ends], ends, strict=False))
    shared = task.relevant_bits - task.synergy - uniqueness
    if uniqueness >= 0 and 0 <= shared <= task.shared_bits and max(own) + task.synergy <= task.unique_bits:
        assert task.unique(uniqueness) == own
        assert sum(own) == uniqueness
        assert task.shared(uniqueness) == shared
        assert label_table(task, uniqueness).ndim == task.modalities + 2
    else:
        with pytest.raises(VlalignError, match=r"uniqueness is -?\d+: .*allowed is|cannot be made of"):
            task.unique(uniqueness)


def test_the_first_modality_gets_what_is_rounded_down() -> None:
    assert [PAPER.unique(u) for u in range(9)] == [(u // 2, u - u // 2) for u in range(9)]
    assert Task(modalities=3, unique_bits=2, relevant_bits=6).unique(4) == (1, 1, 2)
    assert Task(unique_split=(1, 0)).unique(4) == (4, 0)
    assert Task(unique_split=(0, 1)).unique(4) == (0, 4)
    assert Task(modalities=3, unique_split=(0.1, 0.2, 0.7), unique_bits=4).unique(5) == (0, 1, 4)
    assert Task().unique(np.int64(3)) == (1, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "uniqueness", "message"),
    [
        ({}, 9, "uniqueness is 9: with 8 relevant bits, 8 shared and 4 own ones a modality, allowed is 0 to 8"),
        ({}, -1, "uniqueness is -1: .* allowed is 0 to 8"),
        ({}, True, "uniqueness is True: .* allowed is 0 to 8"),
        ({}, 1.0, "uniqueness is 1.0: .* allowed is 0 to 8"),
        ({"shared_bits": 4}, 3, "uniqueness is 3: .* allowed is 4 to 8"),
        ({"unique_split": (3, 1)}, 7, "uniqueness is 7: .* allowed is 0 to 6"),
        ({"synergy": 2}, 5, "uniqueness is 5: .* allowed is 0 to 4"),
        ({"shared_bits": 1, "unique_bits": 3, "relevant_bits": 7, "synergy": 3}, 0, "cannot be made of 1 shared bits"),
    ],
)
def test_uniqueness_out_of_range(values: dict[str, Any], uniqueness: Any, message: str) -> None:
    task = Task(**values)
    for use in (task.unique, task.shared, lambda u: label_table(task, u)):
        with pytest.raises(VlalignError, match=message) as caught:
            use(uniqueness)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modalities": 1}, "modalities: expected a whole number from 2 to 6, got 1"),
        ({"modalities": 7}, "modalities: expected a whole number from 2 to 6, got 7"),
        ({"modalities": True}, "modalities: expected a whole number from 2 to 6, got true"),
        ({"modalities": 2.0}, "modalities: expected a whole number from 2 to 6, got 2.0"),
        ({"shared_bits": 0}, "shared_bits: expected a whole number from 1 to 16, got 0"),
        ({"unique_bits": 0}, "unique_bits: expected a whole number from 1 to 12, got 0"),
        ({"unique_bits": 13}, "unique_bits: expected a whole number from 1 to 12, got 13"),
        ({"shared_bits": 16, "unique_bits": 4}, "shared_bits 16 and 2 × unique_bits 4 are 24 bits: at most 22 in all"),
        ({"modalities": 4}, "8 and 4 × unique_bits 4 are 24 bits"),
        ({"relevant_bits": 0}, "relevant_bits: expected a whole number of at least 1, got 0"),
        ({"relevant_bits": 17}, "relevant_bits: expected at most 16 with these bits, got 17"),
        ({"synergy": -1}, "synergy: expected a whole number of at least 0, got -1"),
        ({"synergy": 5}, "synergy: expected at most 4 with these bits, got 5"),
        ({"relevant_bits": 2, "synergy": 3}, "synergy: expected at most 2 with these bits, got 3"),
        ({"classes": 1}, "classes: expected a whole number from 2 to 64, got 1"),
        ({"temperature": 0}, "temperature: expected a number from 0.001 to 1000, got 0"),
        ({"temperature": float("nan")}, "temperature: expected a number from 0.001 to 1000, got nan"),
        ({"label_noise": -0.1}, "label_noise: expected a number from 0 to 1, got -0.1"),
        ({"label_noise": 1.1}, "label_noise: expected a number from 0 to 1, got 1.1"),
        ({"label_noise": float("nan")}, "label_noise: expected a number from 0 to 1, got nan"),
        ({"features_seed": -1}, "features_seed: expected a whole number from 0 to 4294967295, got -1"),
        ({"weights_seed": 2**32}, "weights_seed: expected a whole number from 0 to 4294967295, got 4294967296"),
        ({"unique_split": (1,)}, r"expected 2 weights, one a modality and not all 0, got \[1\]"),
        ({"unique_split": (1, 1, 1)}, "expected 2 weights"),
        ({"unique_split": (2, -1)}, "unique_split: expected a list of numbers of at least 0"),
        ({"unique_split": (0, 0)}, "not all 0"),
        ({"unique_split": (float("nan"), 1)}, "unique_split: expected a list of numbers of at least 0"),
        ({"unique_split": (1, float("inf"))}, "unique_split: expected a list of numbers of at least 0"),
    ],
)
def test_values_out_of_range(values: dict[str, Any], message: str) -> None:
    with pytest.raises(VlalignError, match=message) as caught:
        Task(**values)
    assert "\n" not in str(caught.value)


def test_labels_that_cannot_be_made_uniform_are_refused() -> None:
    """Half of all states have one label for certain: three labels cannot be equally likely."""
    task = Task(relevant_bits=1, classes=3, temperature=0.001, weights_seed=5)
    with pytest.raises(VlalignError, match=r"no uniform label marginal with temperature 0\.001 and weights_seed 5"):
        label_table(task, 0)


def test_ranges() -> None:
    assert ranges([]) == ""
    assert ranges([4]) == "4"
    assert ranges([0, 1, 4, 6, 7, 8]) == "0, 1, 4, 6 to 8"
