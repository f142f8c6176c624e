"""A sample of the kill campaign (``make chaos`` runs all of it), and what it would notice."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.kills import differences, in_child, run_forked, tree

KILLS = 11
#: of the sample; the others draw figures or extract twice, which takes longer
QUICK = (
    "prepare",
    "import",
    "score",
    "synthetic",
    "synthetic-data",
    "multibench",
    "leaderboard",
    "perturb",
    "push",
    "pull",
    "extract",
)


@pytest.mark.timeout(900)
def test_killed_anywhere_and_run_again() -> None:
    """In a process of its own: threads of this one would not survive a fork."""
    command = [sys.executable, "-m", "chaos.campaign", "--kills", str(KILLS), *QUICK]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=800, check=False)
    lines = [line for line in done.stdout.splitlines() if re.match(r"[a-z-]+, \d+ of \d+: ", line)]
    assert [line for line in lines if not line.endswith(": made good")] == []
    assert len(lines) == KILLS, done.stderr[-2000:]
    assert {line.partition(",")[0] for line in lines} == set(QUICK)
    assert done.returncode == 0


# -- the instruments ---------------------------------------------------------------------------------------------------
def test_the_kill_comes_just_before_the_change(tmp_path: Path) -> None:
    from chaos.kills import _watch

    def act() -> None:
        _watch(tmp_path, 4)
        (tmp_path / "a").mkdir()  # 1
        (tmp_path / "b").write_text("x")  # 2
        (tmp_path / "b").read_text()
        with (tmp_path / "b").open("ab") as file:  # 3
            os.fsync(file.fileno())  # 4
        (tmp_path / "c").touch()

    assert in_child(act) == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_what_is_left_missing_or_different_is_noticed(tmp_path: Path) -> None:
    for name, left in (("a", "x"), ("b", "y")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "same.json").write_text(json.dumps({"seconds": name, "score": 1}))
        (folder / "page.html").write_text(f"score 1 in {ord(name)} s")
        (folder / "provenance.jsonl").write_text(name)
        (folder / "other.json").write_text(json.dumps({"score": name}))
        (folder / left).touch()
    found = differences(tree(tmp_path / "a"), tree(tmp_path / "b"))
    assert found == ["left behind: y", "missing: x", "differs: other.json"]


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    status, said = run_forked(["runs", "nothing"], tmp_path / "work")
    assert status == 1
    assert "the feature store nothing does not exist" in said
