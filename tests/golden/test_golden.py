"""Formats that were released stay readable: files of earlier versions open, verify, resume, and give what they gave."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from golden.make import EXTRACT, HALF, MULTIBENCH, SCORE, STUDY, SYNTHETIC
from support.counts import counted_loads, counted_scores
from support.hub import TOKEN, HubServer

import vlalign
from vlalign.cli import main

VERSIONS = sorted(path for path in Path(__file__).parent.glob("v*") if path.is_dir())
VIT, BERT = "d1eff8e32ff3eb71", "c439daf2a9922510"


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def golden(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the golden files of one version, which is the working folder, too."""
    shutil.copytree(request.param, tmp_path / "golden")
    for leftover in temporary(tmp_path / "golden"):
        os.utime(leftover, (0, 0))  # of a process killed long ago
    monkeypatch.chdir(tmp_path / "golden")
    return tmp_path / "golden"


def temporary(folder: Path) -> list[Path]:
    """Files that a killed process had not finished."""
    return [path for path in folder.rglob("*") if path.suffix in (".tmp", ".part")]


def hashes(folder: Path, pattern: str = "*") -> dict[str, str]:
    """sha256 of every file, by its path in the folder."""
    files = (path for path in sorted(folder.rglob(pattern)) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def written(folder: Path, pattern: str) -> dict[str, tuple[str, int]]:
    """Content and time of writing of the files that a killed process had finished."""
    return {name: (digest, (folder / name).stat().st_mtime_ns) for name, digest in hashes(folder, pattern).items()}


def test_a_store_opens_verifies_and_is_reused(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = vlalign.FeatureStore("store")
    assert not store.verify()
    assert {run.key.model: run.key.short for run in store.runs()} == {"bert": BERT, "vit": VIT}
    assert [layer.name for layer in store.find("bert").layers] == ["embeddings", "block_0", "block_1"]
    before, loads = written(golden / "store", "*"), counted_loads(monkeypatch)
    assert main(EXTRACT.split()) == 0
    assert not loads
    assert written(golden / "store", "*") == before


def test_a_killed_extraction_resumes(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, loads = written(golden / "half-store", "*.safetensors"), counted_loads(monkeypatch)
    assert len(before) == 4  # all three shards of one model, one of the other
    assert main(HALF.split()) == 0
    assert [name for name, _ in loads] == ["bert"]
    after = written(golden / "half-store", "*.safetensors")
    assert {name: after[name] for name in before} == before
    whole, resumed = (vlalign.FeatureStore(name).find("bert") for name in ("store", "half-store"))
    assert resumed.key.short == BERT
    assert not temporary(golden / "half-store")
    for one, other in zip(whole.features(), resumed.features(), strict=True):
        assert (one - other).abs().max() < 1e-5 * one.abs().max()  # float32 sums of another processor


def test_a_record_loads_and_is_computed_again_alike(golden: Path, tmp_path: Path) -> None:
    [path] = (golden / "results").glob("*.json")
    old = vlalign.ScoreRecord.load(path)
    assert (old.x["run"]["hash"][:16], old.y["run"]["hash"][:16]) == (VIT, BERT)
    assert main([*SCORE.replace("--out results", "--out again").split()]) == 0
    [again] = (golden / "again").glob("*.json")
    new = vlalign.ScoreRecord.load(again)
    assert again.name == path.name
    assert (new.score, new.p_value, new.best) == (old.score, old.p_value, old.best)
    assert new.matrix == old.matrix
    assert new.null is not None
    assert old.null is not None
    assert new.null["maxima"] == pytest.approx(old.null["maxima"], rel=1e-12)  # float64 sums in another order
    assert new.interval is not None
    assert old.interval is not None
    ends = ("low", "high", "mean_of_halves")
    assert [new.interval[end] for end in ends] == pytest.approx([old.interval[end] for end in ends], rel=1e-9)


def test_a_killed_uniqueness_study_resumes(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written(golden / "study/records", "*platonic.json")
    loads, scores = counted_loads(monkeypatch), counted_scores(monkeypatch)
    assert len(before) == 2
    assert main(STUDY.split()) == 0
    assert (len(loads), len(scores)) == (0, 1)  # features were complete, one record was missing
    after = written(golden / "study/records", "*platonic.json")
    assert {name: after[name] for name in before} == before
    assert len(after) == 3
    assert not temporary(golden / "study")


@pytest.mark.parametrize(
    ("command", "folder", "finished", "cells"),
    [(SYNTHETIC, "synthetic", 3, 6), (MULTIBENCH, "multibench", 2, 4)],
    ids=["synthetic", "multibench"],
)
def test_a_killed_study_of_encoders_resumes(golden: Path, command: str, folder: str, finished: int, cells: int) -> None:
    before = written(golden / folder, "*.safetensors")
    assert len(before) == finished
    assert main(command.split()) == 0
    after = written(golden / folder, "*.safetensors")
    assert {name: after[name] for name in before} == before
    assert len(after) == cells
    assert not temporary(golden / folder)


def test_pushed_files_come_back_as_the_store(golden: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.add_dataset("owner/golden", golden / "pushed")
    assert main(["pull", "owner/golden", "--store", "pulled", "-q"]) == 0
    kept = {name: digest for name, digest in hashes(golden / "store").items() if not name.endswith("provenance.jsonl")}
    pulled = hashes(golden / "pulled")
    assert {name: pulled.get(name) for name in kept} == kept
