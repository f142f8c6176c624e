from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.multibench import SIZES, made_up, made_up_split

from vlalign.errors import VlalignError
from vlalign.multibench import PreparedSplit, open_prepared
from vlalign.multibench.data.prepared import is_prepared

Edit = Callable[[PreparedSplit], PreparedSplit]


@pytest.mark.parametrize("classes", [3, None])
def test_what_is_written_comes_back(tmp_path: Path, classes: int | None) -> None:
    made_up(tmp_path, classes)
    found = open_prepared(tmp_path, verify=True)
    assert (found.name, found.classes, found.pool, found.modalities) == (
        "made-up",
        classes,
        "mean",
        ("vision", "audio"),
    )
    assert found.about == {"seed": 0}
    assert list(found.splits) == ["train", "valid", "test"]
    for title, split in found.splits.items():
        wanted = made_up_split(title, SIZES[title], classes)
        assert split.ids == wanted.ids
        assert torch.equal(split.labels, wanted.labels)
        assert list(split.inputs) == ["vision", "audio"]
        assert all(torch.equal(split.inputs[name], wanted.inputs[name]) for name in split.inputs)
        assert torch.equal(split.lengths["audio"], wanted.lengths["audio"])
        assert "vision" not in split.lengths
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "data.json", "test.safetensors", "train.safetensors", "valid.safetensors",
    ]  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_features_are_mapped_not_read(tmp_path: Path) -> None:
    values = made_up(tmp_path).splits["train"].inputs["vision"]
    start = values.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        low, _, high = line.split()[0].partition("-")
        if int(low, 16) <= start < int(high, 16):
            assert line.endswith(str(tmp_path / "train.safetensors"))
            return
    pytest.fail("no such address")


def test_the_fingerprint_is_of_everything(tmp_path: Path) -> None:
    first = made_up(tmp_path / "a").fingerprint
    assert made_up(tmp_path / "b").fingerprint == first
    others = [{"about": {"seed": 1}}, {"pool": "cls"}, {"name": "other"}]
    found = {made_up(tmp_path / str(i), **values).fingerprint for i, values in enumerate(others)}
    splits = {title: made_up_split(title, count, seed=1) for title, count in SIZES.items()}
    found.add(made_up(tmp_path / "c", splits=splits).fingerprint)
    assert len(found | {first}) == 5


def test_another_data_set_is_not_replaced_without_force(tmp_path: Path) -> None:
    made_up(tmp_path)
    made_up(tmp_path)  # the same again
    with pytest.raises(VlalignError, match=r"holds another prepared data set .* --out, or replace it with --force"):
        made_up(tmp_path, pool="cls")
    assert open_prepared(tmp_path, verify=True).pool == "mean"
    assert made_up(tmp_path, pool="cls", force=True).pool == "cls"
    assert len(list(tmp_path.iterdir())) == 4


def test_files_of_something_else_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    save_file({"weights": torch.ones(2)}, tmp_path / "a" / "train.safetensors")
    with pytest.raises(VlalignError, match=r"train.safetensors is no part of a prepared data set"):
        made_up(tmp_path / "a")
    assert not is_prepared(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "data.json").write_text('{"precious": 1}')
    with pytest.raises(VlalignError, match=r"not of a prepared data set.*--force"):
        made_up(tmp_path / "b")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["data.json"]


def test_an_interrupted_run_is_incomplete_and_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(tmp_path)
    put, done = os.replace, []

    def killed(source: Any, target: Any) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(target)
        put(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        made_up(tmp_path, pool="cls", force=True)
    monkeypatch.undo()
    assert not is_prepared(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]
    with pytest.raises(VlalignError, match="holds no prepared data set"):
        open_prepared(tmp_path)
    assert made_up(tmp_path, pool="cls").pool == "cls"


def change(split: PreparedSplit, name: str, at: tuple[int, ...], value: float) -> PreparedSplit:
    values = split.inputs[name].clone()
    values[at] = value
    return replace(split, inputs=split.inputs | {name: values})


BAD: dict[str, tuple[Edit, str]] = {
    "not finite": (lambda s: change(s, "vision", (1, 2, 0), float("nan")), "vision of sample valid-1 has values that"),
    "padding": (
        lambda s: change(replace(s, lengths={"audio": torch.full((5,), 3)}), "audio", (2, 5, 1), 1.0),
        "audio of sample valid-. is not zero in its padding",
    ),
    "frames": (
        lambda s: replace(s, inputs=s.inputs | {"vision": torch.zeros(5, 3, 3)}),
        r"vision is \[N, 3, 3\] in valid, \[N, 4, 3\] in train",
    ),
    "rows": (
        lambda s: replace(s, inputs=s.inputs | {"vision": torch.zeros(4, 4, 3)}),
        r"float32 \[4, 4, 3\]: expected",
    ),
    "dtype": (lambda s: replace(s, inputs=s.inputs | {"vision": torch.zeros(5, 4, 3).double()}), "vision is float64"),
    "length 0": (lambda s: replace(s, lengths={"audio": torch.zeros(5).long()}), "lengths of audio are 0 to 0"),
    "lengths": (lambda s: replace(s, lengths={"audio": torch.full((5,), 7)}), "expected 1 to 6"),
    "labels": (lambda s: replace(s, labels=torch.full((5,), 3)), "labels are 3 to 3: expected 0 to 2"),
    "label dtype": (lambda s: replace(s, labels=torch.zeros(5)), r"labels are float32 \[5\]: expected int64 \[5\]"),
    "ids": (lambda s: replace(s, ids=[*s.ids[:4], "train-3"]), "the id 'train-3' is in train and again in valid"),
    "modality": (lambda s: replace(s, inputs=dict(list(s.inputs.items())[:1])), "valid has vision, not vision, audio"),
    "empty": (lambda s: PreparedSplit({k: v[:0] for k, v in s.inputs.items()}, {}, s.labels[:0], []), "no samples"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_splits_are_refused(tmp_path: Path, name: str) -> None:
    edit, message = BAD[name]
    splits = {title: made_up_split(title, count) for title, count in SIZES.items()}
    splits["valid"] = edit(splits["valid"])
    with pytest.raises(VlalignError, match=message) as caught:
        made_up(tmp_path / "out", splits=splits)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"task": "ranking"}, "task is 'ranking': choose classification, sentiment, regression"),
        ({"pool": "max"}, "pool is 'max': choose cls, mean"),
        ({"classes": None, "task": "classification"}, "classes is None"),
        ({"task": "regression"}, "classes is 3: a regression task has none"),
        ({"name": "../x"}, "give a plain word"),
        ({"splits": {}}, "has the splits none"),
    ],
)
def test_bad_settings_are_refused(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        made_up(tmp_path, **values)


def truncate(folder: Path) -> None:
    path = folder / "test.safetensors"
    path.write_bytes(path.read_bytes()[:-3])


def flip(folder: Path) -> None:
    path = folder / "valid.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def other_file(folder: Path) -> None:
    path = folder / "train.safetensors"
    size = path.stat().st_size
    path.write_bytes(b"x" * size)


def other_dtype(folder: Path) -> None:
    made_up(folder / "other", classes=None)
    told = json.loads((folder / "data.json").read_text())
    path = folder / "other" / "train.safetensors"
    assert load_file(path)["labels"].dtype == torch.float32
    told["splits"]["train"]["bytes"] = path.stat().st_size
    from vlalign.multibench.data.prepared import _fingerprint

    told["fingerprint"] = _fingerprint(told)
    (folder / "data.json").write_text(json.dumps(told))
    os.replace(path, folder / "train.safetensors")


def edit_manifest(folder: Path) -> None:
    path = folder / "data.json"
    path.write_text(path.read_text().replace('"mean"', '"cls"'))


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (truncate, "test.safetensors is damaged: .* bytes, not"),
    "missing": (lambda folder: (folder / "test.safetensors").unlink(), "cannot read .*test.safetensors"),
    "other file": (other_file, "train.safetensors is damaged"),
    "other dtype": (other_dtype, "train.safetensors is damaged: labels is not that of data.json"),
    "edited": (edit_manifest, "its fingerprint does not match its content"),
    "no json": (lambda folder: (folder / "data.json").write_text("{"), "data.json is damaged"),
    "other json": (lambda folder: (folder / "data.json").write_text("[]"), "not of a prepared data set"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(tmp_path: Path, name: str) -> None:
    made_up(tmp_path)
    damage, message = DAMAGE[name]
    damage(tmp_path)
    with pytest.raises(VlalignError, match=message) as caught:
        open_prepared(tmp_path)
    assert "\n" not in str(caught.value)


def test_verify_finds_a_flipped_bit(tmp_path: Path) -> None:
    made_up(tmp_path)
    flip(tmp_path)
    open_prepared(tmp_path)
    with pytest.raises(VlalignError, match="its sha256 is not that of"):
        open_prepared(tmp_path, verify=True)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(VlalignError, match=r"holds other files \(thesis\.txt\): choose another folder"):
        made_up(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.txt"]
    assert made_up(tmp_path, force=True).name == "made-up"
