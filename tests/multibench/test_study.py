"""Studies: killed, damaged, grown and repeated runs end with the same tables and train nothing twice."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.multibench_study import small, toy_data

from vlalign.errors import VlalignError
from vlalign.multibench import MultibenchConfig, MultibenchResult, MultibenchStudy, Prepared
from vlalign.multibench.cells import Cell
from vlalign.study.grid import CellPlan

ENCODERS = 3 * 2 * 2  # modalities × depths × seeds
TABLES = ("encoders", "alignment", "layers")


def run(config: MultibenchConfig) -> MultibenchResult:
    result = MultibenchStudy(config).run(report=False)
    assert result is not None
    return result


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return toy_data(tmp_path_factory.mktemp("data") / "toy")


@pytest.fixture(scope="module")
def finished(data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> MultibenchResult:
    """A run that nothing came between; its folder is ``config["out"]`` (read only, please)."""
    return run(small(data, tmp_path_factory.mktemp("finished") / "run"))


@pytest.fixture
def again(data: Prepared, finished: MultibenchResult, tmp_path: Path) -> MultibenchConfig:
    """The settings of a copy of it."""
    return small(data, shutil.copytree(finished.config["out"], tmp_path / "again"))


def files(config: MultibenchConfig) -> dict[str, tuple[int, int]]:
    """What changes when a file is written again, even with the same bytes."""
    found = {path.name: path.stat() for path in (Path(config.out) / "encoders").iterdir()}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def same(found: MultibenchResult, expected: MultibenchResult) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name), atol=1e-6, rtol=1e-5)


def test_a_study_has_every_encoder_and_direction_once(finished: MultibenchResult) -> None:
    assert (len(finished.encoders), finished.trained) == (ENCODERS, ENCODERS)
    assert len(finished.alignment) == 2 * ENCODERS
    assert not finished.alignment.duplicated(["modality", "reference", "depth", "seed"]).any()
    assert finished.data["samples"] == {"train": 60, "valid": 30, "test": 40}
    for name in ("train", "valid", "test"):
        assert finished.encoders[name].between(0, 1).all()
    assert finished.encoders["epoch"].between(1, 2).all()


def test_the_same_settings_give_the_same_study(data: Prepared, finished: MultibenchResult, tmp_path: Path) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(
            getattr(run(small(data, tmp_path / "other")), name), getattr(finished, name), check_exact=True
        )


def test_ensembles_change_nothing_but_rounding(data: Prepared, finished: MultibenchResult, tmp_path: Path) -> None:
    same(run(small(data, tmp_path / "other", ensemble=1)), finished)


def test_a_finished_study_trains_nothing(again: MultibenchConfig, finished: MultibenchResult) -> None:
    before = files(again)
    result = run(again)
    assert (result.trained, files(again)) == (0, before)
    same(result, finished)


def test_an_interrupted_study_goes_on(
    data: Prepared, finished: MultibenchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(data, tmp_path / "run")
    study, done = MultibenchStudy(config), []
    train = MultibenchStudy.train

    def interrupted(self: MultibenchStudy, group: list[Cell], *rest: Any) -> None:
        if len(done) == 3:
            raise KeyboardInterrupt
        train(self, group, *rest)
        done.append(group)

    monkeypatch.setattr(MultibenchStudy, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.run(report=False)
    monkeypatch.undo()
    before = files(config)
    assert 3 * 2 <= len(before) < ENCODERS
    assert MultibenchStudy(config).plan().to_do == ENCODERS - len(before)
    same(run(config), finished)
    assert {name: mark for name, mark in files(config).items() if name in before} == before


def test_a_damaged_encoder_is_named_and_trained_again(
    again: MultibenchConfig,
    finished: MultibenchResult,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = Path(again.out) / "encoders" / "audio-depth02-seed7.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    monkeypatch.setattr(logging.getLogger("vlalign"), "propagate", True)
    with caplog.at_level(logging.WARNING, logger="vlalign"):
        result = run(again)
    assert f"{path} is damaged" in caplog.text
    assert result.trained == 1
    same(result, finished)


def test_a_study_grows_without_training_anything_twice(
    data: Prepared, finished: MultibenchResult, tmp_path: Path
) -> None:
    first = small(data, tmp_path / "run", seeds=(7,), modalities=("vision", "audio"), metrics=("unbiased_cka",))
    run(first)
    before = files(first)
    result = run(small(data, tmp_path / "run"))
    assert result.trained == ENCODERS - len(before)
    assert {name: mark for name, mark in files(first).items() if name in before} == before
    same(result, finished)


def test_a_smaller_grid_says_what_it_leaves_out(
    again: MultibenchConfig, data: Prepared, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("vlalign"), "propagate", True)
    with caplog.at_level(logging.WARNING, logger="vlalign"):
        result = run(small(data, again.out, depths=(2,)))
    assert "also holds depths 1" in caplog.text
    assert len(result.encoders) == ENCODERS // 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 3}, "epochs was 2, is now 3"),
        ({"learning_rate": (0.5,)}, "learning_rate of vision was 0.001, is now 0.5"),
        ({"pool": "mean"}, "pool was 'cls', is now 'mean'"),
    ],
)
def test_another_study_is_not_mixed_in(
    again: MultibenchConfig, data: Prepared, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(VlalignError) as error:
        MultibenchStudy(small(data, again.out, **values)).plan()
    assert message in str(error.value)
    assert "--out" in str(error.value)


def test_other_data_is_not_mixed_in(again: MultibenchConfig, tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match="the data are not those of the first run"):
        MultibenchStudy(small(toy_data(tmp_path / "other", seed=1), again.out)).plan()


def test_two_studies_share_no_folder(data: Prepared, tmp_path: Path) -> None:
    (tmp_path / "encoders.parquet").touch()
    with pytest.raises(VlalignError, match=r"holds tables but no config\.yaml"):
        MultibenchStudy(small(data, tmp_path)).plan()


def test_a_run_does_not_go_into_a_prepared_folder(data: Prepared, tmp_path: Path) -> None:
    other = toy_data(tmp_path / "other")
    with pytest.raises(VlalignError, match="holds a prepared data set: name another folder"):
        MultibenchStudy(small(data, other.folder)).plan()


def test_damaged_data_are_noticed_before_training(tmp_path: Path) -> None:
    data = toy_data(tmp_path / "toy")
    path = data.folder / "test.safetensors"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    with pytest.raises(VlalignError, match=r"test\.safetensors is damaged"):
        MultibenchStudy(small(data, tmp_path / "run")).run()
    assert not (tmp_path / "run" / "encoders").exists()


def test_training_that_diverges_is_named(data: Prepared, tmp_path: Path) -> None:
    study = MultibenchStudy(small(toy_data(tmp_path / "toy", "sentiment"), tmp_path / "run", learning_rate=(10.0,)))
    study.data.splits["train"].inputs["vision"][:] = 1e30
    with pytest.raises(VlalignError, match="training diverged \\(vision, depth 1, seed 0\\)"):
        study.train([Cell("vision", 1, 0)])


@pytest.mark.parametrize("task", ["sentiment", "regression"])
def test_numbers_are_studied_too(task: str, tmp_path: Path) -> None:
    result = run(small(toy_data(tmp_path / "toy", task), tmp_path / "run", epochs=10, learning_rate=(0.01,)))
    best = result.best("vision")
    assert result.performance == {"sentiment": "accuracy of the sign", "regression": "R²"}[task]
    assert best["test"] > {"sentiment": 0.7, "regression": 0.2}[task]


def test_the_plan_counts(data: Prepared, tmp_path: Path) -> None:
    study = MultibenchStudy(small(data, tmp_path / "run"))
    shallow, deep = ([Cell("audio", depth, 0)] for depth in (1, 2))
    plan: CellPlan[Cell] = study.plan()
    assert (plan.to_do, plan.total, sum(map(len, plan.missing))) == (ENCODERS, ENCODERS, ENCODERS)
    assert study.cost(deep) > study.cost(shallow) > 0
