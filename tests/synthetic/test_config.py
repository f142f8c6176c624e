"""Settings of a synthetic study: the published defaults, what is refused, YAML files, tuned rates."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.synthetic import small

from vlalign.config import read_options, yaml_text
from vlalign.errors import VlalignError
from vlalign.store.checksums import canonical
from vlalign.synthetic import SyntheticConfig
from vlalign.synthetic.config import check_tuned, read_tuned
from vlalign.synthetic.published import SETTINGS, published

NAN, INF = float("nan"), float("inf")


def test_the_defaults_are_the_published_study() -> None:
    config = SyntheticConfig()
    assert (config.shared_bits, config.unique_bits, config.relevant_bits, config.classes) == (8, 4, 8, 4)
    assert (config.temperature, config.features_seed, config.weights_seed, config.transforms_seed) == (0.05, 1, 2, 0)
    assert (config.samples, config.sizes) == (65536, (45875, 9830, 9831))
    assert config.uniqueness == tuple(range(9))
    assert config.phi_depths == config.depths == tuple(range(1, 11))
    assert (config.hidden, config.nonlinearity, config.phi_nonlinearity) == ((12,), "leaky_relu", "tanh")
    assert (config.batch, config.epochs, config.clip) == (512, (50, 300), 8)
    assert config.metrics == ("unbiased_cka", "mutual_knn:k=100")
    assert config.align_samples == 512
    assert not config.has_phi(0)
    assert config.has_phi(1)
    assert replace(config, phi_on="all").has_phi(0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        # the grid
        (
            {"uniqueness": (0, 9)},
            "uniqueness is 9: with 8 relevant bits, .* allowed is 0 to 8",
        ),
        ({"uniqueness": (-1,)}, "uniqueness: expected a list of whole numbers of at least 0, 1 or more"),
        ({"uniqueness": ()}, "uniqueness: expected a list of whole numbers of at least 0, 1 or more"),
        ({"uniqueness": (True,)}, "uniqueness: expected a list of whole numbers of at least 0, 1 or more"),
        ({"uniqueness": (1.0,)}, "uniqueness: expected a list of whole numbers of at least 0, 1 or more"),
        ({"shared_bits": 4, "uniqueness": (2, 6)}, "uniqueness is 2: .* allowed is 4 to 8"),
        ({"unique_bits": 2, "uniqueness": (5,)}, "uniqueness is 5: .* 2 own ones a modality, allowed is 0 to 4"),
        ({"unique_split": (1, 0), "uniqueness": (5,)}, "uniqueness is 5: .* allowed is 0 to 4"),
        ({"synergy": 3, "uniqueness": (3,)}, "uniqueness is 3: .* allowed is 0 to 2"),
        ({"depths": (0, 1)}, "depths: expected a list of whole numbers from 1 to 64, 1 or more"),
        ({"depths": (65,)}, "depths: expected a list of whole numbers from 1 to 64, 1 or more"),
        ({"depths": []}, "depths: expected a list of whole numbers from 1 to 64, 1 or more"),
        ({"depths": (False,)}, "depths: expected a list of whole numbers from 1 to 64, 1 or more"),
        ({"phi_depths": (0,)}, "phi_depths: expected a list of whole numbers from 1 to 64, 1 or more"),
        ({"phi_depths": ()}, "phi_depths: expected a list of whole numbers from 1 to 64, 1 or more"),
        ({"widths": (0,)}, "widths: expected a list of whole numbers from 1 to 4096, 1 or more or null"),
        ({"widths": ()}, "widths: expected a list of whole numbers from 1 to 4096, 1 or more or null"),
        ({"widths": ("12",)}, "widths: expected a list of whole numbers from 1 to 4096, 1 or more or null"),
        ({"seeds": (-1,)}, "seeds: expected a list of whole numbers from 0 to 4294967295, 1 or more"),
        ({"seeds": ()}, "seeds: expected a list of whole numbers from 0 to 4294967295, 1 or more"),
        ({"seeds": (True,)}, "seeds: expected a list of whole numbers from 0 to 4294967295, 1 or more"),
        ({"phi_on": "none"}, "phi_on: expected others or all, got 'none'"),
        ({"phi_nonlinearity": "leaky_relu"}, "phi_nonlinearity: expected tanh, sigmoid or relu, got 'leaky_relu'"),
        (
            {"nonlinearity": "gelu"},
            "nonlinearity: expected leaky_relu, relu, tanh or sigmoid .*, got 'gelu'",
        ),
        # the task
        ({"modalities": 1}, "modalities: expected a whole number from 2 to 6, got 1"),
        ({"modalities": 4}, "shared_bits 8 and 4 × unique_bits 4 are 24 bits: at most 22 in all"),
        ({"shared_bits": 16, "unique_bits": 4}, "are 24 bits: at most 22"),
        ({"relevant_bits": 17}, "relevant_bits: expected at most 16 with these bits, got 17"),
        ({"unique_split": (1, 1, 1)}, "unique_split: expected 2 weights, one a modality and not all 0"),
        ({"unique_split": (1,)}, "unique_split: expected 2 weights, one a modality and not all 0"),
        ({"label_noise": 1.5}, "label_noise: expected a number from 0 to 1, got 1.5"),
        ({"temperature": 0}, "temperature: expected a number from 0.001 to 1000, got 0"),
        # the samples
        ({"samples": 63}, "samples: expected a whole number from 64 to 100000000, got 63"),
        ({"samples": 512.0}, "samples: expected a whole number from 64 to 100000000, got 512.0"),
        ({"samples": True}, "samples: expected a whole number from 64 to 100000000, got true"),
        ({"data_seed": -1}, "data_seed: expected a whole number from 0 to 4294967295, got -1"),
        ({"transforms_seed": 2**32}, "transforms_seed: expected a whole number from 0 to 4294967295, got 4294967296"),
        ({"noise": -0.5}, "noise: expected a number from 0 to 100, got -0.5"),
        ({"noise": NAN}, "noise: expected a number from 0 to 100, got nan"),
        ({"noise": INF}, "noise: expected a number from 0 to 100, got inf"),
        ({"valid": 0}, "valid: expected a number above 0 and below 1, got 0"),
        ({"valid": -0.1}, "valid: expected a number above 0 and below 1, got -0.1"),
        ({"valid": NAN}, "valid: expected a number above 0 and below 1, got nan"),
        (
            {"valid": 0.001},
            "valid: expected a share with .* sample for each class, 4, got 0.001, 1 of 512 samples",
        ),
        ({"train": 0}, "train: expected a number above 0 and below 1, got 0"),
        ({"train": 1}, "train: expected a number above 0 and below 1, got 1"),
        ({"train": INF}, "train: expected a number above 0 and below 1, got inf"),
        (
            {"train": 0.005},
            "train: expected a share with .* sample for each class, 4, got 0.005, 3 of 512 samples",
        ),
        ({"train": 0.8, "valid": 0.2}, "train 0.8 and valid 0.2 leave 0 of 512 samples for testing: .* below 1"),
        ({"train": 0.8, "valid": 0.7}, "train 0.8 and valid 0.7 leave -256 of 512 samples for testing: .* below 1"),
        ({"align_samples": 3}, "align_samples: expected a whole number of at least 4, got 3"),
        ({"align_samples": 78}, "align_samples: expected at most the 77 samples for testing, got 78"),
        # training
        ({"epochs": (3,)}, "epochs: expected two values, of modality 1 and of the others, got 1"),
        ({"epochs": (3, 3, 3)}, "epochs: expected two values, of modality 1 and of the others, got 3"),
        ({"epochs": ()}, "epochs: expected two values, of modality 1 and of the others, got 0"),
        ({"epochs": (3, 0)}, "epochs: expected a list of whole numbers from 1 to 100000"),
        ({"epochs": (3, 2.5)}, "epochs: expected a list of whole numbers from 1 to 100000"),
        ({"epochs": (True, 3)}, "epochs: expected a list of whole numbers from 1 to 100000"),
        ({"batch": 0}, "batch: expected a whole number from 1 to 1000000, got 0"),
        ({"ensemble": 0}, "ensemble: expected a whole number from 1 to 100000, got 0"),
        ({"clip": 0}, "clip: expected a number above 0, got 0"),
        ({"clip": INF}, "clip: expected a number above 0, got inf"),
        ({"clip": NAN}, "clip: expected a number above 0, got nan"),
        ({"learning_rate": (0.01,)}, "learning_rate: expected two values, of modality 1 and of the others, got 1"),
        ({"learning_rate": (0.01, 0)}, "learning_rate: expected a list of numbers from 1e-09 to 10 or null"),
        ({"learning_rate": (0.01, NAN)}, "learning_rate: expected a list of numbers from 1e-09 to 10 or null"),
        ({"weight_decay": (0, 0, 0)}, "weight_decay: expected two values, of modality 1 and of the others, got 3"),
        ({"weight_decay": (0, -0.1)}, "weight_decay: expected a list of numbers from 0 to 100 or null"),
        # metrics and folders
        ({"metrics": ()}, "metrics: expected a list of texts, 1 or more"),
        ({"metrics": ("cka", "rsa", "cka")}, "metrics: expected each once, got cka, rsa, cka"),
        ({"metrics": ("ckaa",)}, r"unknown metric 'ckaa' \(did you mean cka"),
        ({"metrics": ("mutual_knn:q=3",)}, "mutual_knn has no parameter 'q': it has k"),
        ({"metrics": ("mutual_knn:k=0",)}, "mutual_knn needs a whole number k >= 1, got k=0"),
        ({"metrics": ("cka", "mutual_knn:k=48")}, "mutual_knn with k=48 needs more than 48 samples, got N=48: lower k"),
        ({"metrics": ("cycle_knn:k=48",)}, "cycle_knn with k=48 needs more than 48 samples"),
        ({"out": " "}, "out: expected the name of a folder, got an empty text"),
    ],
)
def test_wrong_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises(VlalignError, match=message) as caught:
        small(**values)
    assert "\n" not in str(caught.value)


def test_grids_are_sorted_tuples_with_every_number_once() -> None:
    config = small(uniqueness=[5, 0, 5], depths=[3, 1], phi_depths=[2], widths=[8, 4, 8], seeds=[7, 0], metrics=["cka"])
    assert config == small(uniqueness=(0, 5), depths=(1, 3), phi_depths=(2,), widths=(4, 8), metrics=("cka",))
    assert hash(config) == hash(replace(config))
    assert config.hidden == (4, 8)


@given(st.integers(64, 10**6), st.floats(0.1, 0.7), st.floats(0.1, 0.25))
def test_sizes_add_up(samples: int, train: float, valid: float) -> None:
    config = SyntheticConfig(samples=samples, train=train, valid=valid, align_samples=4, metrics=("cka",), classes=3)
    assert sum(config.sizes) == samples
    assert min(config.sizes) >= 3
    assert abs(config.sizes[0] - samples * train) <= 0.5
    assert abs(config.sizes[1] - samples * valid) <= 0.5


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "grid.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "uniqueness: [0, 4]\ndepths: 3\nwidths: null\nunique_split: [3, 1.5]\nlabel_noise: 0\nepochs: [2, 3]\n"
        "metrics: rsa\nphi_on: all\nlearning_rate: [1.0e-3, 1]\nseeds: [1, 2]\ncpu: yes\n",
    )
    values = read_options(SyntheticConfig, path)
    assert values == {
        "uniqueness": (0, 4), "depths": (3,), "widths": None, "unique_split": (3, 1.5), "label_noise": 0,
        "epochs": (2, 3), "metrics": ("rsa",), "phi_on": "all", "learning_rate": (1e-3, 1), "seeds": (1, 2),
        "cpu": True,
    }  # fmt: skip
    config = SyntheticConfig(**values)
    assert config.depths == (3,)
    assert config.settings_of(1, 4) == (1, 0.0)
    assert read_options(SyntheticConfig, written(tmp_path, "# nothing yet\n")) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("uniquness: [1]", "unknown key uniquness .did you mean uniqueness"),
        ("phi_depth: [1]", "unknown key phi_depth .did you mean phi_depths"),
        ("zzz: 1", "unknown key zzz: known are modalities, shared_bits"),
        ("depths: [1, two]", r"depths: expected a list of whole numbers from 1 to 64.*, got \[1, 'two'\]"),
        ("depths: [1.5]", "depths: expected a list of whole numbers"),
        ("seeds: [true]", "seeds: expected a list of whole numbers"),
        ("seeds: null", "seeds: expected a list of whole numbers"),
        ("widths: wide", "widths: expected a list of whole numbers from 1 to 4096.* or null"),
        ("learning_rate: [fast, 1]", "learning_rate: expected a list of numbers from 1e-09 to 10 or null"),
        ("metrics: [1]", "metrics: expected a list of texts"),
        ("samples: many", "samples: expected a whole number from 64 to 100000000, got 'many'"),
        ("samples: 64.0", "samples: expected a whole number"),
        ("noise: loud", "noise: expected a number from 0 to 100, got 'loud'"),
        ("train: true", "train: expected a number above 0 and below 1, got true"),
        ("phi_on: 3", "phi_on: expected others or all, got 3"),
        ("cpu: 1", "cpu: expected true or false, got 1"),
        ("tuned: [a]", "tuned: expected a text or null"),
        ("samples: 9\nsamples: 9", "line 2: not valid YAML: samples occurs twice"),
        ("- samples", "is not a settings file"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(VlalignError, match=message) as caught:
        read_options(SyntheticConfig, written(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "grid.yaml" in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [
        SyntheticConfig(),
        small(widths=(3, 9), unique_split=(3, 1), learning_rate=(1e-3, 0.1), tuned="a b.yaml", noise=0.1),
        small(modalities=3, synergy=1, label_noise=0.5, phi_on="all", out="2024-01-01", metrics=("cka:kernel=rbf",)),
    ],
    ids=["published", "small", "three"],
)
def test_round_trips(tmp_path: Path, config: SyntheticConfig) -> None:
    path = written(tmp_path, yaml_text(config.resolved()))
    assert SyntheticConfig(**read_options(SyntheticConfig, path)) == config
    assert list(config.resolved()) == [entry.name for entry in fields(SyntheticConfig)]


def test_identity_is_what_makes_two_studies_different() -> None:
    config = small()
    assert set(config.identity()) == {entry.name for entry in fields(SyntheticConfig)} - {
        *config.RUNNING, *config.GRID, *config.ANALYSIS
    }  # fmt: skip
    more = replace(config, out="x", ensemble=1, cpu=False, seeds=(1,), depths=(4,), phi_depths=(5,), metrics=("cka",))
    assert more.identity() == config.identity()
    assert replace(config, clip=1).identity() != config.identity()


def test_published_rates() -> None:
    config = small()
    assert [len(side) for side in SETTINGS] == [9, 9]
    assert config.settings_of(0, 0) == (1e-3, 1e-4)
    assert config.settings_of(0, 5) == (1e-2, 1e-3)
    assert config.settings_of(1, 3) == config.settings_of(2, 3) == (1e-2, 1e-4)
    assert published(0, 11) == published(0, 8) == (5e-3, 0.1)


def test_given_and_tuned_rates(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "modality 1:\n  0: {learning_rate: 0.05, weight_decay: 0}\n"
        "modality 2:\n  3: {learning_rate: 1e-3, weight_decay: 0.1}\n",
    )
    tuned = read_tuned(path)
    assert tuned == {"modality 1": {0: (0.05, 0.0)}, "modality 2": {3: (1e-3, 0.1)}}
    config = small(tuned=str(path))
    assert config.settings_of(0, 0, tuned) == (0.05, 0)
    assert config.settings_of(1, 3, tuned) == (1e-3, 0.1)
    assert config.settings_of(2, 3, tuned) == published(1, 3)
    assert config.settings_of(0, 3, tuned) == published(0, 3)
    given = replace(config, learning_rate=(0.2, 0.3))
    assert given.settings_of(0, 0, tuned) == (0.2, 0)
    assert given.settings_of(1, 3, tuned) == (0.3, 0.1)
    assert replace(given, weight_decay=(0.4, 0.5)).settings_of(2, 0, tuned) == (0.3, 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modality 1: 3", "grid.yaml: modality 1 is not a mapping: write the file with `vlalign synthetic tune`"),
        ("modality 1: {0: 3}", "modality 1, 0: give learning_rate and weight_decay as numbers"),
        ("modality 1: {0: {learning_rate: 1}}", "modality 1, 0: give learning_rate and weight_decay"),
        ("modality 1: {0: {learning_rate: fast, weight_decay: 0}}", "modality 1, 0: give"),
        ("modality 1: {zero: {learning_rate: 1, weight_decay: 0}}", "modality 1, zero: give"),
        ("modality 1: {0: {learning_rate: [1], weight_decay: 0}}", "modality 1, 0: give"),
        ("- 1", "is not a settings file"),
        ("modality 1: {0: {learning_rate: -1, weight_decay: 0}}", "learning_rate -1 and weight_decay 0: allowed is"),
        ("modality 1: {0: {learning_rate: .nan, weight_decay: 0}}", "learning_rate nan .* allowed is 1e-09 to 10"),
        ("modality 1: {0: {learning_rate: 0.1, weight_decay: 1000}}", "weight_decay 1000: allowed is .* 0 to 100"),
    ],
)
def test_wrong_tuned_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(VlalignError, match=message) as caught:
        read_tuned(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_tuned_files_that_do_not_fit_the_grid() -> None:
    config = small(uniqueness=(0, 5), tuned="rates.yaml")
    rates = {0: (0.1, 0.0), 5: (0.1, 0.0)}
    check_tuned(config, {"modality 1": rates, "modality 2": rates})
    with pytest.raises(VlalignError, match=r"rates\.yaml lacks modality 2 at U = 5: tune with this grid"):
        check_tuned(config, {"modality 1": rates, "modality 2": {0: (0.1, 0.0)}})
    with pytest.raises(VlalignError, match=r"rates\.yaml: unknown 'modality 3': known are modality 1, modality 2"):
        check_tuned(config, {"modality 1": rates, "modality 2": rates, "modality 3": rates})


def test_whole_and_decimal_numbers_are_one_setting(tmp_path: Path) -> None:
    one = small(clip=8, noise=1, temperature=1, unique_split=(3, 1), weight_decay=(0, 1))
    other = small(clip=8.0, noise=1.0, temperature=1.0, unique_split=[3.0, 1.0], weight_decay=(0.0, 1.0))
    assert canonical(one.identity()) == canonical(other.identity())
    read = read_options(SyntheticConfig, written(tmp_path, "learning_rate: [1e-3, 5E-2]\nclip: 1e+1\n"))
    assert read == {"learning_rate": (0.001, 0.05), "clip": 10.0}
