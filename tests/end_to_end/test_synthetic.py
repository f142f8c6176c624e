"""`vlalign synthetic`, exactly as users type it: from nothing, after a kill, on two processes, and mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from end_to_end.conftest import Command
from support.hub import TOKEN, HubServer
from support.killed import killed_at
from support.shown import figures_sketched

from vlalign.cli import main
from vlalign.synthetic import SyntheticResult
from vlalign.synthetic.cells import FOLDER

GRID = "--uniqueness 0 2 4 6 8 --phi-depths 1 2 --depths 1 2 3 4 5 --seeds 2"
FEW = f"{GRID} --samples 512 --epochs 2 3 --batch 128 --align-samples 64 --metrics unbiased_cka mutual_knn:k=5 --cpu"
CELLS = 15  # 5 depths of modality 1, and of modality 2 at each of 2 depths of φ


def table(folder: Path) -> str:
    return (folder / "alignment.csv").read_text(encoding="utf-8")


def encoders(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every file of encoders."""
    found = (folder / FOLDER).glob("*.safetensors")
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with figures_sketched():
        assert main(["synthetic", "run", *FEW.split(), "--out", str(folder), "--quiet"]) == 0
    return folder


def test_from_nothing_to_the_page(command: Command, whole: Path, tmp_path: Path) -> None:
    done = command(f"vlalign synthetic run {FEW} --out run", figures=False)
    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} == {
        "alignment.csv", "alignment.parquet", "config.yaml", "encoders", "study.json", "report.html", "RESULTS.md",
        "results",
    }  # fmt: skip
    assert len(encoders(run)) == CELLS
    assert "75 encoders, 75 to train" in done.stdout
    assert "run/report.html" in done.stdout
    assert "Traceback" not in done.stderr
    assert table(run) == table(whole)  # with another number of threads
    rows = pd.read_parquet(run / "alignment.parquet")
    assert len(rows) == 5 * 5 * 2 * 5  # U × depths × φ × depths of modality 1
    assert rows["test"].between(0, 1).all()
    settings = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert settings["epochs"] == [2, 3]

    done = command("vlalign synthetic report run --out page --metric mutual_knn:k=5")
    page = (tmp_path / "page" / "RESULTS.md").read_text(encoding="utf-8")
    assert "page/report.html, RESULTS.md" in done.stdout
    assert "mutual kNN, k = 5" in (tmp_path / "page" / "report.html").read_text(encoding="utf-8").replace("\u00a0", " ")
    for name in ("alignment", "heatmaps", "correlations", "performance"):
        assert f"(results/{name}.png)" in page
        assert (tmp_path / "page" / "results" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert len(pd.read_csv(tmp_path / "page" / "results" / "alignment.csv")) == 50
    assert "mutual kNN, k = 5" in page
    assert "samples 512" in page  # what differs from the paper is said


def test_a_killed_run_goes_on(command: Command, whole: Path, tmp_path: Path) -> None:
    line = f"run {FEW} --out run --ensemble 10"
    killed = command(killed_at(7, "synthetic", line), status=None)
    assert killed.returncode == -9, killed.stderr
    run = tmp_path / "run"
    there = encoders(run)
    assert len(there) == 7
    assert not (run / "study.json").exists()
    done = command(f"vlalign synthetic {line}", figures=False)
    assert "75 encoders, 75 to train" not in done.stdout
    after = encoders(run)
    assert len(after) == CELLS
    assert sum(after[name] == kept for name, kept in there.items()) >= 6  # but for an ensemble half written
    tables = (pd.read_csv(folder / "alignment.csv") for folder in (run, whole))
    pd.testing.assert_frame_equal(*tables, rtol=1e-6)  # a smaller ensemble rounds otherwise
    again = command(f"vlalign synthetic {line}", figures=False)
    assert "0 to train" in again.stdout
    assert encoders(run) == after


def test_two_processes_find_the_same(command: Command, whole: Path, tmp_path: Path) -> None:
    done = command(f"python scripts/synthetic.py run {FEW} --out run --ensemble 10", processes=2, figures=False)
    assert table(tmp_path / "run") == table(whole)
    assert done.stdout.count("study.json") == 1  # one of them speaks
    assert json.loads((tmp_path / "run" / "study.json").read_text())["environment"]["processes"] == 2


@pytest.mark.usefixtures("sketched_figures")
def test_a_run_grows(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More seeds and another metric: what was trained is kept, and its rows stay the same."""
    line = ["synthetic", "run", *FEW.split(), "--out", str(tmp_path), "--quiet"]
    assert main(line) == 0
    before = encoders(tmp_path)
    assert main([*line, "--seeds", "7", "--metrics", "cka"]) == 0
    after = encoders(tmp_path)
    assert after.items() > before.items()
    assert len(after) == 2 * CELLS
    rows = SyntheticResult.load(tmp_path).table
    old = SyntheticResult.load(whole).table
    pd.testing.assert_frame_equal(rows[rows["seed"] == 2][list(old.columns)].reset_index(drop=True), old)
    assert rows["cka"].between(0, 1).all()
    capsys.readouterr()
    assert main(line) == 0  # less again: what is left out is said
    said = capsys.readouterr()
    assert f"{tmp_path} also holds seeds 7: these results are kept" in said.err
    assert encoders(tmp_path) == after


def test_describe(command: Command) -> None:
    done = command("vlalign synthetic describe --uniqueness 3 8")
    for number in ("0.7151", "0.8867", "1.1588", "5.5452", "0.6663", "0.9063", "5 shared, 1 + 2 unique", "−0.3186"):
        assert number in done.stdout
    told = json.loads(command("vlalign synthetic describe --uniqueness 4 --synergy 2 --json").stdout)
    assert [entry["synergy"] for entry in told] == [2]
    assert told[0]["interaction"] < 0 < told[0]["joint"]


def test_data_are_saved_and_pushed(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from datasets import load_dataset, load_from_disk

    line = ["synthetic", "data", "--samples", "512", "--uniqueness", "3", "--phi-depth", "2"]
    folder = tmp_path / "data"
    assert main([*line, "--out", str(folder)]) == 0
    saved = load_from_disk(str(folder))
    assert {name: len(split) for name, split in saved.items()} == {"train": 358, "validation": 77, "test": 77}
    assert len(saved["train"][0]["x1"]) == len(saved["train"][0]["bits2"]) == 12
    assert main([*line, "--out", str(folder)]) == 0  # again, over itself
    assert json.loads(saved["test"].info.description)["uniqueness"] == 3
    assert main([*line, "--out", str(folder), "--noise", "1"]) == 1
    assert "holds a data set of other settings" in capsys.readouterr().err
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main([*line, "--push", "somebody/synthetic-u3"]) == 0
    assert "datasets/somebody/synthetic-u3" in capsys.readouterr().out
    pushed = load_dataset("somebody/synthetic-u3", cache_dir=str(tmp_path / "cache"))
    assert pushed["test"][:] == saved["test"][:]


def test_tuning_writes_settings_that_a_run_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = "--uniqueness 0 8 --phi-depths 1 2 --depths 1 2 --seeds 2 --samples 512 --epochs 1 2 --cpu --quiet"
    tuned = tmp_path / "tuned.yaml"
    line = ["synthetic", "tune", *grid.split(), "--trials", "3", "--out", str(tuned)]
    assert main(line) == 0
    found = yaml.safe_load(tuned.read_text())
    assert set(found) == {"modality 1", "modality 2"}
    assert set(found["modality 2"]) == {"0", "8"}
    assert found["modality 1"]["0"]["learning_rate"] in (1e-3, 5e-3, 1e-2, 5e-2)
    first = tuned.read_bytes()
    assert main(line) == 0
    assert tuned.read_bytes() == first  # the search is seeded
    run = [
        "synthetic",
        "run",
        *grid.split(),
        "--align-samples",
        "32",
        "--metrics",
        "cka",
        "--out",
        str(tmp_path / "run"),
    ]
    assert main([*run, "--tuned", str(tuned)]) == 0
    capsys.readouterr()
    assert main(run) == 1
    assert "holds another study (tuned was" in capsys.readouterr().err


# -- mistakes ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs a command that must fail in one line, with status 1 or 2 and without leaving files."""
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> str:
        capsys.readouterr()
        before = sorted(tmp_path.rglob("*"))
        threads = torch.get_num_threads()
        try:
            status = main(["synthetic", *line.split()])
        except SystemExit as error:
            status = error.code
        assert status in (1, 2)  # 2: a flag is wrong
        assert torch.get_num_threads() == threads
        said = capsys.readouterr()
        lines = [text for text in said.err.splitlines() if text.strip()]
        assert len(lines) == 1, said.err
        assert re.match(r"vlalign synthetic( \w+)?: error: ", lines[0])
        assert sorted(tmp_path.rglob("*")) == before
        return lines[0]

    return run


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("describe --uniqueness 9", ["uniqueness is 9", "0 to 8"]),
        ("describe --uniqueness 5 --unique-split 1 0", ["uniqueness is 5", "allowed is 0 to 4"]),
        ("run --depths 0 1", ["--depths: expected", "1 to 64"]),
        ("run --phi-depths 0", ["--phi-depths: expected", "1 to 64"]),
        ("run --phi-nonlinearity sine", ["--phi-nonlinearity: expected tanh, sigmoid or relu", "'sine'"]),
        ("run --nonlinearity gelu", ["--nonlinearity: expected", "leaky_relu", "'gelu'"]),
        ("run --valid 0", ["--valid: expected a number above 0 and below 1"]),
        ("run --train 0.9 --valid 0.1", ["leave 0 of 65536 samples for testing"]),
        ("run --epochs 10", ["epochs: expected two values"]),
        ("run --metrics unbiased_ckaa", ["unknown metric", "unbiased_cka"]),
        ("run --metrics mutual_knn:k=600", ["k=600", "N=512"]),
        ("run --samples 1000", ["align_samples: expected at most the 150 samples"]),
        ("run --config none.yaml", ["cannot read the settings file none.yaml"]),
        ("run --tuned none.yaml", ["cannot read the settings file none.yaml"]),
        ("report nowhere", ["nowhere holds no finished study", "vlalign synthetic run"]),
        ("data --uniqueness 3", ["--out", "--push"]),
        ("data --uniqueness 9 --out here", ["uniqueness is 9"]),
        ("data --uniqueness 3 --push a/b", ["no token", "HF_TOKEN"]),
        ("tune --depths 7", ["nothing to tune modality 1 on"]),
        ("tune --trials 0", ["--trials: expected a whole number of at least 1"]),
        ("tune --out .", [". is a folder"]),
        ("run --phi-nonlinearity sigmoid", ["phi_depths has 8", "with sigmoid only", "stay distinct"]),
    ],
)
def test_mistakes(error_of: Any, line: str, words: list[str]) -> None:
    message = error_of(line)
    for word in words:
        assert word in message


def test_keys_of_files_that_nobody_knows(error_of: Any, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text("uniquenes: [1]\n")
    assert "grid.yaml: unknown key uniquenes (did you mean uniqueness" in error_of("run --config grid.yaml")
    (tmp_path / "grid.yaml").write_text("depths: [one]\n")
    assert "grid.yaml: depths: expected a list of whole numbers from 1 to 64, 1 or more, got ['one']" in error_of(
        "run --config grid.yaml"
    )


def test_the_folder_of_another_study(error_of: Any, whole: Path) -> None:
    message = error_of(f"run {FEW} --temperature 0.1 --out {whole}")
    assert "holds another study (temperature was 0.05, is now 0.1): name another folder with --out" in message
    message = error_of(f"report {whole} --metric rsa")
    assert "there is no metric rsa: the study has unbiased_cka, mutual_knn:k=5" in message


def test_a_dry_run_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synthetic", "run", *FEW.split(), "--out", str(tmp_path / "run"), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "75 encoders, 75 to train" in shown
    assert "disk      ≈ " in shown
    assert main(["synthetic", "run", *FEW.split(), "--out", str(tmp_path / "run"), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["encoders"], plan["to_train"]) == (75, 75)
    assert min(plan["seconds"], plan["bytes"]) > 0
    assert list(tmp_path.iterdir()) == []
