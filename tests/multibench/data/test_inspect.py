from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from support.multibench import affect_data, made_up, write_pickle

from vlalign.errors import VlalignError
from vlalign.multibench.data.affect import prepare_affect
from vlalign.multibench.data.custom import prepare_custom
from vlalign.multibench.data.inspect import inspect_file, inspect_prepared
from vlalign.multibench.report.data import labels_text, show_inspection, show_prepared


def inspect(folder: Path, data: Any) -> Any:
    return inspect_file(write_pickle(folder / "data.pkl", data))


def printed(show: Any, *values: Any, **named: Any) -> str:
    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    show(*values, console, **named)
    return console.export_text()


@pytest.mark.parametrize(
    ("name", "sizes", "found"),
    [
        ("mosi", None, ["mosi", "mosei", "custom"]),
        ("mosei", {"train": 8000, "valid": 10, "test": 10}, ["mosei", "mosi", "custom"]),
        ("mustard", None, ["mustard", "urfunny", "custom"]),
        ("urfunny", {"train": 6000, "valid": 10, "test": 10}, ["urfunny", "mustard", "custom"]),
    ],
)
def test_what_a_file_looks_like(tmp_path: Path, name: str, sizes: Any, found: list[str]) -> None:
    if sizes:
        data = affect_data(name, {"train": 10, "valid": 10, "test": 10}, frames=1)
        train = data["train"]
        data["train"] = {key: np.repeat(values, sizes["train"] // 10, 0) for key, values in train.items()}
    else:
        data = affect_data(name, frames=2)
    told = inspect(tmp_path, data)
    assert told.looks_like == found
    assert told.problem is None
    assert told.command == f"vlalign multibench prepare {name} {tmp_path / 'data.pkl'}"


def test_the_plan_is_what_preparing_does(tmp_path: Path) -> None:
    data = affect_data("mosi", frames=52)
    for part in data.values():
        part["text"][:, 0] = 1
        part["text"][1] = 0
    told = inspect(tmp_path, data)
    about = prepare_affect("mosi", tmp_path / "data.pkl", tmp_path / "out").about
    assert told.plan == about["processing"]["splits"]
    assert told.files == about["source"]
    text = printed(show_inspection, told)
    for part in ("seems     MOSI; else MOSEI, custom", "dropped without text: 1", "frames cut of each: 2",
                 "−inf in audio that become 0: 3", "13 of 14 samples stay", f"prepare mosi {tmp_path}"):  # fmt: skip
        assert part in text


def test_facts_of_arrays(tmp_path: Path) -> None:
    data = affect_data("mosi", frames=6)
    data["valid"]["vision"][3, 2, 1] = np.nan
    told = inspect(tmp_path, data)
    rows = {(row["split"], row["key"]): row for row in told.arrays}
    assert rows["train", "audio"]["minus_inf"] == rows["train", "audio"]["inf"] == 3
    assert rows["train", "text"]["all_zero"] == 1
    leading = sum(int(text.any(1).argmax()) for text in data["train"]["text"])
    assert rows["train", "text"]["leading_zero_frames"] == leading > 0
    assert rows["valid", "vision"]["nan"] == 1
    assert rows["test", "labels"] == {"split": "test", "key": "labels", "shape": [8, 1, 1], "dtype": "float64"}
    assert "valid.vision has values that are not finite (1)" in told.problem
    assert "problem   " in printed(show_inspection, told)
    json.dumps(told.arrays, allow_nan=False)


def test_a_file_without_a_split_says_what_is_wrong(tmp_path: Path) -> None:
    data = affect_data("mosi", frames=3)
    del data["valid"]
    told = inspect(tmp_path, data)
    assert told.looks_like[0] == "mosi"
    assert "lacks the split valid" in told.problem


def test_data_of_ones_own(tmp_path: Path) -> None:
    data = {"image": np.ones((6, 3)), "sound": np.zeros((6, 2, 2)), "labels": np.array(["a", "b"] * 3)}
    told = inspect(tmp_path, data)
    assert (told.looks_like, told.problem, told.plan) == (["custom"], None, {})
    assert told.labels == {"": {"counts": {"a": 3, "b": 3}, "shape": [6]}}
    assert "a: 3, b: 3" in printed(show_inspection, told)
    assert "expected two or more" in inspect(tmp_path, {"image": np.ones((6, 3))}).problem


def test_frames_that_do_not_count_are_no_problem(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    data = {"image": draw.normal(size=(12, 3)), "sound": draw.normal(size=(12, 4, 2)), "labels": np.arange(12) % 2}
    data["sound_lengths"] = np.array([2, 4] * 6)
    data["sound"][0, 2:] = np.nan
    assert inspect(tmp_path, data).problem is None
    prepared = prepare_custom(tmp_path / "data.pkl", tmp_path / "out", valid=0.3, test=0.3)
    assert sum(len(part.ids) for part in prepared.splits.values()) == 12
    data["sound"][0, 1] = np.nan
    assert "sound has values that are not finite (2)" in inspect(tmp_path, data).problem


def test_a_refused_pickle_says_what_was_refused(tmp_path: Path) -> None:
    class Call:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'marker'}",)

    with pytest.raises(VlalignError, match=r"is refused: it asks for \w+\.system"):
        inspect(tmp_path, {"train": Call()})
    assert not (tmp_path / "marker").exists()


def test_a_prepared_folder(tmp_path: Path) -> None:
    told = inspect_prepared(made_up(tmp_path))
    json.dumps(told, allow_nan=False)
    assert told["splits"]["valid"]["samples"] == 5
    text = printed(show_prepared, told, verified=True)
    assert "made-up: classification, 3 classes, encoders pool by mean" in text
    assert "all files match their checksums" in text


def test_labels_in_words() -> None:
    assert labels_text({}) == "none"
    assert labels_text({"values": 30}) == "30 different texts"
    wide = {"min": -3.0, "max": 3.0, "mean": 0.25, "positive": 9, "zero": 1, "not_finite": 2}
    assert labels_text(wide) == "-3 to 3, mean 0.250, 9 above 0, 2 not finite"
