"""`vlalign information`: files, ids and labels, the table, record and figure, and errors before training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.commands import status_of

import vlalign.decomposition.classifiers as classifiers

FEW = ["--folds", "3", "--bootstraps", "20", "--permutations", "39", "--clusters", "8"]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two modalities with the label in both, as an archive and as tables of ids in different orders."""
    monkeypatch.setattr(classifiers, "_LEAST_STEPS", 80)
    monkeypatch.setattr(classifiers, "_MOST_STEPS", 80)
    draw = np.random.default_rng(0)
    label = np.arange(90) % 2
    views = [label[:, None] + 0.1 * draw.normal(size=(90, 2)) for _ in range(2)]
    np.savez(tmp_path / "both.npz", image=views[0], text=views[1])
    np.save(tmp_path / "labels.npy", label)
    for name, view, order in (("image", views[0], np.arange(90)), ("text", views[1], draw.permutation(90))):
        frame = pd.DataFrame({"id": [f"s{i}" for i in order], "v": list(view[order])})
        frame.to_parquet(tmp_path / f"{name}.parquet")
    names = ["no", "yes"]
    pd.DataFrame({"id": [f"s{i}" for i in range(90)][::-1], "class": [names[k] for k in label[::-1]]}).to_csv(
        tmp_path / "labels.csv", index=False
    )
    return tmp_path


def test_table_record_and_figure(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words = [str(files / "both.npz"), "--labels", str(files / "labels.npy"), "--out", str(files / "out")]
    assert status_of(["information", *words, *FEW]) == 0
    shown = capsys.readouterr().out
    assert "x1        both:image" in shown
    assert "samples   90, 2 classes, H(Y) = 1.000 bits" in shown
    lines = {line.split()[0]: line for line in reversed(shown.splitlines()) if line.split()[:1]}  # first ones are kept
    assert "redundant: in x1 and in x2" in lines["R"]
    assert "not detected" in lines["S"]
    assert "not detected" not in lines["R"]
    (record,) = (files / "out").glob("both-image__both-text__labels__classifiers-????????.json")
    assert json.loads(record.read_text())["estimates"]["R"]["value"] > 0.8
    assert record.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_rows_and_labels_are_paired_by_id(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(files / "image.parquet"), str(files / "text.parquet"), "--labels", str(files / "labels.csv:class")]
    assert status_of(["information", *words, *FEW, "--out", str(files / "out"), "--no-figure", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["classes"] == ["no", "yes"]
    assert all(result["estimates"][name]["value"] > 0.8 for name in ("I1", "I2", "R"))
    (record,) = (files / "out").iterdir()
    assert record.name.startswith("image__text__labels-class__classifiers-")


def test_records_of_other_labels_models_and_options_are_kept(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    (files / "other").mkdir()
    both = dict(np.load("both.npz"))
    np.savez("other/both.npz", **both | {"text": 2 * both["text"]})
    target = both["image"].sum(axis=1)
    np.save("target.npy", target)
    np.save("other/target.npy", target**2)
    first = ["both.npz", "--labels", "target.npy", "--seed", "0"]
    changes: list[list[str]] = [
        first, first, ["other/both.npz", *first[1:]], [*first[:2], "other/target.npy", *first[3:]], [*first[:-1], "1"]
    ]  # fmt: skip
    counts = []
    for words in changes:
        few = ["--estimator", "gaussian", "--folds", "2", "--bootstraps", "20", "--permutations", "19"]
        assert status_of(["information", *words, *few, "--no-figure", "--json"]) == 0
        counts.append(len(list(Path("information").iterdir())))
    assert counts == [1, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["image.parquet", "--labels", "labels.csv:class"],
            "image.parquet is one modality: name the file of the other",
        ),
        (["both.npz", "--labels", "short.npy"], "holds 50 labels for 90 samples"),
        (
            ["both.npz", "--labels", "labels.csv:class"],
            "labels.csv:class are given by id, but the features have no ids",
        ),
        (
            ["image.parquet", "text.parquet", "--labels", "few.csv:class"],
            "few.csv:class lack 89 of 90 samples: 's1', 's2', 's3'",
        ),
        (["image.parquet", "other.parquet", "--labels", "labels.npy"], "do not hold the same ids"),
        (["three.npz", "--labels", "labels.npy"], "name the two modalities as three.npz:KEY three.npz:KEY"),
    ],
)
def test_errors(files: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(files / "short.npy", np.arange(50) % 2)
    np.savez(files / "three.npz", a=np.ones((2, 2)), b=np.ones((2, 2)), c=np.ones((2, 2)))
    pd.DataFrame({"id": ["s0"], "class": ["yes"]}).to_csv(files / "few.csv", index=False)
    pd.DataFrame({"id": [f"t{i}" for i in range(90)], "v": [[0.0, 1.0]] * 90}).to_parquet(files / "other.parquet")
    assert status_of(["information", *(word if word.startswith("--") else str(files / word) for word in words)]) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1


def test_groups(files: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    rows = np.repeat(np.arange(90), 2)
    for name in ("image", "text"):
        np.save(files / f"{name}.npy", np.load(files / "both.npz")[name][rows])
    table = {"id": range(180), "class": (np.arange(90) % 2)[rows], "image": [f"i{i}" for i in rows]}
    pd.DataFrame(table).to_csv(files / "rows.csv", index=False)
    (files / "ids.txt").write_text("\n".join(map(str, range(180))))
    words = [
        "information",
        *(str(files / f"{name}.npy") for name in ("image", "text")),
        "--ids",
        str(files / "ids.txt"),
    ]
    words += ["--labels", str(files / "rows.csv:class"), *FEW, "--out", str(files / "out"), "--no-figure"]
    assert status_of(words) == 0
    assert "samples   180, 2 classes" in capsys.readouterr().out
    assert "give the group of each sample (groups=, --groups)" in caplog.text
    caplog.clear()
    assert status_of([*words, "--groups", str(files / "rows.csv:image")]) == 0
    assert "samples   180 in 90 groups, 2 classes" in capsys.readouterr().out
    assert not caplog.messages
    records = [json.loads(path.read_text()) for path in (files / "out").glob("*.json")]
    assert {record["groups"] for record in records} == {None, 90}
