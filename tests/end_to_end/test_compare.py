"""Leaderboard and comparison as users run them, from extraction on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from end_to_end.conftest import Command
from support.tiny import TinyModels

import vlalign
from vlalign.cli import main
from vlalign.report.commands import pair_commands

MODELS = ("llama", "bloom", "timm_dinov2_small", "timm_resnet")

OPTIONS = ["--k", "5", "--permutations", "50", "--half-samples", "10", "--no-figure", "-q"]


@pytest.fixture(scope="module")
def store(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two text and two vision models on the 24 rows, and one of them edited."""
    folder = tmp_path_factory.mktemp("compared") / "features"
    models = [str(tiny.path(name)) for name in MODELS]
    vlalign.extract(models, data=str(tiny.path("prh")), store=str(folder))
    vlalign.extract(models[0], data=str(tiny.path("prh")), store=str(folder), perturb="char_delete:50")
    return folder


@pytest.fixture(scope="module")
def results(store: Path) -> Path:
    """Records of all pairs of the store."""
    folder = store.parent / "results"
    assert main(["score", str(store), *OPTIONS, "--out", str(folder)]) == 0
    return folder


def test_the_leaderboard_script(command: Command, results: Path, tmp_path: Path) -> None:
    done = command(f"python scripts/leaderboard.py {results} --out site")
    assert "4 records, 4 models in 1 group" in done.stdout
    rows = json.loads((tmp_path / "site" / "leaderboard.json").read_text())["groups"][0]["rows"]
    assert {row["reference"] for row in rows} == set(MODELS)
    records = [vlalign.ScoreRecord.load(path) for path in results.glob("*.json")]
    assert sorted(row["score"] for row in rows) == sorted(2 * [record.score for record in records])
    assert len(list((tmp_path / "site" / "pairs").iterdir())) == 4


def test_the_command_of_a_pair_makes_its_record_again(
    command: Command, store: Path, results: Path, tmp_path: Path
) -> None:
    path = next(results.glob("timm_dinov2*llama*.json"))
    record = vlalign.ScoreRecord.load(path)
    (tmp_path / "features").symlink_to(store)
    command([*shlex.split(pair_commands(record)[-1]), "--out", "again", "--no-figure"])
    (again,) = [vlalign.ScoreRecord.load(found) for found in (tmp_path / "again").glob("*.json")]
    assert (again.matrix, again.null, again.interval) == (record.matrix, record.null, record.interval)


def test_comparing_runs_and_records(command: Command, store: Path, results: Path, tmp_path: Path) -> None:
    line = f"python scripts/compare.py llama bloom --store {store} --k 5 --half-samples 20"
    told = json.loads(command(f"{line} --json --figure d.pdf --style paper").stdout)["comparisons"]
    assert [one["reference"]["model"] for one in told] == ["timm_dinov2_small", "timm_resnet"]
    assert (tmp_path / "d.pdf").read_bytes().startswith(b"%PDF")
    assert "timm_resnet" in command(line).stdout
    twice = "--reference timm_resnet --reference timm_resnet"
    assert "p-value" in command(f"vlalign compare llama bloom --store {store} --k 5 --half-samples 2 {twice}").stdout
    assert {one["test"].pop("q_value") is not None for one in told} == {True}
    line = f"vlalign compare llama bloom --store {store} --k 5 --half-samples 20 --reference timm_resnet"
    assert "selected on one half of the samples" in command(line).stdout
    assert json.loads(command(f"{line} --json").stdout)["test"] == told[1]["test"]
    llama, bloom = (next(results.glob(f"timm_resnet*__{name}-*.json")) for name in ("llama", "bloom"))
    alone = command(["vlalign", "compare", str(llama), str(bloom)])
    assert "--store" in alone.stdout
    assert "half" not in alone.stdout
    line = ["vlalign", "compare", str(llama), str(bloom), "--store", str(store), "--half-samples", "20"]
    assert json.loads(command([*line, "--json"]).stdout)["test"] == told[1]["test"]


def test_edited_captions_and_groups(command: Command, store: Path, results: Path, tmp_path: Path) -> None:
    edited = f"vlalign compare llama 'llama char_delete:50' --store {store} --k 5 --half-samples 20"
    done = command(shlex.split(edited))
    assert "llama char_delete:50" in done.stdout
    assert (
        main(["score", str(store), "timm_resnet", "llama char_delete:50", *OPTIONS, "--out", str(tmp_path / "e")]) == 0
    )
    whole = str(next(results.glob("timm_resnet*__llama-*.json")))
    (part,) = map(str, (tmp_path / "e").glob("*.json"))
    refused = command(["vlalign", "compare", whole, part], status=1)
    assert "cannot be compared, they differ in data" in refused.stderr
    tested = command(["vlalign", "compare", whole, part, "--store", str(store), "--half-samples", "20"])
    assert "selected on one half" in tested.stdout
    ids = vlalign.FeatureStore(store).find("llama").ids
    (tmp_path / "groups.csv").write_text("id,group\n" + "".join(f"{name},{i // 2}\n" for i, name in enumerate(ids)))
    line = f"vlalign score {store} --k 5 --permutations 0 --half-samples 10 --no-figure -q --groups groups.csv --out g"
    command(line)
    pair = [str(next((tmp_path / "g").glob(f"timm_resnet*__{name}-*.json"))) for name in ("llama", "bloom")]
    failed = command(["vlalign", "compare", *pair, "--store", str(store), "--half-samples", "20"], status=1)
    assert "(groups.csv): give them with --groups FILE" in failed.stderr
    shown = command(
        ["vlalign", "compare", *pair, "--store", str(store), "--half-samples", "20", "--groups", "groups.csv"]
    )
    assert "N = 24 in 12 groups" in shown.stdout
    line = ["vlalign", "compare", *pair, "--store", str(store), "--half-samples", "20", "--groups", "groups.csv:group"]
    assert command(line).stdout == shown.stdout


def test_what_cannot_be_compared_is_said_in_one_line(
    store: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = str(next(results.glob("*.json")))
    for line, reason in (
        (["llama", "bloom", "--store", str(store), "--groups", "nowhere.csv"], "nowhere.csv"),
        (["llama", "llama", "--store", str(store)], "the same run"),
        (["llama", "bloom", "--store", str(store), "--reference", "llama"], "one of the two runs"),
        (["llama", "bloom", "--store", str(store), "--reference", "nothing"], "no run 'nothing'"),
        (["llama", "bloom", "--store", str(store), "--metric", "nothing"], "unknown metric"),
        (["llama", "bloom", "--store", str(store), "--k", "30"], "k"),
        ([record, "llama"], "llama is no file"),
        ([record, record], "same two runs"),
        ([record, str(results)], "holds 4 records"),
        ([record, record, "--k", "3"], "--k is for runs"),
        ([record, record, "--half-samples", "9"], "--half-samples is for the test of runs: name their store"),
        ([record, record, "--concat"], "--concat is for the test of runs"),
        (["llama", "timm_resnet", "--store", str(store)], "name what both are compared with by --reference"),
        (["llama", "bloom", "--store", str(store / "nowhere")], "nowhere"),
    ):
        assert main(["compare", *line]) == 1, line
        error = capsys.readouterr().err
        assert reason in error, error
        assert error.count("\n") == 1, error
