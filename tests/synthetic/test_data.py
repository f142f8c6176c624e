"""Samples: they follow the table, depend on their seeds alone, and are split and standardised as they should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from support.synthetic import bits_of, small

from vlalign.errors import VlalignError
from vlalign.synthetic import SyntheticConfig, SyntheticData, information, label_table, make_data
from vlalign.synthetic.data import _split
from vlalign.synthetic.distribution import all_bits, relevant
from vlalign.synthetic.transforms import make_phi

PAPER = SyntheticConfig()


def fits(observed: np.ndarray, expected: np.ndarray) -> float:
    """p-value of the chi-square test; cells of which fewer than 5 are expected are one cell."""
    rare = expected < 5
    cells = [
        np.append(values[~rare], values[rare].sum()) if rare.any() else values.ravel()
        for values in (observed.astype(float), expected)
    ]
    return float(chisquare(*cells).pvalue)


SAMPLED = {
    "U 0": (PAPER, 0),
    "U 3": (PAPER, 3),
    "U 8": (PAPER, 8),
    "another seed": (replace(PAPER, data_seed=1), 5),
    "synergy and noise": (replace(PAPER, synergy=2, label_noise=0.2, uniqueness=(0, 3)), 3),
    "three modalities": (replace(PAPER, modalities=3, unique_bits=3, classes=5, uniqueness=(0, 4)), 4),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_labels_follow_the_table(name: str) -> None:
    config, uniqueness = SAMPLED[name]
    data = make_data(config, uniqueness)
    table = label_table(config, uniqueness).reshape(-1, config.classes)
    power = 2 ** np.arange(config.relevant_bits)
    which = relevant(config, uniqueness) @ power
    given_bits = np.zeros((2**config.relevant_bits, config.classes))
    given_bits[which] = table
    observed = np.zeros_like(given_bits)
    np.add.at(observed, (which[data.states], data.labels), 1)
    assert observed.sum() == config.samples == len(data.labels)
    assert fits(observed, given_bits * config.samples / len(given_bits)) > 0.001


@pytest.mark.parametrize("name", SAMPLED)
def test_bits_are_uniform(name: str) -> None:
    config, uniqueness = SAMPLED[name]
    data = make_data(config, uniqueness)
    assert data.states.max() < 2 ** (config.shared_bits + config.modalities * config.unique_bits)
    for modality in range(config.modalities):
        counts = np.bincount(data.codes(modality), minlength=2**config.width)
        assert chisquare(counts).pvalue > 0.001


def test_the_best_classifier_of_the_samples_is_as_good_as_the_exact_one() -> None:
    data = make_data(PAPER, 4)
    guess = label_table(PAPER, 4).reshape(-1, 4).argmax(axis=1)
    right = float((guess[data.states] == data.labels).mean())
    exact = information(PAPER, 4).accuracy_joint
    assert right == pytest.approx(exact, abs=4 * (exact * (1 - exact) / PAPER.samples) ** 0.5)


def test_samples_depend_on_seeds_alone() -> None:
    config = small()
    first, again = make_data(config, 5), make_data(config, 5)
    assert (first.states == again.states).all()
    assert (first.labels == again.labels).all()
    assert all((first.splits[name] == again.splits[name]).all() for name in first.splits)
    np.random.seed(9)
    torch.manual_seed(9)
    assert (make_data(replace(config, transforms_seed=4, seeds=(9,)), 5).labels == first.labels).all()
    other = make_data(replace(config, data_seed=1), 5)
    assert (other.states != first.states).mean() > 0.9
    assert (other.labels != first.labels).any()
    assert (other.splits["test"] != first.splits["test"]).any()


def test_bits_are_the_same_for_every_uniqueness_and_few_labels_differ() -> None:
    every = [make_data(PAPER, uniqueness) for uniqueness in range(9)]
    for data in every[1:]:
        assert (data.states == every[0].states).all()
        assert 0.1 < (data.labels != every[0].labels).mean() < 0.75
    # a draw of its own for every sample decides among the labels: raising the noise changes few of them
    noisy = make_data(replace(PAPER, label_noise=0.01), 8)
    assert 0 < (noisy.labels != every[8].labels).mean() < 0.02


@pytest.mark.parametrize("uniqueness", range(9))
def test_published_splits_are_disjoint_exhaustive_and_stratified(uniqueness: int) -> None:
    data = make_data(PAPER, uniqueness)
    assert list(data.splits) == ["train", "validation", "test"]
    assert [len(rows) for rows in data.splits.values()] == [45875, 9830, 9831]
    assert sorted(np.concatenate(list(data.splits.values())).tolist()) == list(range(65536))
    classes = np.bincount(data.labels)
    for rows in data.splits.values():
        assert (np.diff(rows) > 0).all()
        assert np.abs(np.bincount(data.labels[rows]) - classes * len(rows) / 65536).max() < 1


@given(
    st.integers(2, 12),
    st.integers(200, 900),
    st.floats(0.3, 0.7),
    st.floats(0.15, 0.25),
    st.lists(st.floats(0.01, 1), min_size=12, max_size=12),
    st.integers(0, 3),
)
@settings(max_examples=150)
def test_any_split_is_stratified(
    classes: int, samples: int, train: float, valid: float, share: list[float], seed: int
) -> None:
    config = small(
        classes=classes, samples=samples, train=train, valid=valid, align_samples=4, metrics=("cka",), data_seed=seed
    )
    weights = np.array(share[:classes]) / sum(share[:classes])
    labels = np.random.default_rng(seed).choice(classes, size=samples, p=weights)
    splits = _split(config, labels)
    sizes = (round(samples * train), round(samples * valid))
    assert [len(rows) for rows in splits.values()] == [*sizes, samples - sum(sizes)]
    assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(samples))
    counts = np.bincount(labels, minlength=classes)
    for name, rows in splits.items():
        # samples of a class lie evenly in order, half a sample off at most; where a split ends, by half of each class
        bound = (0.5 + counts * classes / samples / 2) * (2 if name == "validation" else 1)
        found = np.bincount(labels[rows], minlength=classes)
        assert (np.abs(found - counts * len(rows) / samples) <= bound + 1e-9).all()


def test_splits_are_random() -> None:
    data = make_data(PAPER, 2)
    for rows in data.splits.values():
        halves = np.bincount(rows * 16 // 65536, minlength=16)
        assert chisquare(halves).pvalue > 0.001
        assert np.abs(all_bits(16)[data.states[rows]].mean(axis=0) - 0.5).max() < 4 * 0.5 / len(rows) ** 0.5


@pytest.mark.parametrize("values", [{}, {"modalities": 3, "unique_bits": 3}, {"shared_bits": 2, "unique_bits": 6}])
def test_codes_are_the_bits_of_a_modality(values: dict[str, int]) -> None:
    config = small(**values, uniqueness=(6,) if "shared_bits" in values else (0,))
    data = make_data(config, config.uniqueness[0])
    for modality in range(config.modalities):
        assert (all_bits(config.width)[data.codes(modality)] == bits_of(data, modality)).all()


def by_hand(data: SyntheticData, values: np.ndarray) -> np.ndarray:
    train = values[data.splits["train"]].astype(np.float64)
    return (values - train.mean(axis=0)) / train.std(axis=0)


@pytest.mark.parametrize("phi_on", ["others", "all"])
def test_features_are_standardised_bits_or_what_the_transform_makes_of_them(phi_on: str) -> None:
    config = small(modalities=3, phi_on=phi_on)
    data = make_data(config, 5)
    for modality in range(3):
        for depth in (1, 3):
            bits = bits_of(data, modality)
            if phi_on == "all" or modality:
                phis = make_phi(12, depth, 3 if phi_on == "all" else 2)
                bits = phis[modality - (phi_on == "others")](torch.from_numpy(bits).float()).numpy()
            found = data.features(modality, depth)
            assert found.dtype == torch.float32
            assert found.numpy() == pytest.approx(by_hand(data, bits), abs=2e-5)
            train = found[torch.from_numpy(data.splits["train"])].double()
            assert train.mean(dim=0).abs().max() < 1e-5
            assert (train.std(dim=0, correction=0) - 1).abs().max() < 1e-5
            rows, codes = data.inputs(modality, depth)
            assert torch.equal(rows[torch.from_numpy(codes)], found)
            assert len(rows) == 2**12


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_no_test_sample_changes_the_scale(noise: float) -> None:
    data = make_data(small(noise=noise), 5)
    held_out = np.concatenate([data.splits["test"], data.splits["validation"]])
    states = data.states.copy()
    states[held_out] = 0
    changed = replace(data, states=states)
    train = torch.from_numpy(data.splits["train"])
    for modality in (0, 1):
        assert torch.equal(changed.features(modality, 1)[train], data.features(modality, 1)[train])
        assert not torch.equal(changed.features(modality, 1), data.features(modality, 1))


def test_a_bit_that_never_changes_in_train_stays_finite() -> None:
    data = make_data(small(), 0)
    constant = replace(data, states=data.states & (2**15 - 1))  # the first shared bit is 0
    found = constant.features(0, 1)
    assert torch.isfinite(found).all()
    assert (found[:, 0] == 0).all()


@pytest.mark.parametrize("modality", [0, 1])
def test_noise_has_the_size_that_was_asked_for(modality: int) -> None:
    clean, noisy = (make_data(small(noise=noise, samples=4096), 5) for noise in (0.0, 0.75))
    plain, found = clean.features(modality, 1), noisy.features(modality, 1)
    train = torch.from_numpy(clean.splits["train"])
    assert found[train].mean(dim=0).abs().max() < 1e-5
    assert (found[train].std(dim=0, correction=0) - 1).abs().max() < 1e-5
    for column in range(12):
        r = float(np.corrcoef(plain[:, column].numpy(), found[:, column].numpy())[0, 1])
        assert r == pytest.approx(1 / (1 + 0.75**2) ** 0.5, abs=0.03)
    rows, codes = noisy.inputs(modality, 1)
    assert len(rows) == 4096
    assert (codes == np.arange(4096)).all()


def test_noise_is_its_own_for_every_modality_and_seed_and_the_same_for_every_u_and_transform() -> None:
    def added(data: SyntheticData, modality: int, depth: int) -> np.ndarray:
        clean = replace(data, config=replace(data.config, noise=0.0)).features(modality, depth).numpy()
        found = data.features(modality, depth).numpy()
        train = data.splits["train"]
        draw = np.random.RandomState([data.config.data_seed, 3, modality]).standard_normal(found.shape)
        total = clean + 0.5 * draw.astype(np.float32)
        total = (total - total[train].mean(axis=0)) / total[train].std(axis=0)
        assert found == pytest.approx(total, abs=1e-4)
        return draw

    first = make_data(small(noise=0.5), 0)
    draws = [
        added(first, 0, 1), added(first, 1, 1), added(make_data(small(noise=0.5, data_seed=4), 0), 0, 1)
    ]  # fmt: skip
    added(first, 1, 3)
    added(make_data(small(noise=0.5), 5), 1, 1)
    for i in range(3):
        for j in range(i):
            assert abs(np.corrcoef(draws[i].ravel(), draws[j].ravel())[0, 1]) < 0.05


def test_a_phi_that_loses_inputs_is_refused() -> None:
    config = small(phi_nonlinearity="sigmoid", phi_depths=(10,), shared_bits=8, unique_bits=4)
    with pytest.raises(VlalignError, match=r"phi_depths has 10: with sigmoid only \d+ of 4096 inputs stay distinct"):
        make_data(config, 0).inputs(1, 10)
    make_data(config, 0).inputs(0, 10)  # which has no φ
