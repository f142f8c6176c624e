from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.multibench import write_pickle

from vlalign.errors import VlalignError
from vlalign.multibench.data.arrays import count_values
from vlalign.multibench.data.custom import prepare_custom, source_of_arrays, split_ids


def flat(count: int = 40, **more: Any) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    return {
        "image": draw.normal(size=(count, 6)) * 4 + 2, "audio": draw.normal(size=(count, 5, 3)).astype(np.float32),
        "labels": np.arange(count) % 4, **more,
    }  # fmt: skip


def split_data() -> dict[str, Any]:
    return {split: flat(count) for split, count in (("train", 12), ("dev", 8), ("test", 8))}


def prepare(folder: Path, data: Any, **values: Any) -> Any:
    return prepare_custom(write_pickle(folder / "data.pkl", data), folder / "out", **values)


def test_a_file_without_splits(tmp_path: Path) -> None:
    data = flat(ids=np.array([f"s{i}" for i in range(40)]))
    prepared = prepare(tmp_path, data)
    assert (prepared.name, prepared.task, prepared.classes, prepared.pool) == ("custom", "classification", 4, "cls")
    assert prepared.modalities == ("image", "audio")
    assert sorted(one for part in prepared.splits.values() for one in part.ids) == sorted(data["ids"])
    assert {split: len(part.ids) for split, part in prepared.splits.items()} == {"train": 28, "valid": 8, "test": 4}
    for part in prepared.splits.values():
        assert len(set(part.labels.bincount(minlength=4).tolist())) == 1  # stratified
        assert part.inputs["image"].shape[1:] == (1, 6)
        assert not part.lengths
        rows = [int(one[1:]) for one in part.ids]
        assert part.labels.tolist() == [row % 4 for row in rows]
        train = [int(one[1:]) for one in prepared.splits["train"].ids]
        wanted = (data["image"][rows] - data["image"][train].mean(0)) / data["image"][train].std(0)
        assert np.allclose(part.inputs["image"][:, 0], wanted, atol=1e-5)


def test_a_file_with_splits_and_lengths(tmp_path: Path) -> None:
    data = split_data()
    for part in data.values():
        part["audio_lengths"] = np.arange(len(part["labels"])) % 5 + 1
        part["labels"] = np.array([b"cat", b"dog", b"ant", b"dog"])[part["labels"]]
    prepared = prepare(tmp_path, data, name="pets", pool="mean", standardise=["audio"])
    assert (prepared.name, prepared.classes, prepared.pool) == ("pets", 3, "mean")
    assert prepared.about["statistics"]["classes"] == ["ant", "cat", "dog"]
    assert prepared.splits["valid"].labels[:4].tolist() == [1, 2, 0, 2]
    assert prepared.splits["valid"].ids[0] == "valid-00000"
    train, lengths = data["train"]["audio"], data["train"]["audio_lengths"]
    real = np.concatenate([values[:n] for values, n in zip(train, lengths, strict=True)]).astype(np.float64)
    found = prepared.splits["train"]
    assert torch.equal(found.lengths["audio"], torch.from_numpy(lengths))
    for row, n in enumerate(lengths):
        assert np.allclose(found.inputs["audio"][row, :n], (train[row, :n] - real.mean(0)) / real.std(0), atol=1e-4)
        assert not found.inputs["audio"][row, n:].any()
    assert np.allclose(found.inputs["image"][:, 0], data["train"]["image"], atol=1e-5)  # as it is


def test_separate_arrays(tmp_path: Path) -> None:
    data = flat()
    for key, values in (data | {"split": np.array((["train"] * 3 + ["val", "test"]) * 8)}).items():
        np.save(tmp_path / f"{key}.npy", values)
    files = {key: tmp_path / f"{key}.npy" for key in ("image", "audio")}
    source = source_of_arrays(files, tmp_path / "labels.npy", tmp_path / "split.npy", None)
    prepared = prepare_custom(source, tmp_path / "out")
    assert prepared.splits["valid"].ids == [f"sample-{row:05d}" for row in range(3, 40, 5)]
    assert [one["file"] for one in prepared.about["source"]] == ["image.npy", "audio.npy", "labels.npy", "split.npy"]
    np.save(tmp_path / "image.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(VlalignError, match=r"image.npy is not an array of numbers in .npy"):
        source_of_arrays(files, tmp_path / "labels.npy", None, None)


@pytest.mark.parametrize(
    ("labels", "task", "found", "dtype"),
    [
        (np.linspace(-1, 1, 40), None, "regression", torch.float32),
        (np.linspace(-1, 1, 40), "sentiment", "sentiment", torch.float32),
        (np.arange(40) % 4, "regression", "regression", torch.float32),
        (np.arange(40) % 4 * 1.0, "classification", "classification", torch.int64),
        (np.arange(40) % 2 == 0, None, "classification", torch.int64),
        (np.arange(40)[:, None] % 4 - 7, None, "classification", torch.int64),
    ],
)
def test_tasks(tmp_path: Path, labels: Any, task: str | None, found: str, dtype: torch.dtype) -> None:
    prepared = prepare(tmp_path, flat(labels=labels), task=task)
    assert prepared.task == found
    assert prepared.splits["train"].labels.dtype == dtype
    assert prepared.pool == ("cls" if found == "classification" else "mean")


def test_large_codes_of_classes_have_names_apart(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, flat(labels=np.arange(40) % 4 + 1000001.0), task="classification")
    assert prepared.about["statistics"]["classes"] == ["1000001", "1000002", "1000003", "1000004"]
    for dtype in (np.float32, np.float64, np.int64):
        counts = count_values(np.array([1000001, 1000002, 2000001] * 2, dtype=dtype))
        assert counts == {"1000001": 2, "1000002": 2, "2000001": 2}


@given(st.integers(0, 99), st.permutations(range(60)))
def test_splits_depend_on_seed_and_ids_alone(seed: int, order: list[int]) -> None:
    ids = [f"id{i}" for i in range(60)]
    first = split_ids(ids, [i % 3 for i in range(60)], 0.2, 0.1, seed)
    again = split_ids([ids[i] for i in order], [i % 3 for i in order], 0.2, 0.1, seed)
    for split, rows in first.items():
        assert {ids[row] for row in rows} == {ids[order[row]] for row in again[split]}
        assert [sum(row % 3 == c for row in rows) for c in range(3)] == [len(rows) // 3] * 3
    assert sorted(np.concatenate(list(first.values())).tolist()) == list(range(60))


def test_another_seed_splits_otherwise() -> None:
    ids = [f"id{i}" for i in range(60)]
    found = {tuple(split_ids(ids, [0] * 60, 0.2, 0.2, seed)["test"].tolist()) for seed in range(5)}
    assert len(found) == 5


def nan(data: dict[str, Any]) -> None:
    data["audio"][7, 2, 1] = np.nan
    data["audio"][9] = np.inf


BAD: dict[str, tuple[Callable[[dict[str, Any]], Any], dict[str, Any], str]] = {
    "not finite": (
        nan, {},
        r"audio has values that are not finite \(16\), the first is nan at sample 7, frame 2, feature 1",
    ),
    "one modality": (
        lambda d: d.pop("audio"), {},
        r"has the modalities image \(keys image, labels\): expected two",
    ),
    "labels": (lambda d: d.pop("labels"), {}, "labels is missing: the keys are image, audio"),
    "rows": (lambda d: d.update(audio=d["audio"][:-1]), {}, "audio has 39 samples, expected 40 as image has"),
    "rank": (
        lambda d: d.update(audio=d["audio"][:, None]), {},
        r"audio has the shape \[40, 1, 5, 3\]: expected \[N, T",
    ),
    "lengths": (lambda d: d.update(audio_lengths=np.full(40, 6)), {}, "audio_lengths has 6 to 6: expected 1 to 5"),
    "lengths of": (lambda d: d.update(video_lengths=np.full(40, 6)), {}, "video_lengths is of no modality"),
    "length kind": (lambda d: d.update(audio_lengths=np.full(40, 2.5)), {}, "audio_lengths is float64"),
    "ids": (lambda d: d.update(ids=np.array(["a", "b"] * 20)), {}, "ids has 'a' twice"),
    "split": (lambda d: d.update(split=np.array(["train", "text"] * 20)), {}, "split has 'text' at sample 1"),
    "no valid": (lambda d: d.update(split=np.array(["train", "test"] * 20)), {}, "split has no valid"),
    "class": (
        lambda d: d.update(labels=np.arange(40) // 8 + 3, split=np.array(["train"] * 24 + ["test", "valid"] * 8)),
        {}, "train has no sample with the label 6, 7",
    ),
    "label nan": (lambda d: d.update(labels=np.full(40, np.nan)), {}, r"labels has values that are not finite \(40\)"),
    "label shape": (
        lambda d: d.update(labels=np.ones((40, 2))), {},
        r"labels has the shape \[40, 2\]: expected \[N\]",
    ),
    "label kind": (lambda d: d.update(labels=np.array([1, "a"] * 20, dtype=object)), {}, "neither numbers nor texts"),
    "one class": (lambda d: d.update(labels=np.ones(40, int)), {}, "labels have 1 values: a classification needs 2"),
    "fractions": (
        lambda d: d.update(labels=np.arange(40) / 3), {"task": "classification"},
        "labels are not integers",
    ),
    "texts": (
        lambda d: d.update(labels=np.array(["a", "b"] * 20)), {"task": "regression"},
        "a regression needs numbers",
    ),
    "task": (lambda d: None, {"task": "ranking"}, "task is 'ranking'"),
    "standardise": (
        lambda d: None, {"standardise": ["text"]},
        "cannot standardise text: the modalities are image, audio",
    ),
    "shares": (lambda d: None, {"valid": 0.6, "test": 0.5}, "valid is 0.6: give shares"),
    "few": (lambda d: d.update({k: v[:4] for k, v in d.items()}), {}, "4 samples are too few for valid, test"),
    "name of a modality": (lambda d: d.update({"a b": d["audio"]}), {}, "'a b' cannot be the name of a modality"),
    "objects": (
        lambda d: d.update(audio=np.array(["a"] * 40, dtype=object)), {},
        "audio is an array of Python objects",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_data_name_the_key_and_what_was_expected(tmp_path: Path, case: str) -> None:
    edit, values, message = BAD[case]
    data = flat()
    edit(data)
    with pytest.raises(VlalignError, match=message) as caught:
        prepare(tmp_path, data, **values)
    assert "\n" not in str(caught.value)


def test_splits_that_do_not_fit(tmp_path: Path) -> None:
    data = split_data()
    with pytest.raises(VlalignError, match="assigns its samples to splits: leave --valid and --test out"):
        prepare(tmp_path, data, valid=0.2)
    data["test"]["audio"] = data["test"]["audio"][:, :4]
    with pytest.raises(VlalignError, match=r"test.audio is \[N, 4, 3\]: expected \[N, 5, 3\], as in train"):
        prepare(tmp_path, data)
    del data["test"]
    with pytest.raises(VlalignError, match="lacks the split test"):
        prepare(tmp_path, data)


def test_nothing_is_run(tmp_path: Path) -> None:
    class Call:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'marker'}",)

    with pytest.raises(VlalignError, match="is refused"):
        prepare(tmp_path, flat(extra=Call()))
    assert not (tmp_path / "marker").exists()


def test_frames_that_count_in_no_sample_are_cut(tmp_path: Path) -> None:
    data = split_data()
    for part in data.values():
        part["audio_lengths"] = np.arange(len(part["labels"])) % 3 + 1
    prepared = prepare(tmp_path, data)
    assert {part.inputs["audio"].shape[1] for part in prepared.splits.values()} == {3}
    assert "notes" not in prepared.about


def test_padding_without_lengths_is_told(tmp_path: Path) -> None:
    data = flat()
    data["audio"][3:10, 4:] = 0
    prepared = prepare(tmp_path, data)
    assert prepared.about["notes"] == [
        "audio ends in frames of zeros in 7 samples: if they are padding, give audio_lengths"
    ]
    assert prepared.splits["train"].inputs["audio"].shape[1] == 5


def test_means_and_deviations_are_kept(tmp_path: Path) -> None:
    data = split_data()
    told = prepare(tmp_path, data).about["processing"]["standardised"]
    flattened = data["train"]["audio"].reshape(-1, 3).astype(np.float64)
    assert np.allclose(told["audio"]["mean"], flattened.mean(0))
    assert np.allclose(told["audio"]["std"], flattened.std(0))
    assert len(told["image"]["mean"]) == 6


def test_a_text_file_is_no_array_and_nobody_is_told_to_load_it_unsafely(tmp_path: Path) -> None:
    (tmp_path / "labels.npy").write_text("hello")
    with pytest.raises(VlalignError, match=r"labels\.npy is not a \.npy file: it is text") as error:
        source_of_arrays({"a": str(tmp_path / "labels.npy")}, str(tmp_path / "labels.npy"), None, None)
    assert "allow_pickle" not in str(error.value)
