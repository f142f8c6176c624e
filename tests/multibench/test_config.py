"""Settings: completed from the data, refused in one line, and the published ones where there are any."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from support.multibench_study import small, toy_data

from vlalign.config import descriptions, read_options
from vlalign.errors import VlalignError
from vlalign.multibench import MultibenchConfig, Prepared
from vlalign.multibench.config import complete, rates_of, shape_of
from vlalign.multibench.published import SETTINGS, TABLE, epochs_of

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return toy_data(tmp_path_factory.mktemp("data") / "toy")


def test_every_setting_is_documented_and_of_one_kind() -> None:
    names = {entry.name for entry in fields(MultibenchConfig)}
    assert {name for name, text in descriptions(MultibenchConfig).items() if text} == names
    assert {*MultibenchConfig.RUNNING, *MultibenchConfig.GRID, *MultibenchConfig.ANALYSIS} <= names


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data": " "}, "data is empty"),
        ({"depths": ()}, "depths: expected a list of whole numbers from 1 to 64, 1 or more"),
        ({"depths": (0,)}, "depths: expected a list of whole numbers from 1 to 64, 1 or more"),
        ({"seeds": (1.5,)}, "seeds: expected a list of whole numbers from 0 to 4294967295, 1 or more"),
        ({"epochs": 0}, "epochs: expected a whole number from 1 to 100000 or null, got 0"),
        ({"train_samples": True}, "train_samples: expected a whole number from 2 to 1000000000 or null, got true"),
        ({"clip": 0}, "clip: expected a number above 0, got 0"),
        ({"dropout": 1}, "dropout: expected a number from 0 to 0.99, got 1"),
        ({"clip_quantile": 0.2}, "clip_quantile: expected a number from 0.5 to 1, got 0.2"),
        (
            {"learning_rate": (0.0,)},
            "learning_rate: expected a list of numbers from 1e-09 to 10",
        ),
        (
            {"weight_decay": (-1.0,)},
            "weight_decay: expected a list of numbers from 0 to 100",
        ),
        ({"pool": "max"}, "pool: expected cls, mean or mean-padded or null, got 'max'"),
        ({"align_split": "dev"}, "align_split: expected test, valid or train, got 'dev'"),
        ({"metrics": ()}, "metrics: expected a list of texts, 1 or more"),
        ({"metrics": ("unbiased_cca",)}, "unbiased_cca"),
        ({"permutations": 3}, "permutations: expected a whole number from 99 to 10000000, got 3"),
    ],
)
def test_what_is_out_of_range_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(VlalignError) as error:
        MultibenchConfig(**{"data": "x", **values})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modalities": ("vision", "smell")}, "modalities has 'smell'"),
        ({"modalities": ("vision",)}, "alignment needs at least two"),
        ({"modalities": ("vision", "text", "vision")}, "modalities has 'vision' 2 times"),
        ({"train_samples": 61}, "train_samples is 61"),
        (
            {"learning_rate": (1e-3, 1e-4)},
            "learning_rate has 2 values: give one, or one for each of vision, audio, text",
        ),
        ({"metrics": ("mutual_knn:k=40",)}, "k"),
    ],
)
def test_what_does_not_fit_the_data_is_named(data: Prepared, values: dict[str, Any], message: str) -> None:
    with pytest.raises(VlalignError) as error:
        complete(small(data, "out", **values), data)
    assert message in str(error.value)


def test_labels_that_do_not_vary_are_refused_where_variance_is_explained(tmp_path: Path) -> None:
    data = toy_data(tmp_path / "toy", "regression")
    assert complete(small(data, "out"), data).epochs == 2
    data.splits["valid"].labels[:] = 0.5
    with pytest.raises(VlalignError, match=r"all labels of valid are 0\.5: R² is not defined"):
        complete(small(data, "out"), data)


def test_none_is_filled_from_the_data(data: Prepared) -> None:
    found = complete(small(data, "out", epochs=None, modalities=("audio", "vision")), data)
    assert found.modalities == ("vision", "audio")
    assert (found.train_samples, found.epochs, found.pool, found.align_samples) == (60, 50, "cls", 40)
    assert (found.learning_rate, found.weight_decay) == ((1e-3, 1e-3), (0.0, 0.0))
    shape = shape_of(found, data, "audio", 3)
    assert (shape.features, shape.tokens, shape.width, shape.depth, shape.outputs) == (3, 6, 3, 3, 3)
    assert shape_of(replace(found, width=8), data, "audio", 3).width == 8


def test_published_settings_are_the_default(data: Prepared) -> None:
    mosi = replace(data, name="mosi")
    found = complete(small(data, "out", epochs=None), mosi)
    assert [rates_of(found, name) for name in ("vision", "audio", "text")] == [(1e-3, 0.01), (1e-3, 0.01), (1e-4, 0.01)]
    assert complete(small(data, "out", learning_rate=(0.5,)), mosi).learning_rate == (0.5, 0.5, 0.5)
    some = complete(small(data, "out", modalities=("text", "vision")), mosi)
    assert [rates_of(some, name) for name in ("vision", "text")] == [(1e-3, 0.01), (1e-4, 0.01)]
    assert (epochs_of("avmnist"), epochs_of("mosi")) == (100, 50)


@pytest.mark.parametrize(
    ("modalities", "values", "trained"),
    [
        (("vision", "text"), (1.0, 2.0), {"vision": 1.0, "text": 2.0}),
        (("text", "vision"), (1.0, 2.0), {"vision": 2.0, "text": 1.0}),
        (("text", "audio", "vision"), (1.0, 2.0, 3.0), {"vision": 3.0, "audio": 2.0, "text": 1.0}),
        (("text", "vision"), (1.0, 2.0, 3.0), {"vision": 1.0, "text": 3.0}),
        (None, (1.0, 2.0, 3.0), {"vision": 1.0, "audio": 2.0, "text": 3.0}),
        (("text", "vision"), (1.0,), {"vision": 1.0, "text": 1.0}),
    ],
)
def test_a_rate_belongs_to_the_modality_it_is_given_for(
    data: Prepared, modalities: tuple[str, ...] | None, values: tuple[float, ...], trained: dict[str, float]
) -> None:
    asked = small(data, "out", modalities=modalities, learning_rate=values, weight_decay=values)
    config = complete(asked, data)
    assert {name: rates_of(config, name) for name in config.modalities or ()} == {
        name: (value, value) for name, value in trained.items()
    }
    assert complete(config, data) == config


def test_a_run_is_named_after_its_data_unless_it_is_told() -> None:
    assert MultibenchConfig(data="somewhere/mine/").out == "multibench-runs/mine"
    assert MultibenchConfig(data="somewhere/mine", out="there").out == "there"


def test_equal_settings_are_one_study(data: Prepared) -> None:
    a = complete(small(data, "a", clip=8), data)
    assert a.identity() == complete(small(data, "b", clip=8.0, seeds=(9,), metrics=("cka",)), data).identity()
    assert a.identity() != complete(small(data, "a", batch=17), data).identity()


def test_published_results_are_of_both_directions() -> None:
    assert len(TABLE) == 2 * 13
    assert {name for name, _, _ in TABLE} == set(SETTINGS)
    for name, modality, reference in TABLE:
        assert (name, reference, modality) in TABLE
        assert modality in SETTINGS[name]
    assert (TABLE["mosi", "text", "audio"].first, TABLE["mosi", "text", "audio"].later) == (-0.374, -0.386)
    assert (TABLE["avmnist", "image", "audio"].first, TABLE["avmnist", "audio", "image"].first) == (0.944, 0.974)


def test_configs_are_there_for_every_data_set_and_valid() -> None:
    for name in SETTINGS:
        paper, quick = (
            read_options(MultibenchConfig, REPOSITORY / "multibench" / f"{name}-{kind}.yaml")
            for kind in ("paper", "quick")
        )
        config = MultibenchConfig(**paper)
        assert (config.depths, config.seeds, config.train_samples) == (tuple(range(1, 11)), (2, 22, 42), None)
        assert config.epochs == epochs_of(name)
        assert config.learning_rate == tuple(rate for rate, _ in SETTINGS[name].values())
        assert config.weight_decay == tuple(decay for _, decay in SETTINGS[name].values())
        assert config.out != MultibenchConfig(**quick).out
        assert paper["data"] == quick["data"]
