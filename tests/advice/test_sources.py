"""Sources of the experiment: files, runs and prepared data sets are paired and labelled; the verb; refusals."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from support.advice import arrays
from support.commands import status_of
from support.multibench import made_up
from support.runs import FakeRun

from vlalign.advice.sources import read_source
from vlalign.errors import VlalignError

X1, X2, Y = (torch.from_numpy(value) for value in arrays(70))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in the current folder; those with ids are in opposite orders, and labels name 60 of 70 samples."""
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", image=X1, text=X2, labels=Y)
    np.savez("three.npz", image=X1, text=X2, sound=X1)
    np.save("image.npy", X1)
    np.save("text.npy", X2)
    np.save("labels.npy", Y)
    ids = [f"s{i}" for i in range(70)]
    pd.DataFrame({"id": ids, "v": list(X1.numpy())}).to_parquet("image.parquet")
    pd.DataFrame({"id": ids[::-1], "v": list(X2.numpy()[::-1])}).to_parquet("text.parquet")
    names = [f"class {value}" for value in Y[:60].tolist()]
    pd.DataFrame({"id": ids[:60][::-1], "label": names[::-1]}).to_csv("labels.csv", index=False)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "modalities"),
    [(["mine.npz"], ()), (["image.npy", "text.npy"], ()), (["three.npz"], ("image", "text"))],
)
def test_files_are_paired_by_row(folder: Path, words: list[str], modalities: tuple[str, ...]) -> None:
    data = read_source(words, "labels.npy", ["mine.npz"] if not modalities else (), modalities)
    assert data.names == ("image", "text")
    assert torch.equal(data.x[0], X1.float())
    assert torch.equal(data.x[1], X2.float())
    assert torch.equal(data.target, Y)
    assert len(data.extra[0]) == (0 if modalities else 70)


def test_ids_pair_rows_and_labels(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "vlalign"):
        data = read_source(["image.parquet", "text.parquet"], "labels.csv")
    assert "10 samples have no label in labels.csv" in caplog.text
    assert data.classes == ("class 0", "class 1")
    assert torch.equal(data.target, Y[:60])
    for side, view in enumerate((X1, X2)):
        assert torch.equal(data.x[side], view[:60].float())
        assert torch.equal(data.extra[side], view[60:].float())


def test_ids_of_their_own_pair_rows_and_labels(folder: Path) -> None:
    for name, order in (("x", range(70)), ("y", range(69, -1, -1))):
        (folder / f"{name}.txt").write_text("\n".join(f"s{i}" for i in order))
    np.save(folder / "a.npy", X1.numpy())
    np.save(folder / "b.npy", X2.flip(0).numpy())
    data = read_source(["a.npy", "b.npy"], "labels.csv", ids=["x.txt", "y.txt"])
    assert torch.equal(data.x[0], X1[:60].float())
    assert torch.equal(data.x[1], X2[:60].float())
    with pytest.raises(VlalignError, match="labels by id, but the features have no ids: give theirs with --ids"):
        read_source(["a.npy", "b.npy"], "labels.csv")
    with pytest.raises(VlalignError, match="one file for both sides or two"):
        read_source(["a.npy", "b.npy"], "labels.csv", ids=["x.txt"] * 3)
    (folder / "features").mkdir()
    with pytest.raises(VlalignError, match="--ids is for files of embeddings, not for features"):
        read_source(["features", "vit", "llama"], "labels.csv", ids=["x.txt"])


def test_runs_give_their_last_layers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"s{i}" for i in range(70)]
    runs = {
        "vit": FakeRun("vit", [X2.float(), X1.float()], ids),
        "llama": FakeRun("llama", [X2.flip(0).float()], ids[::-1]),
    }
    monkeypatch.setattr("vlalign.store.FeatureStore.find", lambda store, name: runs[name])
    (folder / "features").mkdir()
    data = read_source(["features", "vit", "llama"], "labels.csv")
    assert data.names == ("vit", "llama")
    assert torch.equal(data.x[0], X1[:60].float())
    assert torch.equal(data.x[1], X2[:60].float())


def test_prepared_data_keep_their_split(folder: Path) -> None:
    prepared = made_up(folder / "set")
    first, second = prepared.modalities[:2]
    data = read_source([str(prepared.folder)], modalities=(first, second))
    counts = [len(prepared.splits[name].ids) for name in ("train", "valid", "test")]
    assert np.bincount(data.split).tolist() == counts
    part = prepared.splits["train"]
    frames = part.inputs[second][0]
    if second in part.lengths:
        frames = frames[: int(part.lengths[second][0])]
    assert torch.allclose(data.x[1][0], frames.mean(0), atol=1e-5)


@pytest.mark.parametrize(("task", "classes"), [("regression", ()), ("classification", ("0", "1", "2", "3", "4"))])
def test_prepared_data_keep_their_task(folder: Path, task: str, classes: tuple[str, ...]) -> None:
    from vlalign.multibench.data.custom import prepare_custom
    from vlalign.multibench.data.source import Source

    ratings = np.arange(100) % 5 + 1
    labels = ratings.astype(float) if task == "regression" else ratings
    source = Source(Path("ratings"), {}, {"a": np.eye(100)[:, :3], "b": np.eye(100)[:, 3:7], "labels": labels}, [])
    prepare_custom(source, folder / "ratings", task=task)
    data = read_source([str(folder / "ratings")])
    assert data.classes == classes
    assert data.target.is_floating_point() == (task == "regression")
    assert data.target.sort().values.tolist() == sorted(ratings - (0 if task == "regression" else 1))


@pytest.mark.parametrize(
    ("words", "more", "message"),
    [
        (["mine.npz"], {}, "--labels names the file of the labels"),
        (["nothing.npz"], {"labels": "labels.npy"}, "nothing.npz does not exist"),
        (["nothing"], {"labels": "labels.npy"}, "nothing is no file of embeddings, feature store or prepared data set"),
        (["."], {"labels": "labels.npy"}, "name two runs of the store ., one of each modality; 0 given"),
        (["three.npz"], {"labels": "labels.npy"}, "three.npz holds 'image', 'text', 'sound': name the two modalities"),
        (["three.npz"], {"labels": "labels.npy", "modalities": ("image",)}, "--modalities takes two names, got 1"),
        (["image.npy"], {"labels": "labels.npy"}, "image.npy is one file: name a second one"),
        (["mine.npz:image"], {"labels": "labels.npy"}, "mine.npz:image is one array: name a second one"),
        (["image.npy"] * 3, {"labels": "labels.npy"}, "3 files given"),
        (["mine.npz"], {"labels": "labels.csv"}, "labels.csv has labels by id, but the features have no ids"),
        (["image.parquet", "text.npy"], {"labels": "labels.csv"}, "image.parquet has ids and text.npy has none"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_sources_are_refused(folder: Path, words: list[str], more: Any, message: str) -> None:
    with pytest.raises(VlalignError) as error:
        read_source(words, **more)
    assert str(error.value).startswith(message)


def test_the_verb(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = ["--steps", "2", "--folds", "3", "--depth", "1", "--weights", "1", "--batch", "16", "--width", "4"]
    words = ["advise", "mine.npz", "--labels", "labels.npy", *size, "--cpu", "--quiet"]
    assert status_of([*words, "--dry-run"]) == 0
    assert not (folder / "advice" / "cells").exists()
    assert status_of(words) == 0
    shown = capsys.readouterr().out
    assert "image alone: " in shown
    assert "advice/report.html" in shown
    page = (folder / "advice" / "report.html").read_text(encoding="utf-8")
    assert "vlalign advise mine.npz --weights" in page
    assert "--labels labels.npy" in page
    assert status_of([*words, "--width", "5"]) == 1
    assert "holds another study (width was 4, is now 5)" in capsys.readouterr().err
