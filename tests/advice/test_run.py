"""The whole experiment: its verdicts, files and page; resuming and growth; a budget; refusals before training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.advice import QUICK, arrays, data

import vlalign
from vlalign.advice import AdviceConfig, AdviceResult, AdviceStudy
from vlalign.advice.pilot import choose_depth, fit_budget
from vlalign.errors import VlalignError

X1, X2, Y = arrays()


def advise(**changes: Any) -> AdviceResult:
    return vlalign.advise(X1, X2, Y, **{**QUICK, "names": ("image", "text"), **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("advice") / "run"
    advise(out=out)
    return out


def test_it_writes_tables_figures_and_page(folder: Path) -> None:
    result = AdviceResult.load(folder)
    assert [verdict.use for verdict in result.verdicts] == ["both", "first", "second"]
    assert len(result.table()) == 3 * 7
    assert result.trained == 5 * 3 * 7
    assert result.facts["tested"] == 60
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.index("Both modalities: ") < page.index("What was done")
    assert "image alone" in page
    assert "vlalign.advise(x1, x2, y" in page
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "curves.png", "curves.pdf", "matching.png", "matching.pdf", "information.png", "information.pdf",
    }  # fmt: skip
    assert "What the modalities know about the label" in page
    assert repr(result).startswith("Advice on 60 samples (accuracy)\nboth modalities: ")
    assert "<table" in result._repr_html_()
    assert np.isfinite(result.matching.select_dtypes("number")).all(axis=None)


def test_it_resumes_and_grows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AdviceStudy, "report", lambda *_: [])
    before = AdviceResult.load(folder)
    again = advise(out=folder)
    assert again.trained == 0
    assert again.verdicts == before.verdicts
    assert advise(out=folder, depth=None).config["depth"] == 1  # as it was begun
    assert advise(out=folder, seeds=(0, 1, 2, 3, 4, 5)).trained == 3 * 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 5}, r"holds another study \(width was 4, is now 5\)"),
        ({"budget": "soon"}, "budget: expected a number with s, m or h"),
        ({"x": 2.0}, r"holds another study \(the data are not those of the first run"),
    ],
)
def test_it_refuses_the_folder_of_another_study(folder: Path, change: Any, message: str) -> None:
    x1 = X1 * change.pop("x", 1.0)
    with pytest.raises(VlalignError, match=message):
        vlalign.advise(x1, X2, Y, **{**QUICK, "names": ("image", "text"), "out": folder, **change})


def test_a_given_split_is_kept() -> None:
    split = np.array(["train"] * 30 + ["valid"] * 14 + ["test"] * 16)
    result = advise(split=split)
    assert (result.facts["tested"], result.facts["folds"], result.trained) == (16, 1, 5 * 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": (0, 1, 2, 3)}, "seeds: expected"),
        ({"seeds": (0, 1, 2, 3, 3)}, "seeds: expected 5 different ones or more, got 4"),
        ({"weights": (0,)}, "weights: expected one above 0 or more"),
        ({"folds": 20}, "class '0' has"),
        ({"budget": "soon"}, "budget: expected a number with s, m or h, such as 10m, got 'soon'"),
        ({"budget": "0.001s"}, "budget: 0.001s is too small: five seeds need about"),
    ],
)
def test_it_refuses_before_training(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(VlalignError) as error:
        advise(out=tmp_path / "run", **change)
    assert str(error.value).startswith(message)
    assert not (tmp_path / "run" / "cells").exists()


def test_a_budget_changes_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlalign.advice.pilot._pace", lambda *_: 0.01)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    config = AdviceConfig(**{**QUICK, "steps": 200, "weights": (0.25, 1, 3)})  # 0.01 · 200 · 3 folds · 5 seeds = 30 s

    def fitted(budget: str) -> tuple[int, int, int]:
        chosen = fit_budget(config, data(), budget)
        return chosen.steps, len(chosen.seeds), len(chosen.weights)

    assert fitted("45s") == (200, 6, 4)
    assert fitted("38s") == (200, 5, 4)
    assert fitted("1h") == (200, 10, 4)
    assert fitted("25s") == (133, 5, 4)
    assert fitted("15s")[2] == 3


def test_a_pilot_chooses_the_depth() -> None:
    random = np.random.RandomState(0)
    x = random.standard_normal((200, 2))
    config = AdviceConfig(**{**QUICK, "steps": 150, "batch": 64, "width": 8, "learning_rate": 0.02})
    from vlalign.advice.data import make_data

    curved = make_data(x, x + 0.01, (x[:, 0] * x[:, 1] > 0).astype(int))
    assert choose_depth(config, curved) == 2


def test_the_first_use_of_libraries_does_not_count_as_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps would seem free, and a budget of seconds allow hours of training."""
    from vlalign.advice import pilot

    clock = [0.0]

    def train_cells(config: AdviceConfig, *_: Any) -> None:
        clock[0] += (30.0 if clock[0] == 0 else 1.0) + 0.1 * config.steps

    monkeypatch.setattr(pilot, "train_cells", train_cells)
    monkeypatch.setattr(pilot, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    assert pilot._pace(AdviceConfig(**QUICK), data(), torch.device("cpu")) == pytest.approx(0.1)
