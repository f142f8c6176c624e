"""The workflow of a community's leaderboard: its scripts, as GitHub runs them, against the stand-in Hub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from end_to_end.conftest import ROOT
from support.features import make_key, make_run
from support.hub import STRANGER, TOKEN, HubServer

from vlalign.hub import push, push_results
from vlalign.scoring import score

WORKFLOW = ROOT / "examples" / "leaderboard" / "leaderboard.yml"
NAMES = {"RESULTS": "somebody/alignment", "FEATURES": "somebody/features", "SPACE": "somebody/board", "SAMPLE": "5"}


def scripts(job: str) -> list[str]:
    """Return the scripts of a job, but the installation."""
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"][job]["steps"]
    return [step["run"] for step in steps if not step.get("run", "pip").startswith("pip")]


@pytest.mark.skipif(not shutil.which("bash"), reason="bash, as on GitHub's machines")
@pytest.mark.timeout(600)
def test_pull_requests_are_checked_and_the_board_is_rebuilt(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(job: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        env = {**os.environ, **NAMES, "PATH": path, "HF_TOKEN": TOKEN, "GITHUB_RUN_ID": "7"}
        (tmp_path / "work").mkdir(exist_ok=True)
        words = ["bash", "-eo", "pipefail", "-c", "\n".join(scripts(job))]
        return subprocess.run(words, cwd=tmp_path / "work", env=env, capture_output=True, text=True, timeout=200)

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    runs = [make_run(tmp_path / "features", make_key(*one)) for one in (("llama-7b",), ("dinov2-small", "vision"))]
    for metric in ("mutual_knn", "unbiased_cka", "svcca"):
        score(*runs, metric=metric, permutations=0, half_samples=0).save(tmp_path / metric / "record.json")
    altered = tmp_path / "svcca" / "record.json"
    record = json.loads(altered.read_text())
    at = [record["best"][side]["position"] for side in "xy"]
    record["matrix"][at[0]][at[1]] = record["best"]["score"] = 0.999
    altered.write_text(json.dumps(record))
    push(tmp_path / "features", NAMES["FEATURES"])
    push_results([str(tmp_path / "mutual_knn")], NAMES["RESULTS"])
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    for metric in ("unbiased_cka", "svcca"):
        push_results([str(tmp_path / metric)], NAMES["RESULTS"], create_pr=True)

    board = hub.repos[f"datasets/{NAMES['RESULTS']}"]
    done = run("check")
    assert done.returncode == 1, done.stdout + done.stderr  # as one record differs
    comments = dict(board.comments)
    assert "1 verified, 0 differs" in comments[1], comments
    assert "0 verified, 1 differs" in comments[2]
    assert "score 0.999 recorded" in comments[2]
    assert run("check").returncode == 0  # both were checked
    assert len(board.comments) == 2

    board.merge(1)
    done = run("rebuild")
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"unbiased_cka" in hub.files(f"datasets/{NAMES['RESULTS']}")["README.md"].read()
    assert len([path for path in hub.files(f"spaces/{NAMES['SPACE']}") if path.startswith("pairs/")]) == 2
