"""Sharing as users do it: the commands against the stand-in Hub, and `datasets` as a reader."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from end_to_end.conftest import Command
from support.features import contents, make_key, make_run, make_store
from support.forks import Fork
from support.hub import STRANGER, TOKEN, HubServer

from vlalign import ScoreRecord
from vlalign.cli import main
from vlalign.report.commands import pair_commands
from vlalign.scoring.naming import precision_of
from vlalign.store import FeatureStore


@pytest.fixture(autouse=True)
def calm(hub: HubServer) -> Iterator[None]:
    hub.uploads.clear()
    yield
    hub.fault = None


def test_push_load_pull_score(
    command: Command, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path / "features")
    dry = command("vlalign push features --repo owner/e2e --dry-run", token=TOKEN)
    assert "nothing was uploaded" in dry.stdout
    assert "llama-7b--char_delete-30" in dry.stdout
    assert "datasets/owner/e2e" not in hub.repos
    done = command("python scripts/push.py features --repo owner/e2e --dtype float32 --tag v1", token=TOKEN)
    assert "bit for bit" in done.stdout
    assert "datasets/owner/e2e (commit" in done.stdout
    again = command("vlalign push features --repo owner/e2e --dtype float32 -q", token=TOKEN)
    assert "holds all of it already" in again.stdout

    from datasets import load_dataset

    run = store.find("llama-7b")
    rows = load_dataset("owner/e2e", "llama-7b", split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["id"][:] == run.ids
    assert (rows.with_format("numpy")["layer_01"][:] == run.load(1).numpy()).all()

    command("vlalign pull owner/e2e --revision v1 --store pulled")
    assert contents(tmp_path / "pulled") == contents(store.root)
    assert "3 complete run(s)" in command("vlalign verify pulled").stdout
    assert "unchanged" in command("python scripts/pull.py owner/e2e --store pulled --config dinov2-small").stdout
    code = "from vlalign.cli import main; import sys; sys.exit(main(sys.argv[1:6]) or main(sys.argv[6:]))"
    lines = "pull owner/e2e --store pulled -q pull owner/e2e --store elsewhere --config llama-7b -q"
    offline = command(["python", "-c", code, *lines.split()], env={"HF_HUB_OFFLINE": "1"})
    assert "unchanged" in offline.stdout
    for name in ("features", "pulled"):
        command(f"vlalign score {name} dinov2-small llama-7b --out {name}-results --no-figure --permutations 50")
    (a,), (b,) = ([*(tmp_path / f"{name}-results").glob("*.json")] for name in ("features", "pulled"))
    one, two = json.loads(a.read_text()), json.loads(b.read_text())
    for part in ("x", "y", "matrix", "best", "null", "interval", "performance"):
        assert one[part] == two[part]

    done = command("vlalign push-results features-results pulled-results --repo owner/e2e-results", token=TOKEN)
    assert "records   2 new" in done.stdout
    done = command("vlalign leaderboard owner/e2e-results features-results --out site")
    assert "records" in done.stdout
    board = (tmp_path / "site" / "leaderboard.json").read_text(encoding="utf-8")
    assert "owner/e2e-results" in board  # the source of its rows
    command("python scripts/push_results.py owner/e2e-results --repo owner/e2e-again --private", token=TOKEN)
    assert hub.repos["datasets/owner/e2e-again"].private
    assert hub.files("datasets/owner/e2e-again").keys() >= hub.files("datasets/owner/e2e-results").keys()


def test_float16_scores_within_the_stated_precision(command: Command, tmp_path: Path) -> None:
    make_store(tmp_path / "features")
    assert "off by at most" in command("vlalign push features --repo owner/e2e-16 --perturb none", token=TOKEN).stdout
    command("vlalign pull owner/e2e-16 --store pulled")
    assert "stored as" in command("vlalign runs pulled").stdout
    found = []
    for name in ("features", "pulled"):
        command(f"vlalign score {name} dinov2-small llama-7b --out {name}-r --no-figure --metric cka --permutations 0")
        (path,) = (tmp_path / f"{name}-r").glob("*.json")
        found.append(ScoreRecord.load(path))
    assert found[1].score == pytest.approx(found[0].score, abs=1e-3)
    shutil.rmtree(tmp_path / "features")  # the commands that a leaderboard tells make the rounded score again
    first, second, last = pair_commands(found[1])
    for line in (first, second, f"{last} --out again --no-figure"):
        command(line)
    (path,) = (tmp_path / "again").glob("*.json")
    again = ScoreRecord.load(path)
    assert (again.x, again.y, again.matrix) == (found[1].x, found[1].y, found[1].matrix)
    assert precision_of(again.x) == "float32, stored as float16"


def test_single_layers_are_read_lazily(
    command: Command, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "features", make_key("wide"), n=512, widths=[2048] * 16, shard_rows=128)
    command("vlalign push features --repo owner/e2e-wide", token=TOKEN)
    from datasets import load_dataset

    hub.clear()
    rows = load_dataset("owner/e2e-wide", "wide", split="train", columns=["id", "layer_05"], streaming=True)
    assert sum(len(row["layer_05"]) for row in rows) == 512 * 2048
    sent = sum(request.sent for request in hub.requests if (request.file or "").endswith(".parquet"))
    (whole,) = (blob.size for path, blob in hub.files("datasets/owner/e2e-wide").items() if path.endswith(".parquet"))
    assert whole > 32e6
    assert sent < 0.5 * whole  # 2 MB of them are the layer, the rest is what fsspec reads ahead


def test_killed_while_uploading(command: Command, hub: HubServer, tmp_path: Path) -> None:
    make_store(tmp_path / "features")
    puts: list[str] = []
    process: Fork

    def interrupt(method: str, path: str) -> int | None:
        if method == "PUT" and path.startswith("/lfs-upload/"):
            puts.append(path)
        elif method == "POST" and "/commit/" in path:
            os.kill(process.pid, signal.SIGINT)
            time.sleep(0.5)
            return 500
        return None

    hub.fault = interrupt
    line = ["vlalign", "push", "features", "--repo", "owner/e2e-killed"]
    process = Fork(line, cwd=tmp_path, env=hub.env(tmp_path / "home", token=TOKEN))
    done = process.wait()
    assert done.returncode == 130
    assert "interrupted; what is finished is kept, the same command continues from it" in done.stderr
    assert "Traceback" not in done.stderr
    assert set(hub.files("datasets/owner/e2e-killed")) <= {".gitattributes"}
    hub.fault = None
    hub.clear()
    assert "pushed" in command("vlalign push features --repo owner/e2e-killed", token=TOKEN).stdout
    assert len(set(puts)) == len(puts) == 4  # three shards and the norms of one
    assert not [request for request in hub.requests if request.path.startswith("/lfs-upload/")]
    command("vlalign pull owner/e2e-killed --store pulled")
    assert len(FeatureStore(tmp_path / "pulled").runs()) == 3


def test_errors_are_one_line(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_store(tmp_path / "features")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.json").write_text('{"format": 1, "matrix": []}')
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["push", "features", "--repo", "owner/e2e-errors", "--private", "-q"]) == 0
    capsys.readouterr()
    before = set(hub.repos)
    push = "vlalign push features --repo"
    for line, token, reason in (
        (f"{push} owner/e2e-new", None, "no token of the Hub: log in with `hf auth login` or set HF_TOKEN"),
        (f"{push} minhuh/prh", STRANGER, "this token may not write to data set 'minhuh/prh'"),
        (f"{push} strangers/new", TOKEN, "cannot create one"),
        (f"{push} minhuh/prh --revision wit_1024", TOKEN, "holds something else"),
        (f"{push} owner/e2e-errors --dtype float32", TOKEN, "give --force to replace them"),
        (f"{push} owner/e2e-new --model llama", TOKEN, "did you mean llama-7b"),
        ("vlalign push nothing --repo owner/e2e-new", TOKEN, "the feature store nothing does not exist"),
        ("vlalign pull owner/e2e-errors --store p", None, "is not on the Hub, or is private"),
        ("vlalign pull owner/never --store p", TOKEN, "is not on the Hub, or is private"),
        ("vlalign pull owner/e2e-errors --store p --revision v7", TOKEN, "has no revision 'v7'"),
        ("vlalign pull owner/e2e-errors --store p --config lama-7b", TOKEN, "did you mean llama-7b"),
        ("vlalign pull minhuh/prh --store p --revision wit_1024", TOKEN, "holds no features that vlalign pushed"),
        ("vlalign push-results empty --repo owner/e2e-new", TOKEN, "no score records in empty"),
        ("vlalign push-results broken --repo owner/e2e-new", TOKEN, "has record format 1, this vlalign reads 2"),
        ("vlalign push-results owner/never --repo owner/e2e-new", TOKEN, "no local file or folder owner/never"),
    ):
        monkeypatch.setenv("HF_TOKEN", token or "")
        assert main(line.split()[1:]) == 1, line
        said = capsys.readouterr().err.strip().splitlines()
        assert reason in said[-1], (line, said)
        assert said[-1].startswith("vlalign "), said
        assert "Traceback" not in "".join(said)
    assert set(hub.repos) == before
    assert not (tmp_path / "p").exists()
