"""`vlalign study uniqueness`, exactly as users type it: from nothing, from a file, after a kill, on two processes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
import yaml
from end_to_end.conftest import Command
from support.counts import counted_loads
from support.hub import HubServer
from support.killed import killed_at
from support.shown import figures_sketched

from vlalign.cli import main
from vlalign.remote import HubUnreachable
from vlalign.store import FeatureStore
from vlalign.uniqueness import UniquenessResult

MODELS = "--x dinov2-small --y llama-7b bloomz-560m"
FEW = "--max-samples 20 --k 5 --permutations 19 --half-samples 4 --shard-rows 5 --cpu --workers 0"
STUDY = f"{MODELS} --op char_delete --rates 0 50 90 {FEW}"


def study_here(line: str) -> int:
    """The command in this process, on one thread as the ``command`` fixture has it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return main(["study", "uniqueness", *line.split(), "--quiet"])
    finally:
        torch.set_num_threads(threads)


def table(folder: Path) -> str:
    return (folder / "points.csv").read_text(encoding="utf-8")


def shards(folder: Path) -> dict[Path, tuple[int, int]]:
    """Inode and time of every shard."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("shard-*.safetensors")}


@pytest.fixture(scope="module")
def whole(hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that nothing disturbed: its store and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    with figures_sketched():
        assert study_here(f"{STUDY} --store {folder / 'store'} --out {folder / 'out'}") == 0
    return folder


def test_the_command_and_its_settings_in_a_file(
    command: Command,
    whole: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = command(f"vlalign study uniqueness {STUDY} --out first")
    first = tmp_path / "first"
    names = {path.name for path in first.iterdir()}
    assert names >= {
        "study.json", "config.yaml", "points.csv", "points.parquet", "records", "alignment.png", "report.html",
    }  # fmt: skip
    assert not [name for name in names if name.endswith(".tmp")]
    assert len(list((first / "records").iterdir())) == 6
    assert (first / "alignment.png").read_bytes().startswith(b"\x89PNG")
    assert "char_delete" in (first / "report.html").read_text(encoding="utf-8")
    assert "first/report.html" in done.stdout
    assert "llama-7b" in done.stdout
    assert "Traceback" not in done.stderr
    assert table(first) == table(whole / "out")
    result = UniquenessResult.load(first)
    assert [(point.y, point.rate) for point in result.points] == [
        (name, rate) for name in ("llama-7b", "bloomz-560m") for rate in (0, 50, 90)
    ]

    # its own settings, with other flags, find everything but one rate in the store
    before = shards(tmp_path / "features")
    settings = yaml.safe_load((first / "config.yaml").read_text(encoding="utf-8"))
    assert settings["rates"] == [0, 50, 90]
    assert settings["data"]["max_samples"] == 20
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**settings, "out": "second"}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    loads = counted_loads(monkeypatch)
    capsys.readouterr()
    assert study_here("--config study.yaml --rates 50 70 --y llama-7b") == 0
    said = capsys.readouterr()
    assert [alias for alias, _ in loads] == ["llama-7b"]
    second = UniquenessResult.load(tmp_path / "second")
    assert [(point.y, point.rate) for point in second.points] == [("llama-7b", rate) for rate in (0, 50, 70)]
    assert [point.score for point in second.points][:2] == [point.score for point in result.points][:2]
    assert "second/report.html" in said.out
    assert said.err == ""
    after = shards(tmp_path / "features")
    assert after.items() > before.items()
    assert len(after) - len(before) == 4
    written = yaml.safe_load((tmp_path / "second" / "config.yaml").read_text(encoding="utf-8"))
    assert written == settings | {"out": "second", "rates": [0, 50, 70], "y": ["llama-7b"]}


def test_a_killed_study_goes_on(command: Command, whole: Path, tmp_path: Path) -> None:
    out, store = tmp_path / "out", tmp_path / "store"
    line = f"{STUDY} --store {store} --out {out}"
    killed = command(killed_at(9, "study", f"uniqueness {line}", names=r"^shard-.*\.safetensors$"), status=None)
    assert killed.returncode == -9, killed.stderr
    there = shards(store)
    assert len(there) == 9
    assert not (out / "study.json").exists()
    assert study_here(line) == 0
    assert table(out) == table(whole / "out")
    after = shards(store)
    assert {path: after[path] for path in there} == there  # what was finished is kept
    assert (len(after), len(list((out / "records").glob("*.json")))) == (28, 6)
    for mine, theirs in zip(sorted(after), sorted(shards(whole / "store")), strict=True):
        assert mine.read_bytes() == theirs.read_bytes()


def test_two_processes_find_the_same(command: Command, whole: Path, tmp_path: Path) -> None:
    done = command(f"python scripts/study.py uniqueness {STUDY}", processes=2, figures=False)
    assert table(tmp_path / "study") == table(whole / "out")
    assert done.stdout.count("report.html") == 1  # one of them speaks
    (event, *_) = FeatureStore(tmp_path / "features").runs()[0].path.glob("provenance.jsonl")
    assert json.loads(event.read_text().splitlines()[0])["processes"] == 2


# -- mistakes ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def error_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hub: HubServer
) -> Any:
    """Runs a command that must fail in one line, with status 1 or 2, before weights load and without leaving files."""
    monkeypatch.chdir(tmp_path)
    loads = counted_loads(monkeypatch)

    def run(*line: str) -> str:
        capsys.readouterr()
        before = sorted(tmp_path.rglob("*"))
        try:
            status = main(["study", "uniqueness", "--quiet", *line])
        except SystemExit as error:  # a flag is wrong
            status = error.code  # type: ignore[assignment]
        assert status in (1, 2)
        said = capsys.readouterr()
        assert said.out == ""
        lines = [text for text in said.err.splitlines() if text.strip()]
        assert len(lines) == 1, said.err
        assert lines[0].startswith("vlalign study: error: ")
        assert loads == []
        assert sorted(tmp_path.rglob("*")) == before
        return lines[0]

    return run


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "--x dinov2-small --y llama-7b --op char_delete --rates 10 120",
            ["--rates: expected a number from 0 to 100"],
        ),
        ("--x dinov2-small --y llama-7b --op char_delet --rates 10", ["char_delet", "did you mean char_delete"]),
        ("--x dinov2-small --y dinov2-giant --op char_delete --rates 10", ["edits texts", "both sides read images"]),
        ("--x dinov2-small --y llama-7b --op pixel_noise --rates 10 --side y", ["--side y", "edits images"]),
        ("--x dinov2-smal --y llama-7b --op char_delete --rates 10", ["dinov2-small"]),
        ("--x dinov2-small --y llama-7b --rates 10", ["required: op: give --op"]),
        ("--x dinov2-small --y llama-7b --op char_delete", ["required: rates: give --rates"]),
        ("--x dinov2-small --y llama-7b --op char_delete:30 --rates 10", ["names a rate: leave it out"]),
        ("--x dinov2-small --y llama-7b --op char_delete --rates 100", ["20 of 20 captions empty", "--allow-empty"]),
        ("--x dinov2-small --y llama-7b --op char_delete --rates 10 --k 20", ["k=20", "N=20"]),
        ("--x dinov2-small --y llama-7b --op char_delete --rates 10 --metric mutual_nn", ["mutual_knn"]),
        ("--config none.yaml", ["cannot read the settings file none.yaml"]),
        ("--x dinov2-small --y llama-7b --op captions_file:file=none.json --rates 10", ["cannot read", "none.json"]),
        ("--x dinov2-small --y llama-7b --op captions_file --rates 10", ["needs a file"]),
    ],
)
def test_mistakes(error_of: Any, line: str, words: list[str]) -> None:
    message = error_of("--max-samples", "20", "--k", "5", *line.split())
    for word in words:
        assert word in message


def test_keys_of_files_that_nobody_knows(error_of: Any, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("x: dinov2-small\ny: llama-7b\nop: char_delete\nratse: [10]\n")
    message = error_of("--config", "study.yaml")
    assert "study.yaml: unknown key ratse (did you mean rates?)" in message


def test_captions_files_that_do_not_fit(error_of: Any, tmp_path: Path) -> None:
    def write(*rates: int) -> None:
        rows = [f"row-{i:06d},{rate},text {i}\n" for i in range(18) for rate in rates]
        (tmp_path / "edits.csv").write_text("id,rate,text\n" + "".join(rows))

    study = ["--x", "dinov2-small", "--y", "llama-7b", "--op", "captions_file:file=edits.csv"]
    write(10, 50)
    message = error_of(*study, "--rates", "10", "30", "--max-samples", "18")
    assert "edits.csv has no captions at 30 %: it has 10, 50" in message
    message = error_of(*study, "--rates", "10", "50", "--max-samples", "20")
    assert "edits.csv lacks 2 of 20 ids at 10 %: 'row-000018', 'row-000019'; it has ids such as 'row-000000'" in message
    write(0, 10)
    message = error_of(*study, "--rates", "10", "--max-samples", "18")
    assert "edits other captions: its unedited ones differ from the data's for 18 of 18 samples" in message


def test_the_folder_of_another_study(error_of: Any, whole: Path) -> None:
    line = f"{STUDY} --store {whole / 'store'} --out {whole / 'out'}".split()
    message = error_of(*line, "--seed", "3")
    assert "holds another study (seed was 0, is now 3): name another folder with --out" in message
    message = error_of(*line, "--metric", "cka")
    assert "metric was 'mutual_knn', is now 'cka'" in message


def test_a_dry_run_says_what_would_be_done(
    capsys: pytest.CaptureFixture[str], hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = counted_loads(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert main(["study", "uniqueness", *STUDY.split(), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "20 samples of minhuh/prh" in said
    for word in ("dinov2-small", "llama-7b", "bloomz-560m", "scores: "):
        assert word in said
    assert main(["study", "uniqueness", *STUDY.split(), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["samples"], plan["pairs"]) == (20, int(re.findall(r"scores: (\d+) pairs", said)[0]))
    assert {model["to_do"] for model in plan["models"]} == {20}
    monkeypatch.setattr("vlalign.extraction.plan.locate", Mock(side_effect=HubUnreachable("no network")))
    assert main(["study", "uniqueness", *STUDY.split(), "--data", "builtin:emoji", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"scores: {plan['pairs']} pairs" in said
    assert "llama-7b, bloomz-560m: 3 runs each" in said
    assert loads == []
    assert list(tmp_path.iterdir()) == []
