"""Studies: killed, damaged, grown and repeated runs end with the same tables and train nothing twice."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from support.synthetic import member, numbers, small, trained_alone

from vlalign.config import read_options
from vlalign.errors import VlalignError
from vlalign.study.config import check_folder
from vlalign.study.grid import CellPlan
from vlalign.study.jobs import deal
from vlalign.synthetic import SyntheticConfig, SyntheticResult, SyntheticStudy
from vlalign.synthetic.cells import Cell, all_cells, shape_of

ENCODERS = 2 * (2 * 2 + 2 * 2 * 2)  # U × (depths × seeds, and for modality 2 as many for each φ)


def run(config: SyntheticConfig, **options: Any) -> SyntheticResult:
    result = SyntheticStudy(config).run(report=False, **options)
    assert result is not None
    return result


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> SyntheticResult:
    """A run that nothing came between; its folder is ``config["out"]`` (read only, please)."""
    return run(small(tmp_path_factory.mktemp("finished") / "run"))


def test_only_long_trainings_are_worth_worker_processes() -> None:
    def seconds(config: SyntheticConfig) -> float:
        study = SyntheticStudy(config)
        return study.seconds(study.groups(study.cells()))

    paper = replace(SyntheticConfig(), seeds=(2,))
    assert 600 < seconds(paper) < 36_000  # an hour or two of one core
    assert seconds(small()) < 1


@pytest.fixture
def again(finished: SyntheticResult, tmp_path: Path) -> SyntheticConfig:
    """The settings of a copy of it."""
    return small(shutil.copytree(finished.config["out"], tmp_path / "again"))


def files_of(config: SyntheticConfig | dict[str, Any]) -> dict[str, bytes]:
    out = config["out"] if isinstance(config, dict) else config.out
    return {path.name: path.read_bytes() for path in (Path(out) / "encoders").iterdir()}


def marks(config: SyntheticConfig) -> dict[str, tuple[int, int]]:
    """What changes when a file is written again, even with the same bytes."""
    found = {path.name: path.stat() for path in (Path(config.out) / "encoders").iterdir()}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_a_run_from_nothing(finished: SyntheticResult) -> None:
    out = Path(finished.config["out"])
    config = small(out)
    assert sorted(path.name for path in out.iterdir()) == [
        "alignment.csv", "alignment.parquet", "config.yaml", "encoders", "study.json"
    ]  # fmt: skip
    assert set(files_of(config)) == {cell.name for cell in all_cells(config)}
    assert SyntheticConfig(**read_options(SyntheticConfig, out / "config.yaml")) == config
    assert finished.trained == ENCODERS
    assert set(finished.seconds) == {"train", "align"}
    assert {"threads", "processes", "packages", "git"} <= set(finished.environment)
    same(SyntheticResult.load(out).table, finished.table)
    table = finished.table
    assert len(table) == 2 * 2 * 2 * 2 * 2
    assert len(table.drop_duplicates(["seed", "uniqueness", "phi_depth", "depth", "reference_depth"])) == len(table)
    assert table[["train", "valid", "test", "reference_test"]].apply(lambda column: column.between(0, 1)).all(axis=None)
    assert table["epoch"].between(1, 3).all()
    for metric in config.metrics:
        assert table[metric].between(-1, 1).all()
        assert (table[f"{metric} layer"] <= table["depth"]).all()
        assert (table[f"{metric} reference_layer"] <= table["reference_depth"]).all()


@pytest.mark.parametrize("cell", [Cell(0, 2, 12, 7, 0), Cell(1, 1, 12, 0, 3)], ids=lambda cell: cell.title(0))
def test_encoders_are_what_an_ordinary_loop_trains(finished: SyntheticResult, cell: Cell) -> None:
    """With the published rates, epochs of their modality, and seeds of base + depth + depth of φ."""
    config = small(finished.config["out"])
    study = SyntheticStudy(config)
    found = study.files.load(cell)
    for place, uniqueness in enumerate(config.uniqueness):
        data = study.data(uniqueness)
        features, labels = data.features(cell.modality, cell.phi_depth), torch.from_numpy(data.labels)
        splits = [(features[rows], labels[rows]) for rows in map(torch.from_numpy, data.splits.values())]
        rate, decay = config.settings_of(cell.modality, uniqueness)
        network, epoch, accuracies, _ = trained_alone(
            shape_of(config, cell), splits, seed=cell.seed + cell.depth + cell.phi_depth, rate=rate, decay=decay,
            epochs=(2, 3)[cell.modality], batch=100, clip=8,
        )  # fmt: skip
        ours = numbers(member(found.ensemble(config, cell), place))
        assert torch.allclose(ours, numbers(network), rtol=0, atol=1e-4)  # of rounding; a step is 100 times longer
        assert int(found.epoch[place]) == epoch
        assert found.accuracy[place].tolist() == pytest.approx(accuracies, abs=0.01)


def test_a_second_run_trains_nothing(finished: SyntheticResult, again: SyntheticConfig) -> None:
    before = marks(again)
    plan = SyntheticStudy(again).plan()
    assert plan == CellPlan([], ENCODERS, 0)
    result = run(again)
    assert result.trained == 0
    same(result.table, finished.table)
    assert marks(again) == before


def test_another_folder_gives_the_same_files_and_tables(finished: SyntheticResult, tmp_path: Path) -> None:
    config = small(tmp_path / "other", ensemble=2)
    result = run(config, progress=True)
    same(result.table.round(4), finished.table.round(4))
    for cell in all_cells(config):
        found, expected = (SyntheticStudy(one).files.load(cell) for one in (config, small(finished.config["out"])))
        assert torch.allclose(found.parameters, expected.parameters, rtol=0, atol=1e-5)
        assert torch.equal(found.accuracy, expected.accuracy)


def test_threads_are_of_no_effect(finished: SyntheticResult, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(run(small(tmp_path / str(count))))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    for result in results:
        same(result.table, finished.table)
        assert files_of(result.config) == files_of(finished.config)


def test_a_killed_run_goes_on(finished: SyntheticResult, tmp_path: Path) -> None:
    config = small(tmp_path / "killed")
    study = SyntheticStudy(config)
    plan = study.plan()
    assert (plan.total, plan.to_do) == (ENCODERS, ENCODERS)
    for group in plan.missing[::2]:
        study.train(group)

    def kill() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.train(plan.missing[1], kill)
    done = [cell for group in plan.missing[::2] for cell in group]
    assert set(files_of(config)) == {cell.name for cell in done}
    before = marks(config)
    (tmp_path / "killed" / "encoders" / f"{plan.missing[1][0].name}.1-0123abcd.tmp").write_bytes(b"half")
    resumed = SyntheticStudy(config)
    rest = resumed.plan()
    assert rest.missing == plan.missing[1::2]
    assert rest.to_do == ENCODERS - 2 * len(done)
    result = resumed.run(rest, report=False)
    assert result is not None
    assert result.trained == rest.to_do
    same(result.table, finished.table)
    assert {name: mark for name, mark in marks(config).items() if name in before} == before
    for name, whole in files_of(finished.config).items():
        assert files_of(config)[name] == whole


def test_a_run_killed_while_it_wrote_an_ensemble(finished: SyntheticResult, again: SyntheticConfig) -> None:
    """Some cells of an ensemble are there, others are not: what is there stays as it is."""
    (group,) = [group for group in SyntheticStudy(small("nowhere")).plan().missing if group[0] == Cell(1, 2, 12, 0, 1)]
    assert len(group) == 4
    for cell in group[1:3]:
        (Path(again.out) / "encoders" / cell.name).unlink()
    before = marks(again)
    plan = SyntheticStudy(again).plan()
    assert (plan.missing, plan.to_do) == ([group[1:3]], 4)
    result = run(again)
    same(result.table.round(4), finished.table.round(4))
    assert {name: mark for name, mark in marks(again).items() if name in before} == before


def broken(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "truncated":
        path.write_bytes(whole[:-9])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "flipped":
        path.write_bytes(whole[:20] + bytes([whole[20] ^ 4]) + whole[21:])
    else:
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            told = file.metadata()
        tensors = load_file(path)
        tensors["parameters"][0, 3] = float("nan")
        save_file(tensors, path, metadata=told)


@pytest.mark.parametrize("how", ["truncated", "empty", "flipped", "nan"])
def test_a_damaged_file_is_named_and_trained_again(
    finished: SyntheticResult, again: SyntheticConfig, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    cell = Cell(1, 2, 12, 7, 1)
    path = Path(again.out) / "encoders" / cell.name
    broken(path, how)
    before = marks(again)
    study = SyntheticStudy(again)
    with caplog.at_level(logging.WARNING):
        plan = study.plan()
    (text,) = caplog.messages
    assert text.startswith(f"{path} is damaged")
    assert text.endswith("it is computed again")
    assert plan == CellPlan([[cell]], ENCODERS, 2)
    result = study.run(plan, report=False)
    assert result is not None
    same(result.table.round(4), finished.table.round(4))
    whole = SyntheticStudy(small(finished.config["out"])).files.load(cell)
    assert torch.allclose(study.files.load(cell).parameters, whole.parameters, rtol=0, atol=1e-5)
    assert [name for name, mark in marks(again).items() if mark != before[name]] == [cell.name]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"clip": 1.0}, "clip was 8.0, is now 1.0"),
        ({"samples": 600}, "samples was 512, is now 600"),
        ({"data_seed": 1, "batch": 50}, "data_seed was 0, is now 1; batch was 100, is now 50"),
        ({"uniqueness": (0, 4, 5)}, "uniqueness was [0, 5], is now [0, 4, 5]"),
        ({"phi_on": "all"}, "phi_on was 'others', is now 'all'"),
        ({"epochs": (2, 4)}, "epochs was [2, 3], is now [2, 4]"),
        ({"learning_rate": (0.1, 0.1)}, "learning_rate was null, is now [0.1, 0.1]"),
        ({"modalities": 3, "unique_bits": 3}, "modalities was 2, is now 3; unique_bits was 4, is now 3"),
        ({"synergy": 1}, "synergy was 0, is now 1"),
    ],
)
def test_a_folder_of_another_study_is_refused(again: SyntheticConfig, values: dict[str, Any], message: str) -> None:
    before = marks(again)
    other = small(again.out, **values)
    for refuse in (lambda: check_folder(other), SyntheticStudy(other).plan, SyntheticStudy(other).run):
        with pytest.raises(VlalignError) as caught:
            refuse()
        assert str(caught.value) == f"{again.out} holds another study ({message}): name another folder with --out"
    assert marks(again) == before


def test_a_damaged_config_is_said(again: SyntheticConfig) -> None:
    (Path(again.out) / "config.yaml").write_text("clip: loud\n")
    with pytest.raises(VlalignError, match=r"config\.yaml: clip: expected a number above 0, got 'loud'"):
        SyntheticStudy(again).plan()


@pytest.mark.parametrize(
    ("values", "encoders"),
    [
        ({"seeds": (0, 3, 7)}, 36),
        ({"depths": (1, 2, 4)}, 36),
        ({"phi_depths": (1, 2, 3)}, 32),
        ({"widths": (5, 12)}, 48),
        ({"depths": (1, 2, 4), "seeds": (0, 3, 7), "phi_depths": (1, 2, 3), "ensemble": 4}, 72),
    ],
    ids=lambda values: "-".join(values) if isinstance(values, dict) else "",
)
def test_a_study_grows_and_keeps_what_is_there(
    finished: SyntheticResult, again: SyntheticConfig, values: dict[str, Any], encoders: int
) -> None:
    before = marks(again)
    grown = replace(again, **values)
    plan = SyntheticStudy(grown).plan()
    assert (plan.total, plan.to_do) == (encoders, encoders - ENCODERS)
    assert not {cell.name for group in plan.missing for cell in group} & set(before)
    result = run(grown)
    assert {name: mark for name, mark in marks(grown).items() if name in before} == before
    assert set(marks(grown)) == {cell.name for cell in all_cells(grown)}
    keys = ["seed", "uniqueness", "modality", "phi_depth", "width", "depth", "reference_depth"]
    both = finished.table[keys].merge(result.table, on=keys)
    pd.testing.assert_frame_equal(both, finished.table, rtol=0, atol=1e-6)  # larger grids of layers are rounded anew
    assert len(result.table) > len(finished.table)
    # and back: the tables are those of the smaller grid, the files of the larger one stay
    less = run(again)
    same(less.table, finished.table)
    assert less.trained == 0
    assert set(marks(again)) == {cell.name for cell in all_cells(grown)}


def test_a_study_grows_by_a_reference_for_each_phi(
    finished: SyntheticResult, again: SyntheticConfig, caplog: pytest.LogCaptureFixture
) -> None:
    before = marks(again)
    grown = replace(again, reference_per_phi=True, phi_depths=(1, 3, 7))
    plan = SyntheticStudy(grown).plan()
    assert (plan.total, plan.to_do) == (2 * 4 * (3 + 3), 2 * 4 * (3 + 1))
    result = run(grown)
    assert {name: mark for name, mark in marks(grown).items() if name in before} == before
    files = SyntheticStudy(grown).files
    for depth in grown.depths:  # base seed 0 and φ of depth 7 is base seed 7 without φ, on the same data
        own, other = files.load(Cell(0, depth, 12, 0, 7)), files.load(Cell(0, depth, 12, 7, 0))
        torch.testing.assert_close(own.parameters, other.parameters, rtol=0, atol=1e-5)
        assert torch.equal(own.accuracy, other.accuracy)
    keys = ["seed", "uniqueness", "modality", "phi_depth", "width", "depth", "reference_depth"]
    both = finished.table.merge(result.table, on=keys, suffixes=("", " grown"))
    assert len(both) == len(finished.table)
    for name in ("train", "valid", "test", "epoch"):
        assert (both[name] == both[f"{name} grown"]).all()
    for row in result.table.to_dict("records"):
        reference = files.load(Cell(0, row["reference_depth"], 12, row["seed"], row["phi_depth"]))
        assert row["reference_test"] == float(reference.accuracy[grown.uniqueness.index(row["uniqueness"]), 2])
    assert not np.allclose(both["unbiased_cka"], both["unbiased_cka grown"], atol=1e-3)
    caplog.clear()
    same(run(again).table, finished.table)
    assert any("also holds reference_per_phi True" in message for message in caplog.messages)


def test_more_metrics_train_nothing(finished: SyntheticResult, again: SyntheticConfig) -> None:
    before = marks(again)
    result = run(replace(again, metrics=("rsa", *again.metrics)))
    assert result.trained == 0
    assert result.metrics == ["rsa", *again.metrics]
    assert marks(again) == before
    same(result.table[finished.table.columns.tolist()], finished.table)
    assert result.table["rsa"].between(-1, 1).all()


def test_tuned_rates_are_those_given(finished: SyntheticResult, tmp_path: Path) -> None:
    entries = "".join(f"  {u}: {{learning_rate: 0.02, weight_decay: 0.1}}\n" for u in (0, 5))
    (tmp_path / "tuned.yaml").write_text("".join(f"modality {m}:\n{entries}" for m in (1, 2)))
    grid: dict[str, Any] = {"depths": (1,), "seeds": (0,), "phi_depths": (1,)}
    tuned = run(small(tmp_path / "tuned", tuned=str(tmp_path / "tuned.yaml"), **grid))
    given_rates = run(small(tmp_path / "given", learning_rate=(0.02, 0.02), weight_decay=(0.1, 0.1), **grid))
    same(tuned.table, given_rates.table)
    table = finished.table.query("depth == 1 and reference_depth == 1 and seed == 0 and phi_depth == 1")
    assert tuned.table["unbiased_cka"].tolist() != table["unbiased_cka"].tolist()
    # other rates in the file are other encoders: nothing that is there fits
    (tmp_path / "tuned.yaml").write_text((tmp_path / "tuned.yaml").read_text().replace("0.02", "0.01"))
    plan = SyntheticStudy(small(tmp_path / "tuned", tuned=str(tmp_path / "tuned.yaml"), **grid)).plan()
    assert plan.to_do == plan.total == 4


def test_three_modalities_and_everything_else(tmp_path: Path) -> None:
    config = small(
        tmp_path, modalities=3, unique_bits=3, synergy=1, unique_split=(1, 1, 2), uniqueness=(0, 4), classes=3,
        label_noise=0.1, noise=0.1, phi_on="all", seeds=(1,), nonlinearity="tanh", widths=(6,), depths=(2,),
    )  # fmt: skip
    result = run(config)
    assert result.trained == 3 * 2 * 2
    assert sorted(result.table["modality"].unique()) == [2, 3]
    assert len(result.table) == 2 * 2 * 2


def test_training_that_diverges_is_named(tmp_path: Path) -> None:
    config = small(
        tmp_path, learning_rate=(1e-3, 10.0), depths=(64,), seeds=(0,), phi_depths=(1,), batch=5, epochs=(1, 1)
    )
    with pytest.raises(
        VlalignError, match=r"training diverged \(modality 2, U 0, phi_depth 1, depth 64, .*lower"
    ) as caught:
        run(config)
    assert "\n" not in str(caught.value)
    assert "modality2-phi01-depth64-width012-seed0.safetensors" not in files_of(config)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(VlalignError, match="is not a folder"):
            SyntheticStudy(small(out)).plan()
    with pytest.raises(VlalignError, match="cannot read the settings file"):
        SyntheticStudy(small(tmp_path, tuned=str(tmp_path / "nowhere.yaml")))


CELLS = st.builds(Cell, st.integers(0, 1), st.integers(1, 9), st.integers(1, 9), st.integers(0, 9), st.integers(0, 9))


@given(st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=12), st.integers(1, 5))
def test_work_is_dealt_once_and_evenly(groups: list[list[Cell]], processes: int) -> None:
    def cost(group: Sequence[Cell]) -> float:
        return float(sum(cell.depth for cell in group))

    shares = deal(groups, cost, processes)
    assert len(shares) == processes
    dealt = [tuple(group) for share in shares for group in share]
    assert sorted(dealt) == sorted(map(tuple, groups))
    loads = [sum(map(cost, share)) for share in shares]
    # costly groups first, each to whom has least: no one has more than the last of its groups above another
    for share, load in zip(shares, loads, strict=True):
        assert not share or load - cost(share[-1]) <= min(loads) + 1e-9
        assert [cost(group) for group in share] == sorted(map(cost, share), reverse=True)
    assert deal(groups, cost, 1) == [sorted(groups, key=cost, reverse=True)]
