"""Exact quantities against sums over all states in plain loops; what theory says of them; the published study's."""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from dataclasses import asdict, replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from support.synthetic import TINY, number, states

from vlalign.errors import VlalignError
from vlalign.synthetic import Information, Task, information, label_table
from vlalign.synthetic.distribution import MARGINAL_TOLERANCE

#: validation accuracy that arXiv 2502.16282 published for the encoders of modality 1 and 2, by U
PUBLISHED = [
    (0.907, 0.891), (0.801, 0.894), (0.801, 0.730), (0.662, 0.733), (0.667, 0.700), (0.576, 0.728), (0.575, 0.650),
    (0.534, 0.645), (0.543, 0.598),
]  # fmt: skip
PAPER = [information(Task(), uniqueness) for uniqueness in range(9)]

Joint = dict[tuple[object, object], float]


def mutual(joint: Joint) -> float:
    """Mutual information of the two sides of a joint distribution."""
    left: dict[object, float] = defaultdict(float)
    right: dict[object, float] = defaultdict(float)
    for (a, b), p in joint.items():
        left[a] += p
        right[b] += p
    return sum(p * math.log(p / (left[a] * right[b])) for (a, b), p in joint.items() if p > 0)


def best_guess(joint: Joint) -> float:
    """Probability that the likeliest label given the left side is right."""
    largest: dict[object, float] = defaultdict(float)
    for (a, _), p in joint.items():
        largest[a] = max(largest[a], p)
    return sum(largest.values())


class Enumerated:
    """The joint distribution of what every modality sees, and the label, state by state."""

    def __init__(self, task: Task, uniqueness: int) -> None:
        table = label_table(task, uniqueness)
        everything = list(states(task))
        self.entries = [
            (
                [(shared, mine) for mine in own],
                c,
                float(table[(number(shared), *map(number, own), c)]) / len(everything),
            )
            for shared, own in everything
            for c in range(task.classes)
        ]

    def with_label(self, some: tuple[int, ...]) -> Joint:
        joint: Joint = defaultdict(float)
        for seen, label, p in self.entries:
            joint[tuple(seen[m] for m in some), label] += p
        return joint

    def of_two(self, first: int, second: int) -> Joint:
        joint: Joint = defaultdict(float)
        for seen, _, p in self.entries:
            joint[seen[first], seen[second]] += p
        return joint


@pytest.mark.parametrize("name", TINY)
def test_every_quantity_is_what_enumeration_gives(name: str) -> None:
    task, uniqueness = TINY[name]
    every = Enumerated(task, uniqueness)
    modalities = tuple(range(task.modalities))
    told = {some: mutual(every.with_label(some)) for size in modalities for some in combinations(modalities, size + 1)}
    found = information(task, uniqueness)
    near = {"abs": 1e-12}
    assert found.single == pytest.approx([told[(m,)] for m in modalities], **near)
    assert found.joint == pytest.approx(told[modalities], **near)
    assert found.between == pytest.approx([mutual(every.of_two(0, m)) for m in modalities[1:]], **near)
    assert found.accuracy == pytest.approx([best_guess(every.with_label((m,))) for m in modalities], **near)
    assert found.accuracy_joint == pytest.approx(best_guess(every.with_label(modalities)), **near)
    if task.modalities == 2:
        assert found.interaction == pytest.approx(told[(0,)] + told[(1,)] - told[0, 1], **near)
    else:
        alone = told[(0,)] + told[(1,)] + told[(2,)]
        assert found.interaction == pytest.approx(alone - told[0, 1] - told[0, 2] - told[1, 2] + told[0, 1, 2], **near)
    marginal = [sum(p for _, label, p in every.entries if label == c) for c in range(task.classes)]
    assert found.marginal == pytest.approx(marginal, **near)
    assert (found.uniqueness, found.synergy) == (uniqueness, task.synergy)
    assert found.shared + sum(found.unique) + found.synergy == task.relevant_bits


def test_shared_bits_are_redundant_and_exclusive_ors_are_synergistic() -> None:
    redundant = information(Task(shared_bits=4, unique_bits=1, relevant_bits=4), 0)
    assert redundant.interaction == pytest.approx(redundant.joint)  # either modality tells all
    assert redundant.single == pytest.approx([redundant.joint] * 2)
    synergistic = information(Task(shared_bits=1, unique_bits=4, relevant_bits=4, synergy=4), 0)
    assert synergistic.interaction == pytest.approx(-synergistic.joint)  # neither tells anything
    assert synergistic.single == pytest.approx([0, 0], abs=1e-12)
    assert synergistic.accuracy == pytest.approx([max(synergistic.marginal)] * 2)


def test_three_modalities_of_one_exclusive_or() -> None:
    """No two of them tell anything of it: the co-information is +I, as McGill's sign has it."""
    found = information(
        Task(modalities=3, shared_bits=1, unique_bits=2, relevant_bits=2, classes=2, synergy=2, temperature=0.3), 0
    )
    assert found.joint > 0.1
    assert found.single == pytest.approx([0, 0, 0], abs=1e-12)
    assert found.interaction == pytest.approx(found.joint)


def test_the_published_total_information_is_the_same_for_every_uniqueness() -> None:
    joint = [found.joint for found in PAPER]
    assert max(joint) - min(joint) <= 1e-5
    assert joint == pytest.approx([1.1588] * 9, abs=1e-3)
    assert [found.accuracy_joint for found in PAPER] == pytest.approx([PAPER[0].accuracy_joint] * 9)
    assert [found.shared for found in PAPER] == list(range(8, -1, -1))
    assert {found.between for found in PAPER} == {(8 * math.log(2),)}


def test_bits_of_the_other_modality_cannot_be_told() -> None:
    for side in range(2):
        lost = [found.unique[1 - side] for found in PAPER]
        told = [found.single[side] for found in PAPER]
        for u, value in enumerate(told):
            assert (value == pytest.approx(PAPER[u].joint)) == (lost[u] == 0)
            assert all(value > other + 0.05 for other, more in zip(told, lost, strict=True) if more > lost[u])
    # the bits that modality 1 lacks are the same ones at U = 1 and 2, 3 and 4, …
    assert [PAPER[u].single[0] for u in (1, 3, 5, 7)] == pytest.approx([PAPER[u].single[0] for u in (2, 4, 6, 8)])
    redundancy = [found.interaction for found in PAPER]
    assert redundancy == sorted(redundancy, reverse=True)
    assert redundancy[0] == pytest.approx(PAPER[0].joint)
    assert redundancy[8] < 0


@pytest.mark.parametrize("uniqueness", range(9))
def test_published_encoders_do_not_beat_the_best_classifier(uniqueness: int) -> None:
    for side, published in enumerate(PUBLISHED[uniqueness]):
        assert PAPER[uniqueness].accuracy[side] >= published - 0.005  # of 9,830 validation samples


@pytest.mark.parametrize("uniqueness", range(9))
def test_published_labels_are_uniform(uniqueness: int) -> None:
    assert max(abs(p - 0.25) for p in PAPER[uniqueness].marginal) <= MARGINAL_TOLERANCE


@pytest.mark.parametrize("uniqueness", [0, 2, 4])
def test_no_modality_tells_synergistic_bits(uniqueness: int) -> None:
    plain, synergistic = information(Task(), uniqueness), information(Task(synergy=2), uniqueness)
    assert synergistic.joint == pytest.approx(plain.joint, abs=1e-9)
    assert synergistic.unique == plain.unique
    assert synergistic.shared == plain.shared - 2
    for with_them, without in zip(synergistic.single, plain.single, strict=True):
        assert with_them < without - 0.05
    assert synergistic.interaction < plain.interaction


TASKS = st.builds(
    lambda modalities, shared, unique, relevant, synergy, classes, temperature, noise, seeds: Task(
        modalities=modalities, shared_bits=shared, unique_bits=unique,
        relevant_bits=min(relevant, shared + modalities * unique), synergy=min(synergy, unique, relevant),
        classes=classes, temperature=temperature, label_noise=noise, features_seed=seeds[0], weights_seed=seeds[1],
    ),
    st.integers(2, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(0, 1), st.integers(2, 5),
    st.floats(0.3, 10), st.sampled_from([0.0, 0.2]), st.tuples(st.integers(0, 9), st.integers(0, 9)),
)  # fmt: skip


def any_information(task: Task, start: int) -> Information:
    """Of one of the numbers of unique bits that the task allows."""
    for uniqueness in [*range(start, task.relevant_bits + 1), *range(start)]:
        with contextlib.suppress(VlalignError):
            return information(task, uniqueness)
    return reject()


@given(TASKS, st.integers(0, 4))
@settings(max_examples=120)
def test_inequalities_of_information(task: Task, uniqueness: int) -> None:
    found = any_information(task, uniqueness)
    tiny = 1e-9
    assert found.joint <= math.log(task.classes) + tiny
    assert found.joint <= task.relevant_bits * math.log(2) + tiny
    for value, own, accuracy in zip(found.single, found.unique, found.accuracy, strict=True):
        assert 0 <= value <= found.joint + tiny
        assert value <= (found.shared + own) * math.log(2) + tiny
        assert 1 / task.classes - tiny <= max(found.marginal) <= accuracy + tiny
        assert accuracy <= found.accuracy_joint + tiny
    assert found.accuracy_joint <= 1 + tiny
    assert sum(found.marginal) == pytest.approx(1)
    assert max(abs(p - 1 / task.classes) for p in found.marginal) <= MARGINAL_TOLERANCE + tiny
    if task.modalities == 2:
        assert -min(found.joint, *found.between) - tiny <= found.interaction <= min(found.single) + tiny
    if found.synergy == 0 and sum(found.unique) == 0:
        assert found.single == pytest.approx([found.joint] * task.modalities)


@given(TASKS, st.integers(0, 4), st.lists(st.floats(0, 1), min_size=2, max_size=4))
@settings(max_examples=60)
def test_noise_on_labels_takes_information(task: Task, uniqueness: int, noise: list[float]) -> None:
    steps = [0.0, *sorted(noise), 1.0]
    found = [any_information(replace(task, label_noise=share), uniqueness) for share in steps]
    for more, less in pairwise(found):
        assert less.joint <= more.joint + 1e-12
        assert all(b <= a + 1e-12 for a, b in zip(more.single, less.single, strict=True))
        assert less.accuracy_joint <= more.accuracy_joint + 1e-12
    assert found[-1].joint == pytest.approx(0, abs=1e-12)
    assert found[-1].accuracy_joint == pytest.approx(1 / task.classes)


def test_summary_is_all_fields() -> None:
    found = asdict(PAPER[3])
    assert found == vars(PAPER[3])
    assert found["unique"] == (1, 2)
    assert isinstance(found["interaction"], float)
    assert all(isinstance(value, float) for value in (*found["single"], *found["between"], *found["marginal"]))
