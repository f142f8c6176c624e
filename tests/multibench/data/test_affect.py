from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.multibench import affect_data, numpy_1, python_2, write_pickle

from vlalign.errors import VlalignError
from vlalign.multibench import open_prepared
from vlalign.multibench.data.affect import CONVENTIONS, prepare_affect


def prepare(folder: Path, name: str, data: Any, **values: Any) -> Any:
    return prepare_affect(name, write_pickle(folder / "data.pkl", data), folder / "out", **values)


def by_hand(data: dict[str, Any], split: str) -> dict[str, list[np.ndarray]]:
    """The samples of a split as the released loader gives them, one after the other."""

    def dropped(part: dict[str, Any]) -> dict[str, Any]:
        drop = [i for i, text in enumerate(part["text"]) if not text.any()]
        return {
            key: np.delete(values, drop, 0)[:, :50]
            for key, values in part.items()
            if key in ("vision", "audio", "text")
        }

    train, part = dropped(data["train"]), dropped(data[split])
    found: dict[str, list[np.ndarray]] = {"vision": [], "audio": [], "text": []}
    for one in (train, part):
        one["audio"] = np.where(one["audio"] == -np.inf, 0, one["audio"])
    for key, samples in found.items():
        for values, text in zip(part[key], part["text"], strict=True):
            start = np.nonzero(text)[0][0]
            if key != "text":
                every = train[key].reshape(-1, train[key].shape[-1])
                std = every.std(0)
                values = (values - every.mean(0)) / np.where(std == 0, 1, std)
            samples.append(values[start:])
    return found


@pytest.mark.parametrize("frames", [50, 57, 20])
@pytest.mark.parametrize("name", CONVENTIONS)
def test_it_does_what_the_released_loader_does(tmp_path: Path, name: str, frames: int) -> None:
    data = affect_data(name, frames=frames)
    if frames > 50:
        for part in data.values():
            part["text"][:, 0] = 1  # so that no text is beyond the cut
            part["text"][1] = 0
    data["train"]["vision"][..., 4] = 7  # a constant feature
    prepared = prepare(tmp_path, name, data)
    assert prepared.modalities == ("vision", "audio", "text")
    for split, part in prepared.splits.items():
        wanted = by_hand(data, split)
        assert len(part.ids) == len(data[split]["text"]) - 1
        for key, samples in wanted.items():
            values, lengths = part.inputs[key], part.lengths.get(key)
            assert values.shape[1] == min(frames, 50)
            for row, sample in enumerate(samples):
                length = values.shape[1] if lengths is None else int(lengths[row])
                assert length == len(sample)
                assert np.allclose(values[row, :length].numpy(), sample, atol=1e-5)
                assert not values[row, length:].any()
    assert prepared.about["processing"]["standardised"]["vision"]["constant_features"] == 1
    assert not prepared.splits["train"].inputs["vision"][..., 4].any()
    counts = prepared.about["processing"]["splits"]["train"]
    assert counts["dropped_without_text"] == 1
    assert counts["minus_infinity_replaced"] == int(np.isinf(data["train"]["audio"]).sum()) == 3
    assert counts["frames_cut_of_each"] == max(0, frames - 50)
    open_prepared(tmp_path / "out", verify=True)


@pytest.mark.parametrize(("name", "kind", "task", "pool"), [
    ("mosi", torch.float32, "sentiment", "mean"), ("mosei", torch.float32, "sentiment", "mean"),
    ("urfunny", torch.int64, "classification", "cls"), ("mustard", torch.int64, "classification", "cls"),
])  # fmt: skip
@pytest.mark.parametrize("shape", [(-1, 1, 1), (-1, 1), (-1,)])
def test_labels_of_each_data_set(
    tmp_path: Path, name: str, kind: torch.dtype, task: str, pool: str, shape: tuple[int, ...]
) -> None:
    data = affect_data(name, frames=6)
    for part in data.values():
        part["labels"] = part["labels"].reshape(shape)
    prepared = prepare(tmp_path, name, data)
    assert (prepared.task, prepared.pool, prepared.classes) == (task, pool, None if task == "sentiment" else 2)
    for split, part in prepared.splits.items():
        labels = np.delete(data[split]["labels"].reshape(-1), 1)
        assert part.labels.dtype == kind
        assert part.labels.tolist() == pytest.approx(labels if task == "sentiment" else (labels > 0).astype(int))
    assert prepare(tmp_path, name, data, pool="cls", force=True).pool == "cls"


def test_mustard_of_zeros_and_ones_is_the_same(tmp_path: Path) -> None:
    data = affect_data("mustard", frames=4)
    wanted = prepare(tmp_path, "mustard", data).splits["train"].labels
    for part in data.values():
        part["labels"] = (part["labels"] > 0).astype(np.int64)
    assert torch.equal(prepare(tmp_path, "mustard", data, force=True).splits["train"].labels, wanted)


def test_standardising_looks_at_train_only(tmp_path: Path) -> None:
    data = affect_data("mosi", frames=5)
    first = prepare(tmp_path, "mosi", data)
    train, valid = (first.splits[split].inputs["vision"].clone() for split in ("train", "valid"))
    data["test"]["vision"] *= 100
    again = prepare(tmp_path, "mosi", data, force=True)
    assert torch.equal(again.splits["train"].inputs["vision"], train)
    assert torch.equal(again.splits["valid"].inputs["vision"], valid)


def test_ids_are_those_of_the_file_and_of_the_row(tmp_path: Path) -> None:
    data = affect_data("mosi", frames=4)
    data["valid"]["id"] = np.array([f"v{i}" for i in range(6)])
    data["test"]["id"] = np.array([["v", 1, 2.5]] * 8, dtype=object)
    prepared = prepare(tmp_path, "mosi", data)
    assert prepared.splits["train"].ids[:2] == ["train-00000+video0_1.5_2.5", "train-00002+video2_1.5_2.5"]
    assert prepared.splits["valid"].ids[1] == "valid-00002+v2"
    assert prepared.splits["test"].ids[1] == "test-00002+v_1_2.5"
    for part in data.values():
        del part["id"]
    assert prepare(tmp_path, "mosi", data, force=True).splits["train"].ids[1] == "train-00002"


def test_old_pickles_give_the_same(tmp_path: Path) -> None:
    import pickle

    data = affect_data("mosi", frames=4)
    first = prepare(tmp_path, "mosi", data)
    for at, raw in enumerate((python_2(data, 2), python_2(data, 0), numpy_1(pickle.dumps(data, 4)))):
        path = tmp_path / f"old{at}.pkl"
        path.write_bytes(raw)
        again = prepare_affect("mosi", path, tmp_path / str(at))
        for split, part in first.splits.items():
            assert again.splits[split].ids == part.ids
            assert all(torch.equal(again.splits[split].inputs[key], part.inputs[key]) for key in part.inputs)


def test_other_forms_of_files_give_the_same(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    data = affect_data("mosi", frames=4)
    for part in data.values():
        del part["id"]
    wanted = prepare(tmp_path, "mosi", data)
    flat = {(split, key): values for split, part in data.items() for key, values in part.items()}
    np.savez(tmp_path / "a.npz", **{f"{split}/{key}": values for (split, key), values in flat.items()})
    np.savez(tmp_path / "b.npz", **{f"{split.replace('valid', 'val')}_{key}": v for (split, key), v in flat.items()})
    save_file({f"{split}.{key}": values for (split, key), values in flat.items()}, tmp_path / "c.safetensors")
    for (split, key), values in flat.items():
        (tmp_path / "d" / split).mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "d" / split / f"{key}.npy", values)
    for name in ("a.npz", "b.npz", "c.safetensors", "d"):
        found = prepare_affect("mosi", tmp_path / name, tmp_path / f"out-{name}")
        for split, part in wanted.splits.items():
            assert torch.equal(found.splits[split].inputs["audio"], part.inputs["audio"])
            assert torch.equal(found.splits[split].labels, part.labels)


def put(split: str, key: str, value: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    def edit(data: dict[str, Any]) -> None:
        data[split][key] = value(data[split].get(key))

    return edit


def at(index: tuple[int, ...], value: float) -> Callable[[Any], Any]:
    def edit(values: Any) -> Any:
        values = values.copy()
        values[index] = value
        return values

    return edit


def text_everywhere(data: dict[str, Any]) -> None:
    data["valid"]["text"][:] = 0


BAD: dict[str, tuple[str, Callable[[dict[str, Any]], Any], str]] = {
    "split": ("mosi", lambda d: d.pop("valid"), "lacks the split valid: it has train, test"),
    "key": ("mosi", lambda d: d["test"].pop("audio"), "test lacks audio: it has vision, text, labels, id; expected"),
    "labels": ("mosi", lambda d: d["test"].pop("labels"), "test lacks labels"),
    "audio rows": ("mosi", put("valid", "audio", lambda v: v[:-1]), "valid.audio has 5 samples, vision has 6"),
    "label rows": ("mosi", put("valid", "labels", lambda v: v[:-1]), "valid.labels has 5 samples, vision has 6"),
    "id rows": ("mosi", put("valid", "id", lambda v: v[:-1]), "valid.id has 5 samples, vision has 6"),
    "rank": ("mosi", put("train", "text", lambda v: v[:, 0]), r"train.text has the shape \[14, 300\]: expected"),
    "frames": ("mosi", put("train", "text", lambda v: v[:, :3]), "train.text has 3 frames, vision has 4"),
    "features": ("mosi", put("test", "audio", lambda v: v[..., :3]), "audio has 3 features, expected 5 as in train"),
    "objects": (
        "mosi", put("train", "vision", lambda v: np.array([1, None] * 7, dtype=object)),
        r"train.vision is an array of Python objects \[14\]: expected numbers",
    ),
    "ragged": (
        "mosi", put("train", "vision", lambda v: np.array([v[0], v[1, :2], *[None] * 12], dtype=object)),
        "train.vision is an array of Python objects",
    ),
    "lists": ("mosi", put("train", "vision", lambda v: v.tolist()), "train.vision is a list, not an array"),
    "texts": ("mosi", put("train", "vision", lambda v: v.astype("S8")), r"train.vision is an array of dtype \|S8"),
    "nan": (
        "mosi", put("valid", "vision", at((3, 2, 7), np.nan)),
        r"valid.vision has values that are not finite \(1\), the first is nan at sample 3, frame 2, feature 7",
    ),
    "inf": ("mosi", put("train", "audio", at((5, 1, 2), np.inf)), "train.audio has values .* inf at sample 5"),
    "-inf of vision": ("mosi", put("train", "vision", at((5, 1, 2), -np.inf)), "the first is -inf at sample 5"),
    "large": ("mosi", put("train", "text", at((0, 3, 2), 1e300)), "text has numbers that are too large for float32"),
    "very large": ("mosi", put("train", "vision", at((0, 3, 2), 1e300)), "train.vision has numbers that are too large"),
    "label nan": ("mosi", put("test", "labels", at((3, 0, 0), np.nan)), "test.labels: 1 values that are not finite"),
    "label range": ("mosi", put("test", "labels", at((3, 0, 0), 3.5)), "labels have .* to 3.5: MOSI has many numbers"),
    "label kind": ("mosei", put("test", "labels", lambda v: v.astype(str)), "test.labels has dtype <U"),
    "label shape": ("mosi", put("test", "labels", lambda v: v[:, :, [0, 0]]), r"has the shape \[8, 1, 2\]"),
    "classes": ("mosi", lambda d: [p.update(labels=(p["labels"] > 0) * 1) for p in d.values()], "fit `urfunny` or"),
    "urfunny range": ("urfunny", put("test", "labels", at((3, 0, 0), 2)), "the values 0, 1, 2: UR-FUNNY has"),
    "urfunny signs": ("urfunny", lambda d: [p.update(labels=p["labels"] * 2 - 1) for p in d.values()], "fit .*must"),
    "mustard range": ("mustard", put("test", "labels", at((3, 0, 0), 0)), "the values -1, 0, 1: MUStARD has"),
    "no text": ("mosi", text_everywhere, "valid.text is all zero in every sample"),
    "not a dict": ("mosi", put("train", "vision", lambda v: {"a": v}), "train.vision is a dict: expected an array"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_files_name_the_key_and_what_was_expected(tmp_path: Path, case: str) -> None:
    name, edit, message = BAD[case]
    data = copy.deepcopy(affect_data(name, frames=4))
    edit(data)
    with pytest.raises(VlalignError, match=message) as caught:
        prepare(tmp_path, name, data)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_what_is_dropped_may_be_broken(tmp_path: Path) -> None:
    data = affect_data("mosi", frames=53)
    data["train"]["vision"][1] = np.nan  # without text
    data["train"]["vision"][3, 51] = np.nan  # cut
    data["train"]["text"][3, 0] = 1
    assert "train-00003+video3_1.5_2.5" in prepare(tmp_path, "mosi", data).splits["train"].ids


def test_text_only_beyond_the_cut_is_dropped_and_counted(tmp_path: Path) -> None:
    data = affect_data("mosi", frames=55)
    data["train"]["text"][3, :50] = 0
    data["train"]["text"][3, 52] = 1
    for row in (0, *range(4, 14)):
        data["train"]["text"][row, 0] = 1
    data["train"]["text"][2, 0] = 1
    counts = prepare(tmp_path, "mosi", data).about["processing"]["splits"]["train"]
    assert (counts["dropped_without_text"], counts["dropped_without_text_in_first_frames"]) == (1, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [([1, 2], "holds a list: expected a dict"), (np.ones(3), "holds an array"), ({}, "holds a dict"),
     ({"train": 3}, "train is not a dict of arrays"), ({"a": 1}, "holds no arrays"),
     ({"val": {"a": np.ones(2)}, "dev": {"a": np.ones(2)}}, "the split valid twice")],
)  # fmt: skip
def test_other_contents_are_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        prepare(tmp_path, "mosi", content)


def test_a_constant_feature_becomes_zero_whatever_its_mean_is_rounded_to(tmp_path: Path) -> None:
    data = affect_data("mosi", frames=6)
    for part in data.values():
        part["vision"][..., 2] = 0.1
    prepared = prepare(tmp_path, "mosi", data)
    assert not any(part.inputs["vision"][..., 2].any() for part in prepared.splits.values())


def test_keys_that_cannot_be_printed_keep_errors_on_one_line(tmp_path: Path) -> None:
    data = affect_data("mosi", frames=3)
    data["train"] = {f"{key}\n\x1b[31m": values for key, values in data["train"].items()}
    with pytest.raises(VlalignError, match=r"train lacks vision, audio, text, labels: it has vision\?\?\[31m"):
        prepare(tmp_path, "mosi", data)
    np.savez(tmp_path / "a.npz", **{"train/a\nb": np.ones(3)})
    with pytest.raises(VlalignError, match="lacks the split valid, test") as caught:
        prepare_affect("mosi", tmp_path / "a.npz", tmp_path / "out")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "given", "note"),
    [
        ("mosei", "mosi", "vision, audio and text have 20/5/300 features, those of MOSEI mostly 35/74/300"),
        ("urfunny", "urfunny", "26 samples: UR-FUNNY has about 16514, MUStARD 690"),
        ("mustard", "mustard", None),
        ("mosi", "mosi", None),
    ],
)
def test_what_looks_like_another_data_set_is_told(tmp_path: Path, name: str, given: str, note: str | None) -> None:
    path = write_pickle(tmp_path / "file.pkl", affect_data(given))
    prepared = prepare_affect(name, path, tmp_path / "out")
    found = prepared.about.get("notes", [""])[0]
    count = sum(len(part["labels"]) for part in affect_data(given).values())
    assert found == ("" if note is None else note.replace("26", str(count)))
