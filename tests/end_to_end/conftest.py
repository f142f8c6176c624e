"""Running the project's commands as users do: in processes that differ in their environment only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.forks import Fork
from support.hub import HubServer

ROOT = Path(__file__).resolve().parents[2]

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(hub: HubServer, tmp_path: Path) -> Command:
    """Run a command line in a folder that has the project's ``scripts/``, against the stand-in Hub.

    ``command("vlalign extract --model llama-7b")`` returns the finished process; a status other than ``status`` fails
    the test with what the command printed. ``vlalign``, ``python SCRIPT`` and ``python -c`` run in a fork that has the
    libraries imported and shares the caches of the test process. Launchers, ``python -m`` and commands with variables
    (``env``) run in a new process with empty caches.
    """
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")

    def run(
        line: str | Sequence[str],
        *,
        status: int | None = 0,
        token: str | None = None,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        words = line.split() if isinstance(line, str) else list(line)
        # one thread each, so that results do not depend on how many threads a launcher leaves to a process
        variables = {"COLUMNS": "140", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} | (env or {})
        if env is None and words[0] in ("vlalign", "python", sys.executable) and words[1] != "-m":
            done = Fork(words, cwd=tmp_path, env={**os.environ, **variables, "HF_TOKEN": token or ""}).wait()
        else:
            variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
            variables = hub.env(tmp_path / "home", token=token) | variables
            done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=240)
        if status is not None and done.returncode != status:
            pytest.fail(f"{line}: status {done.returncode}, not {status}\n{done.stdout}\n{done.stderr}")
        return done

    return run
