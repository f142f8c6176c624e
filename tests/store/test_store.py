"""The store as a whole: listing, finding, verifying."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vlalign.errors import VlalignError
from vlalign.store import FeatureStore


@pytest.fixture
def store(toy, tmp_path):
    for key in (
        toy.key("zebra"),
        toy.key("llama-7b"),
        toy.key("llama-7b", dtype="bfloat16"),
        toy.key("dino", modality="vision"),
        toy.key("clip"),
        toy.key("clip", modality="vision"),
    ):
        toy.make(tmp_path, key)
    return FeatureStore(tmp_path)


def message(act) -> str:
    with pytest.raises(VlalignError) as error:
        act()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_runs_are_sorted(store):
    runs = store.runs()
    order = [(run.key.modality, run.key.slug, run.key.short) for run in runs]
    assert order == sorted(order)
    assert len(runs) == 6
    assert store.incomplete() == []
    assert store.verify() == []


def test_reading_creates_nothing(toy, tmp_path):
    store = FeatureStore(tmp_path / "none")
    assert store.open(toy.key()) is None
    for act in (store.runs, store.incomplete, store.verify, lambda: store.find("x")):
        assert "none does not exist: extract features into it first" in message(act)
    assert not list(tmp_path.iterdir())


def test_empty_store(tmp_path):
    store = FeatureStore(tmp_path)
    assert store.runs() == []
    assert store.incomplete() == []
    assert "no complete run in" in message(lambda: store.find("x"))
    assert "no run in" in message(store.verify)


def test_incomplete_runs(toy, tmp_path):
    writer = toy.writer(tmp_path)
    store = FeatureStore(tmp_path)
    assert store.incomplete() == [writer.path]
    assert "(1 not complete: run the same extraction again)" in message(lambda: store.find("toy-7b"))
    (problem,) = store.verify()
    assert problem.path == writer.path
    assert "not complete" in problem.reason


def test_unrelated_files_are_left_alone(toy, tmp_path):
    run = toy.make(tmp_path)
    (tmp_path / "results" / "figures").mkdir(parents=True)
    (tmp_path / "results" / "figures" / "map.png").touch()
    (tmp_path / "notes.txt").touch()
    assert [found.path for found in FeatureStore(tmp_path).runs()] == [run.path]
    assert FeatureStore(tmp_path).incomplete() == []
    assert FeatureStore(tmp_path).verify() == []


@pytest.mark.parametrize("query", ["zebra", "ZEBRA", "org/zebra", "Org/Zebra", "other/zebra"])
def test_find_by_name(store, query):
    assert store.find(query).key.model == "zebra"


def test_find_by_slug_and_alias(toy, tmp_path):
    model = {"name": "huggyllama/llama-7b", "modality": "text", "alias": "llama"}
    toy.make(tmp_path, toy.key(model=model))
    store = FeatureStore(tmp_path)
    for query in ("huggyllama/llama-7b", "huggyllama__llama-7b", "llama", "llama-7b"):
        assert store.find(query).key.model == "huggyllama/llama-7b"


def test_find_by_hash(store):
    for run in store.runs():
        for query in (run.key.hash, run.key.short, run.key.hash[:8], f"@{run.key.hash[:8]}"):
            assert store.find(query).path == run.path
        assert store.find(f"{run.key.model}@{run.key.hash[:8].upper()}").path == run.path


def test_find_in_one_modality(store):
    assert store.find("clip", modality="vision").key.modality == "vision"
    assert store.find("clip", modality="text").key.modality == "text"
    assert "no vision run 'zebra'" in message(lambda: store.find("zebra", modality="vision"))


def test_find_says_what_is_ambiguous(store):
    text = message(lambda: store.find("llama-7b"))
    assert "fits 2 runs" in text
    assert "dtype: " in text
    assert "bfloat16" in text
    digits = [run.key.hash[:8] for run in store.runs() if run.key.model == "llama-7b"]
    assert all(f"llama-7b@{part}" in text for part in digits)
    assert "model.modality: " in message(lambda: store.find("clip"))


def test_find_says_what_there_is(store):
    assert "did you mean zebra?" in message(lambda: store.find("zebrra"))
    assert "it has clip, dino, llama-7b, zebra" in message(lambda: store.find("something-else"))
    assert "no run 'zebra@0000000'" in message(lambda: store.find("zebra@0000000"))
    assert "did you mean" in message(lambda: store.find("llama-7b@nothex"))
    message(lambda: store.find(""))


def test_broken_run_does_not_hide_the_others(store, caplog):
    broken = store.find("zebra")
    (broken.path / "manifest.json").write_text("{")
    assert len(store.runs()) == 5
    assert "cannot read the manifest" in caplog.text
    assert store.incomplete() == [broken.path]
    problems = store.verify()
    assert {problem.path for problem in problems} >= {broken.path}
    (broken.path / "key.json").unlink()
    assert store.incomplete() == [broken.path]
    assert "cannot read the run key" in store.verify()[0].reason


def test_import_is_light():
    code = "import sys, vlalign.store; sys.exit(bool({'torch', 'numpy', 'safetensors'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
