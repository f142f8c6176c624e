"""Runs of baselines: made once, of the same samples as the models', and never taken for a model's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from support.commands import status_of
from support.tiny import TinyModels, save_llama

import vlalign
from vlalign.data import DataSpec
from vlalign.extraction import ExtractOptions, make_plan
from vlalign.models.registry import family_of
from vlalign.report.commands import extract_command
from vlalign.store import FeatureStore
from vlalign.store.run import read_events

TEXT = ["caption length", "bag of tokens", "TF-IDF", "character n-grams"]
IMAGES = ["mean colour", "colour histogram", "image size", "pixels"]
QUICK = ["--k", "3", "--permutations", "19", "--half-samples", "0", "--no-figure", "-q"]


@pytest.fixture(scope="module")
def store(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store of two models, the baselines of their data, and both architectures with random weights."""
    folder = tmp_path_factory.mktemp("baselines")
    data = folder / "prh"
    shutil.copytree(tiny.path("prh"), data)
    models = [tiny.path("llama"), tiny.path("vit")]
    vlalign.extract(models, data=data, store=folder / "s", cpu=True, workers=0, loss=False)
    vlalign.baselines(data, store=folder / "s", models=models)
    return folder / "s"


def test_every_feature_of_the_data_is_a_run_that_is_made_once(store: Path, tiny: TinyModels) -> None:
    runs = [run for run in FeatureStore(store).runs() if run.key.data.get("kind") == "baseline"]
    assert {run.key.model for run in runs} == {*TEXT, *IMAGES, "random llama", "random vit"}
    times = {path: path.stat().st_mtime_ns for path in store.rglob("*.*") if path.suffix != ".jsonl"}
    again = vlalign.baselines(store.parent / "prh", store=store, models=[tiny.path("llama"), tiny.path("vit")])
    assert {run.key.hash for run in again} == {run.key.hash for run in runs}
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*.*") if path.suffix != ".jsonl"} == times
    assert all(run.verify() == [] for run in runs)
    model = FeatureStore(store).find("vit")  # not the one of random weights
    assert "kind" not in model.key.data
    for run in runs:
        twin = FeatureStore(store).find("llama" if run.key.modality == "text" else "vit")
        assert run.key.data["data"] == twin.key.data["data"]  # the same samples, as conditions compare them
        assert run.ids == twin.ids
        assert family_of(run.key.data["model"]) not in ("llama", "vit")
    histogram = FeatureStore(store).find("colour histogram")
    torch.testing.assert_close(histogram.load(0).norm(dim=1), torch.ones(24))


def test_random_weights_depend_on_seed_and_architecture_alone(store: Path, tiny: TinyModels, tmp_path: Path) -> None:
    first = FeatureStore(store).find("random llama")
    other = save_llama(tmp_path / "llama", seed=99)  # other weights in the same architecture
    data = store.parent / "prh"
    same, (changed,) = (
        [run for run in vlalign.baselines(data, store=tmp_path / name, models=[model], seed=seed) if "random" in
         run.key.model]
        for name, model, seed in (("a", other, 0), ("b", tiny.path("llama"), 1))
    )  # fmt: skip
    assert all(map(torch.equal, first.features(), same[0].features()))
    assert not torch.equal(first.load(1), changed.load(1))
    assert len({first.key.hash, same[0].key.hash, changed.key.hash}) == 3
    assert not torch.equal(first.load(1), FeatureStore(store).find("llama").load(1))
    plan = make_plan(
        ExtractOptions((str(tiny.path("llama")),), data=DataSpec(str(data)), store="no"), torch.device("cpu")
    )
    assert plan.models[0].key == FeatureStore(store).find("llama").key


def test_commands_that_make_them_again(store: Path) -> None:
    features = FeatureStore(store)
    command = extract_command(features.find("TF-IDF").key.data)
    assert command.startswith("vlalign baselines --store features --data prh")
    assert "--model" not in command
    random = features.find("random vit")
    assert "baselines --store features --model ./vit --data prh" in extract_command(random.key.data)
    assert str(read_events(random.layout)[0]["command"]).startswith("vlalign baselines --model /")


def test_scores_beside_trivial_pairs(store: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "results"
    assert status_of(["score", store, "vit", "llama", "--out", out, *QUICK]) == 0
    assert "│ beside" not in capsys.readouterr().out
    assert status_of(["score", store, "--out", out, *QUICK]) == 0
    shown = capsys.readouterr().out
    assert "│ beside" in shown
    assert "random vit × random llama" in " ".join(shown.split())
    trivial = len(IMAGES) * len(TEXT) + 1
    assert len(list(out.glob("*.json"))) == trivial + 1  # and no pair of a model and a baseline
    assert status_of(["score", store, "vit", "llama", "--baselines", "--out", out, *QUICK, "--dry-run"]) == 0
    assert f"{trivial + 1} of {trivial + 9} scores already" in " ".join(capsys.readouterr().out.split())


def test_baselines_of_runs_need_the_same_samples(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny: TinyModels
) -> None:
    data = tmp_path / "table.jsonl"
    data.write_text("".join(f'{{"id": "s{i}", "text": "a dog number {i}"}}\n' for i in range(10)))
    vlalign.extract([tiny.path("llama")], data=data, store=tmp_path / "s", cpu=True, loss=False)
    words = ["score", tmp_path / "s", "--baselines", "--out", tmp_path / "r", *QUICK]
    assert status_of(words) == 0
    assert "TF-IDF" in capsys.readouterr().out
    assert len(list((tmp_path / "r").glob("*.json"))) == 3  # all captions have one length, which is not scored
    data.write_text(data.read_text().replace("dog", "cat"))
    assert status_of([*words, "--force"]) == 1
    error = capsys.readouterr().err
    assert "holds other samples now; make them with `vlalign baselines --data`" in error
    data.unlink()
    assert status_of([*words, "--force"]) == 1
    assert "cannot be read again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["baselines", "--data", "nowhere.csv"], "no such file or folder: nowhere.csv"),
        (["baselines", "--data", "builtin:emoji", "--model", "nosuch"], "unknown model 'nosuch'"),
        (["score", "a.npy", "b.npy", "--baselines"], "--baselines is for runs of a store"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(words) == 1
    assert message in capsys.readouterr().err


def test_plan(store: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny: TinyModels) -> None:
    words: list[Any] = ["baselines", "--data", store.parent / "prh", "--dry-run", "--model", tiny.path("vit")]
    assert status_of([*words, "--store", tmp_path / "new"]) == 0
    shown = capsys.readouterr().out
    assert "plan: baselines of 24 samples of prh" in shown
    assert "random vit" in shown
    assert not (tmp_path / "new").exists()
    assert status_of([*words, "--store", store, "--json"]) == 0
    assert '"to_do": 24' not in capsys.readouterr().out
