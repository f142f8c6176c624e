"""Running the project's commands as users do: as subprocesses, with nothing but the environment changed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.hub import HubServer

ROOT = Path(__file__).resolve().parents[2]

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(hub: HubServer, tmp_path: Path) -> Command:
    """Runs a command line in a folder that has the project's ``scripts/``, against the stand-in Hub.

    ``command("accelerate launch scripts/extract.py --model llama-7b")`` returns the finished process; a status other
    than ``status`` fails the test with what the command printed.
    """
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")

    def run(
        line: str | Sequence[str],
        *,
        status: int | None = 0,
        token: str | None = None,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        variables: dict[str, Any] = hub.env(tmp_path / "home", token=token)
        variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        variables["COLUMNS"] = "140"
        # one thread each, so that results do not depend on how many threads a launcher leaves to a process
        variables |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} | (env or {})
        done = subprocess.run(
            line.split() if isinstance(line, str) else list(line),
            cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        if status is not None and done.returncode != status:
            pytest.fail(f"{line}: status {done.returncode}, not {status}\n{done.stdout}\n{done.stderr}")
        return done

    return run
