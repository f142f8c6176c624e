"""`vlalign multibench`, exactly as users type it: from arrays to the page, after a kill, on two processes, mistakes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from end_to_end.conftest import Command
from support.html import Page
from support.killed import killed_at
from support.multibench import affect_data, write_pickle
from support.shown import figures_sketched

from vlalign.cli import main
from vlalign.multibench import MultibenchResult, load_encoder, open_prepared

FEW = "--depths 1 2 3 --seeds 2 22 --epochs 2 --batch 32 --permutations 99 --cpu --metrics unbiased_cka mutual_knn:k=5"
ENCODERS = 2 * 3 * 2  # modalities × depths × seeds


def arrays(folder: Path, count: int = 300) -> None:
    """Two modalities of the same classes, as .npy files."""
    draws = np.random.default_rng(0)
    labels = draws.integers(0, 3, count)
    np.save(folder / "image.npy", draws.normal(size=(count, 4, 6)) + labels[:, None, None])
    np.save(folder / "sound.npy", draws.normal(size=(count, 5)) - labels[:, None])
    np.save(folder / "labels.npy", np.array(["cat", "dog", "owl"])[labels])


PREPARE = "prepare custom --array image=image.npy --array sound=sound.npy --labels labels.npy --name pets --out pets"


def encoders(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every encoder's file."""
    found = (folder / "encoders").glob("*.safetensors")
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def same(a: Path, b: Path) -> None:
    """Compare but for rounding, which may depend on who was trained together.

    It may exchange two almost equally near neighbours: allowed are two of the N * k of a mutual-kNN value, and that
    another layer has the largest of such values.
    """
    knn, results = "mutual_knn:k=5", [MultibenchResult.load(folder) for folder in (a, b)]
    exchanged = 2 / (results[0].data["samples"]["test"] * 5) + 1e-9
    for name in ("encoders", "alignment", "layers"):
        x, y = (getattr(result, name) for result in results)
        counted = x["metric"] == knn if name == "layers" else pd.Series(False, index=x.index)
        column = "value" if name == "layers" else knn
        if name != "encoders":
            rows = counted if name == "layers" else ~counted
            pd.testing.assert_series_equal(x[rows][column], y[rows][column], atol=exchanged, rtol=0)
        others = [one for one in x if not one.startswith(knn)]
        pd.testing.assert_frame_equal(x[~counted][others], y[~counted][others], atol=1e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed, beside its data."""
    folder = tmp_path_factory.mktemp("whole")
    arrays(folder)
    with pytest.MonkeyPatch.context() as patch, figures_sketched():
        patch.chdir(folder)
        assert main(["multibench", *PREPARE.split()]) == 0
        assert main(["multibench", "run", "--data", "pets", *FEW.split(), "--out", "run", "--quiet"]) == 0
    return folder


def test_from_arrays_to_the_page(command: Command, whole: Path, tmp_path: Path) -> None:
    arrays(tmp_path)
    done = command(f"vlalign multibench {PREPARE}")
    assert "next      vlalign multibench run --data pets" in done.stdout
    done = command(f"vlalign multibench run --data pets {FEW} --dry-run")
    assert f"{ENCODERS} to train" in done.stdout
    assert not (tmp_path / "multibench-runs" / "pets" / "encoders").exists()
    done = command(f"vlalign multibench run --data pets {FEW}", figures=False)
    run = tmp_path / "multibench-runs" / "pets"
    assert "Traceback" not in done.stderr
    assert "multibench-runs/pets/report.html" in done.stdout
    assert {path.name for path in run.iterdir()} == {
        "alignment.csv", "alignment.parquet", "config.yaml", "correlations.csv", "correlations.parquet", "encoders",
        "encoders.csv",
        "encoders.parquet", "layers.csv", "layers.parquet", "study.json", "report.html", "figures",
    }  # fmt: skip
    same(run, whole / "run")
    assert pd.read_csv(run / "encoders.csv")["test"].max() > 0.5  # chance is a third
    assert len(pd.read_csv(run / "correlations.csv")) == 2 * 2 * 2 * 2
    settings = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert (settings["epochs"], settings["modalities"]) == (2, ["image", "sound"])
    encoder = load_encoder(run / "encoders" / "sound-depth03-seed22.safetensors")
    part = open_prepared(tmp_path / "pets").splits["test"]
    right = (encoder(part.inputs["sound"]).argmax(dim=1) == part.labels).double().mean()
    row = pd.read_csv(run / "encoders.csv").query("modality == 'sound' and depth == 3 and seed == 22")
    assert float(right) == pytest.approx(row["test"].item())

    done = command("vlalign multibench report multibench-runs/pets --metric mutual_knn:k=5")
    assert "report.html" in done.stdout
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "pets" in " ".join(Page(page).texts["h1"])
    for name in ("scatter", "depth", "layers"):
        assert (run / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_killed_run_goes_on(command: Command, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "pets", tmp_path / "pets")
    line = f"run --data pets {FEW} --out run"
    killed = command(killed_at(7, "multibench", line), status=None)
    assert killed.returncode == -9, killed.stderr
    run = tmp_path / "run"
    there = encoders(run)
    assert len(there) == 7
    assert not (run / "study.json").exists()
    done = command(f"vlalign multibench {line}", figures=False)
    assert f"{ENCODERS - 7} to train" in done.stdout
    after = encoders(run)
    assert len(after) == ENCODERS
    assert {name: after[name] for name in there} == there
    same(run, whole / "run")
    assert "0 to train" in command(f"vlalign multibench {line}", figures=False).stdout
    assert encoders(run) == after


def test_two_processes_find_the_same(command: Command, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "pets", tmp_path / "pets")
    done = command(f"python scripts/multibench.py run --data pets {FEW} --out run", processes=2, figures=False)
    same(tmp_path / "run", whole / "run")
    assert done.stdout.count("correlations.csv") == 1  # one of them speaks
    assert json.loads((tmp_path / "run" / "study.json").read_text())["environment"]["processes"] == 2


def test_affect_data_and_one_table_of_two_runs(command: Command, whole: Path, tmp_path: Path) -> None:
    write_pickle(tmp_path / "mosi.pkl", affect_data("mosi", {"train": 40, "valid": 20, "test": 30}))
    command("vlalign multibench prepare mosi mosi.pkl")
    command(f"vlalign multibench run --data multibench-data/mosi {FEW} --epochs 1 --seeds 2 --out mosi", figures=False)
    shutil.copytree(whole / "run", tmp_path / "pets")
    done = command("vlalign multibench report mosi pets --out table", figures=False)
    assert "MOSI" in done.stdout
    text = (tmp_path / "table" / "table1.md").read_text(encoding="utf-8")
    assert "-0.135" in text.replace("−", "-")  # published, beside ours
    table = pd.read_csv(tmp_path / "table" / "table1.csv")
    assert len(table) == 6 + 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run", "data is empty: name a folder"),
        ("run --data nothere", "nothere holds no prepared data set"),
        ("run --data pets --depths 0", "error: --depths: expected a whole number from 1 to 64"),
        ("run --data pets --modalities image smell", "modalities has 'smell'"),
        ("run --data pets --metrics unbiased_cca", "unbiased_cca"),
        ("run --data pets --learning-rate 1 2 3", "learning_rate has 3 values"),
        ("run --data pets --pool max", "error: --pool: expected cls, mean or mean-padded"),
        (f"run --data pets {FEW} --out run --clip 1", "run holds another study (clip was 8.0, is now 1.0)"),
        ("run --config nothere.yaml", "cannot read the settings file nothere.yaml"),
        ("report nothere", "nothere holds no finished study"),
        ("report run --metric cka", "cka"),
        ("report run run", "--out"),
    ],
)
def test_mistakes_are_one_line(
    line: str, message: str, whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(whole)
    try:
        status = main(["multibench", *line.split()])
    except SystemExit as error:  # a flag is wrong
        status = error.code  # type: ignore[assignment]
    assert status in (1, 2)
    said = capsys.readouterr()
    assert said.err.startswith("vlalign multibench")
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not said.out
