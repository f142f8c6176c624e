"""`vlalign probe`: a store and files, stored results, scores with their performance, correlations, and errors."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from support.commands import status_of
from support.runs import FakeRun

import vlalign
from vlalign.cli.score import choose_pairs
from vlalign.scoring.collect import read_record

FEW = ["--folds", "3", "--bootstraps", "20", "--strengths", "0.001", "0.1", "--no-figure"]
N = 60


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a vision and five text models, in which larger models have more of the labels, and the labels."""
    folder = tmp_path_factory.mktemp("probed")
    draw = np.random.default_rng(0)
    ids = [f"s{i}" for i in range(N)]
    shared = draw.normal(size=(N, 2))
    for i, name in enumerate(["picture", "m0", "m1", "m2", "m3", "m4"]):
        noise = 0.2 if name == "picture" else 2 / (1 + i)
        values = shared + noise * draw.normal(size=(N, 2))
        modality = "vision" if name == "picture" else "text"
        vlalign.import_embeddings(folder / "store", name, values, modality=modality, ids=ids)
    other = [f"t{i}" for i in range(N)]  # of another data set, without labels
    vlalign.import_embeddings(folder / "store", "elsewhere", shared, modality="text", ids=other)
    genres = [[g for g, k in (("Drama", 0), ("War", 1)) if shared[i, k] > 0] for i in range(N)]
    pd.DataFrame({"id": ids[::-1], "genres": genres[::-1]}).to_json(
        folder / "labels.jsonl", orient="records", lines=True
    )
    return folder


@pytest.fixture
def folder(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


def test_probes_become_the_performance_of_scores(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score = ["score", "store", "--k", "5", "--permutations", "0", "--half-samples", "0", "--no-figure", "-q"]
    assert status_of(score) == 0
    labels = ["--labels", "labels.jsonl:genres", "-q"]
    assert status_of(["probe", "store", *labels, *FEW, "--records", "results", "--json"]) == 0
    out = capsys.readouterr().out
    shown = json.loads(out[out.index('{\n "probes"') :])
    assert [one["task"] for one in shown["probes"]] == ["labels"] * 6
    overall = shown["correlations"][0]
    assert (overall["performance"], overall["modality"], overall["n"]) == ("macro F1, all", "text", 5)
    assert [one["performance"] for one in shown["correlations"][1:]] == ["F1, Drama", "F1, War"]
    assert pd.read_csv("probes/probes.csv")["f1_macro"].between(0.4, 1).all()
    assert len(pd.read_csv("probes/classes.csv")) == 12
    assert status_of(score) == 0  # existing records, with the performance that is now known
    [path] = Path("results").glob("*m4*.json")
    value = {one["model"]: one["scores"]["f1_macro"]["value"] for one in shown["probes"]}
    assert read_record(path).performance["y"] == {"macro F1 of genres": value["m4"]}
    capsys.readouterr()
    assert status_of(["probe", "store", *labels, *FEW, "--dry-run"]) == 0
    assert "6 of 6 models already stored" in capsys.readouterr().out
    assert status_of(["probe", "store", *labels, *FEW, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["stored"], [one["seconds"] for one in plan["models"]]) == (6, [0.0] * 6)
    assert status_of(["probe", "store", "m4", *labels, *FEW, "--table", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("| model | layer | macro F1 |")


def test_runs_of_other_splits_are_not_paired() -> None:
    ids = {"train": ["a", "b"], "test": ["c", "d", "e"]}
    runs = [FakeRun(f"{name} {split}", [], own) for name in "xy" for split, own in ids.items()]
    pairs = choose_pairs(SimpleNamespace(root="store", runs=lambda: runs), [])  # type: ignore[arg-type]
    assert [(x.key.title, y.key.title) for x, y in pairs] == [("x train", "y train"), ("x test", "y test")]


def test_files_of_embeddings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(0)
    target = draw.normal(size=N)
    np.save("x.npy", np.stack([target, draw.normal(size=N)], axis=1))
    np.save("y.npy", target)
    assert status_of(["probe", "x.npy", "--labels", "y.npy", *FEW]) == 0
    shown = capsys.readouterr().out
    assert "R² 1.000" in shown
    assert "probes/layers.csv" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--labels", "missing.csv:class"], "missing.csv, the labels, is no file"),
        (["--labels", "other.csv:class"], "no id of the labels is an id of the features: 't0' there"),
        (["--labels", "short.npy"], "3 labels for 60 samples"),
        (["--labels", "labels.jsonl:genres", "--records", "none"], "none is no folder of score records"),
        (["--labels", "labels.jsonl:genres", "--ids", "x.txt"], "--ids is for files of embeddings"),
        (["--labels", "labels.jsonl:genres", "--task", "classes"], "choose the task labels"),
    ],
)
def test_errors_are_one_line(folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame({"id": ["t0"], "class": ["a"]}).to_csv("other.csv", index=False)
    np.save("short.npy", np.arange(3))
    assert status_of(["probe", "store", "m4", *words, *FEW, "-q"]) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
