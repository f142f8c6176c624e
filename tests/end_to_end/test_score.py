"""Scoring a store from the command line and from Python."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from end_to_end.conftest import Command
from support.commands import status_of
from support.tiny import TinyModels

import vlalign
from vlalign.cli import main
from vlalign.errors import VlalignError
from vlalign.metrics import metric_names


@pytest.fixture(scope="module")
def store(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two text and two vision models on the 24 rows."""
    folder = tmp_path_factory.mktemp("scored") / "features"
    models = [str(tiny.path(name)) for name in ("llama", "bloom", "timm_dinov2_small", "timm_resnet")]
    vlalign.extract(models, data=str(tiny.path("prh")), store=str(folder))
    return folder


def slow_score(x: list[torch.Tensor], y: list[torch.Tensor], k: int) -> list[list[float]]:
    """The reference convention written plainly: clip at the exact quantile of all layers, cosine, sort, count."""

    def neighbours(layers: list[torch.Tensor]) -> list[list[set[int]]]:
        values = torch.cat([layer.flatten() for layer in layers]).abs().sort().values
        bound = float(values[int(0.95 * values.numel())])
        found = []
        for layer in layers:
            rows = torch.nn.functional.normalize(layer.clamp(-bound, bound), dim=1)
            products = rows @ rows.T
            products.fill_diagonal_(-1e8)
            found.append([set(row[:k].tolist()) for row in products.argsort(dim=1, descending=True)])
        return found

    lists_x, lists_y = neighbours(x), neighbours(y)
    n = len(x[0])
    return [[sum(len(a & b) for a, b in zip(p, q, strict=True)) / (n * k) for q in lists_y] for p in lists_x]


def test_the_verb(command: Command, store: Path, tmp_path: Path) -> None:
    done = command(f"python scripts/score.py {store} timm_dinov2_small llama --k 5 --permutations 200 --out results")
    assert "best of" in done.stdout
    (path,) = (tmp_path / "results").glob("*.json")
    assert path.with_suffix(".png").stat().st_size > 5000
    record = json.loads(path.read_text())
    features = vlalign.FeatureStore(store)
    x, y = features.find("timm_dinov2_small"), features.find("llama")
    expected = slow_score(x.features(), y.features(), 5)
    torch.testing.assert_close(torch.tensor(record["matrix"]), torch.tensor(expected))
    assert record["best"]["score"] == max(map(max, expected))
    assert record["chance"] == pytest.approx(5 / 23)
    assert record["null"]["asked"] == 200  # fewer are done where the score is clearly no better than chance
    assert record["null"]["permutations"] == (len(record["null"]["maxima"]) if record["null"]["stopped"] else 200)
    assert record["x"]["run"]["hash"] == x.key.hash
    assert record["y"]["run"]["facts"]["truncated"] == 0
    assert [layer["name"] for layer in record["axes"]["y"]] == ["embeddings", "block_0", "block_1", "block_2"]
    assert record["performance"]["y"]["bits_per_byte"] == pytest.approx(y.bits_per_byte())


def test_all_pairs_of_a_store(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(store), "--k", "5", "--permutations", "50", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    records = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    pairs = {(record["x"]["model"], record["y"]["model"]) for record in records}
    assert pairs == {(v, t) for v in ("timm_dinov2_small", "timm_resnet") for t in ("llama", "bloom")}
    assert len(list(tmp_path.glob("*.png"))) == 4 + 1  # each pair, and all in one
    assert all(name in said for pair in pairs for name in pair)


def test_a_full_report(command: Command, store: Path, tmp_path: Path) -> None:
    line = f"vlalign score {store} timm_dinov2_small llama --k 5 --permutations 50 --half-samples 10 --report full"
    done = command(line)
    (path,) = (tmp_path / "results").glob("*.json")
    figures = [path.with_suffix(end) for end in (".png", ".null.png", ".curves.png")]
    samples = path.with_suffix(".samples.parquet")
    assert sorted((tmp_path / "results").iterdir()) == sorted([path, samples, *figures])
    assert str(samples.relative_to(tmp_path)) in done.stdout
    assert all(figure.stat().st_size > 5000 for figure in figures)
    for said in ("best layer pairs", "the maximum over layer pairs", "effective dimensions", "against N", "against k"):
        assert said in done.stdout
    record = vlalign.ScoreRecord.load(path)
    assert sorted(record.samples()["id"]) == sorted(vlalign.FeatureStore(store).find("llama").ids)
    assert record.curves is not None
    assert record.interval is not None
    assert record.interval["maximum"]["count"] == 10


def test_every_metric(command: Command, store: Path, tmp_path: Path) -> None:
    options = "--metric all --metric cka:kernel=rbf,bandwidth=median --permutations 0 --half-samples 0 --no-figure"
    done = command(f"vlalign score {store} timm_dinov2_small llama {options} --out all")
    records = [vlalign.ScoreRecord.load(path) for path in (tmp_path / "all").glob("*.json")]
    assert sorted(record.metric["name"] for record in records) == sorted([*metric_names(), "cka"])
    assert all(record.null is record.interval is None for record in records)
    assert not list((tmp_path / "all").glob("*.png"))
    with (tmp_path / "all" / "scores.csv").open() as file:
        table = {line["record"]: float(line["score"]) for line in csv.DictReader(file)}
    assert table == {record.filename: record.score for record in records}
    assert "records  18 in all\n" in done.stdout
    listed = json.loads(command("vlalign metrics --json").stdout)
    assert [entry["name"] for entry in listed] == metric_names()


def test_groups(command: Command, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    features = vlalign.FeatureStore(store)
    ids = features.find("llama").ids
    (tmp_path / "groups.csv").write_text("id,group\n" + "".join(f"{name},{i // 2}\n" for i, name in enumerate(ids)))
    options = "--k 5 --permutations 20 --half-samples 4 --no-figure"
    line = ["score", str(store), "timm_dinov2_small", "llama", *options.split()]
    done = command(["vlalign", *line, "--groups", "groups.csv"])
    (record,) = [vlalign.ScoreRecord.load(path) for path in (tmp_path / "results").glob("*.json")]
    assert {"source": "groups.csv", "groups": 12, "largest": 2}.items() <= record.pairing["groups"].items()
    assert "of 12 groups" in done.stdout
    (tmp_path / "table.csv").write_text("sku,shop\n" + "".join(f"{name},{i // 2}\n" for i, name in enumerate(ids)))
    table = ["--groups", str(tmp_path / "table.csv:shop"), "--id-column", "sku"]
    assert main([*line, "--out", str(tmp_path / "column"), *table]) == 0
    (same,) = [vlalign.ScoreRecord.load(path) for path in (tmp_path / "column").glob("*.json")]
    assert (same.null, same.interval) == (record.null, record.interval)
    assert main([*line, "--out", str(tmp_path / "exact"), "--groups", "exact"]) == 0
    (record,) = [vlalign.ScoreRecord.load(path) for path in (tmp_path / "exact").glob("*.json")]
    rows = [features.find(name).features()[-1] for name in ("timm_dinov2_small", "llama")]
    distinct = all(len(torch.unique(side, dim=0)) == len(side) for side in rows)
    assert (record.pairing["groups"] is None) == distinct
    (tmp_path / "part.csv").write_text(f"id,group\n{ids[0]},0\n")
    (tmp_path / "groups.txt").write_text("0\n" * 24)
    capsys.readouterr()
    for name, word in (("none.csv", "there is no file"), ("part.csv", "23 of 24"), ("groups.txt", ".parquet")):
        assert main([*line, "--out", str(tmp_path / "wrong"), "--groups", str(tmp_path / name)]) == 1
        (said,) = capsys.readouterr().err.strip().splitlines()
        assert name in said
        assert word in said


def test_from_python(store: Path) -> None:
    features = vlalign.FeatureStore(store)
    x, y = features.find("timm_resnet"), features.find("bloom")
    by_run = vlalign.score(x, y, k=5, permutations=0)
    by_tensor = vlalign.score(x.features(), y.features(), k=5, permutations=0)
    assert by_run.matrix == by_tensor.matrix
    same = vlalign.score(x, x, k=5, permutations=0)
    assert same.score == 1.0
    one = vlalign.score(torch.randn(30, 4), torch.randn(30, 6), k=3, permutations=99)
    assert len(one.matrix) == len(one.matrix[0]) == 1
    assert one.p_value is not None


def test_mistakes(store: Path, tiny: TinyModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, word in (
        ([store, "llama", "lama"], "llama"),
        ([store, "llama"], "two runs"),
        ([store, "llama", "bloom", "--k", "24"], "24"),
        ([store, "llama", "bloom", "--k", "0"], "k"),
        ([store, "llama", "bloom", "--metric", "mutual_nn"], "mutual_knn"),
        ([store, "llama", "bloom", "--metric", "cka:kernel"], "name=value"),
        ([store, "llama", "bloom", "--metric", "cka:kernel=poly"], "poly"),
        ([store, "llama", "bloom", "--metric", "cka", "--metric", "rsa:distance=l1"], "euclidean"),
        ([store, "llama", "bloom", "--half-samples", "1"], "half-samples"),
        ([tmp_path / "none"], "does not exist"),
        ([store, "llama", "bloom", "--out", "/proc/x"], "/proc"),
    ):
        assert status_of(["score", "--out", tmp_path / "out", *arguments]) in (1, 2)
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert word in lines[0]
    with pytest.raises(SystemExit, match="2"):
        main(["score", str(store), "llama", "bloom", "--preset", "platon", "--out", str(tmp_path / "out")])
    assert "did you mean platonic?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_stores_of_different_samples_do_not_pair(tiny: TinyModels, tmp_path: Path) -> None:
    for name, ids in (("one", "abcdef"), ("two", "abcdeg")):
        (tmp_path / f"{name}.csv").write_text("id,text\n" + "".join(f"{i},text number {i}\n" for i in ids))
    runs = [
        vlalign.extract(str(tiny.path("llama")), data=str(tmp_path / f"{name}.csv"), store=str(tmp_path / name))[0]
        for name in ("one", "two")
    ]
    with pytest.raises(VlalignError, match=r"'f'.*'g'|'g'.*'f'"):
        vlalign.score(*runs, k=2)


def test_samples_pair_by_id_whatever_their_order(tiny: TinyModels, tmp_path: Path) -> None:
    rows = [f"{i},a picture of number {i} {'and more' * (i % 3)}" for i in range(12)]
    (tmp_path / "one.csv").write_text("id,text\n" + "\n".join(rows) + "\n")
    (tmp_path / "two.csv").write_text("id,text\n" + "\n".join(rows[::-1]) + "\n")
    runs = [
        vlalign.extract(str(tiny.path("llama")), data=str(tmp_path / f"{name}.csv"), store=str(tmp_path / name))[0]
        for name in ("one", "two")
    ]
    assert runs[0].ids == runs[1].ids[::-1]
    record = vlalign.score(*runs, k=3, permutations=0)
    assert [record.matrix[i][i] for i in range(4)] == [1.0] * 4


def test_models_and_runs_are_listed(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("llama-7b", "dinov2-giant", "6.74 B", "apache-2.0"))
    assert main(["models", "--set", "prh", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 29
    assert main(["models", "--family", "nothing"]) == 1
    assert "dinov2" in capsys.readouterr().err
    assert main(["runs", str(store)]) == 0
    assert "timm_resnet" in capsys.readouterr().out


def test_runs_of_one_model_are_told_apart(tiny: TinyModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for dtype in ("float32", "bfloat16"):
        vlalign.extract(tiny.path("llama"), data=tiny.path("prh"), store=tmp_path / "s", dtype=dtype)
    vlalign.extract(tiny.path("bloom"), data=tiny.path("prh"), store=tmp_path / "s")
    capsys.readouterr()
    line = [
        "score",
        str(tmp_path / "s"),
        "--k",
        "3",
        "--permutations",
        "0",
        "--no-figure",
        "--out",
        str(tmp_path / "r"),
    ]
    assert main(line) == 0
    said = capsys.readouterr().out
    assert "llama (float32)" in said
    assert "llama (bfloat16)" in said
    assert "bloom (" not in said
    assert len(list((tmp_path / "r").glob("*.json"))) == 3


BLOCKS = """
import os, signal, sys, vlalign.cli
from vlalign.metrics.engine import neighbours
neighbours.BLOCK_BYTES = 300 * 4 * 50
search, count = neighbours.NeighbourSearch.block, [0]
def block(*arguments):
    count[0] += 1
    if DIES and count[0] == 2 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return search(*arguments)
neighbours.NeighbourSearch.block = block
status = vlalign.cli.main(sys.argv[1:])
print("blocks", count[0], file=sys.stderr)
sys.exit(status)
"""


def test_several_processes_share_out_a_score(command: Command, tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    shared = torch.randn(300, 1, 6, generator=draw)
    for side in "xy":
        layers = shared + torch.randn(300, 2, 6, generator=draw)
        layers[:9] = layers[:1]  # ties
        np.save(tmp_path / f"{side}.npy", layers.numpy())
    flags = ["--permutations", "70", "--half-samples", "5", "--no-figure", "--quiet", "--out"]

    def score_with(processes: int, dies: bool = False, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        out = "killed" if dies else str(processes)
        line = ["python", "-c", BLOCKS.replace("DIES", str(dies)), "score", "x.npy", "y.npy", *flags, out]
        return command(line, processes=processes, status=status)

    ends = {processes: score_with(processes) for processes in (1, 2)}
    records = {}
    for processes, end in ends.items():
        (path,) = (tmp_path / str(processes)).glob("*.json")
        records[processes] = {k: v for k, v in json.loads(path.read_text()).items() if k != "seconds"}
        assert end.stdout.count("x × y") == ends[1].stdout.count("x × y") > 0  # the main process alone shows it
    assert records[1] == records[2]
    blocks = {processes: [int(n) for n in re.findall(r"blocks (\d+)", end.stderr)] for processes, end in ends.items()}
    assert sum(blocks[2]) == blocks[1][0]
    assert max(blocks[2]) <= 0.6 * blocks[1][0]
    (line,) = [line for line in score_with(2, dies=True, status=None).stderr.splitlines() if "blocks" not in line]
    assert "another of the processes launched together ended" in line
