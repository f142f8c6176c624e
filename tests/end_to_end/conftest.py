"""Running the project's commands as users do: in processes that differ in their environment only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.forks import launch
from support.hub import HubServer

ROOT = Path(__file__).resolve().parents[2]

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(hub: HubServer, tmp_path: Path) -> Command:
    """Run a command line in a folder that has the project's ``scripts/``, against the stand-in Hub.

    ``command("vlalign extract --model llama-7b")`` returns the finished process; a status other than ``status`` fails
    the test with what the command printed. ``vlalign``, ``python SCRIPT`` and ``python -c`` run in a fork that has the
    libraries imported, or in several such ``processes`` that find each other; their outputs are joined. So do
    launchers, which start new processes. ``python -m`` and commands with variables (``env``) run in a new process. All
    use the caches of the test process. ``figures=False`` writes files of figures without drawing them.
    """
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")

    def run(
        line: str | Sequence[str],
        *,
        status: int | None = 0,
        processes: int = 1,
        token: str | None = None,
        env: dict[str, str] | None = None,
        figures: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        words = line.split() if isinstance(line, str) else list(line)
        # one thread each, so that results do not depend on how many threads a launcher leaves to a process
        variables = {**os.environ, "COLUMNS": "140", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **(env or {})}
        variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        variables["HF_TOKEN"] = token or ""
        if env is None and words[1] != "-m":
            ends = [fork.wait() for fork in launch(words, processes, cwd=tmp_path, env=variables, figures=figures)]
            outputs = ("".join(end.stdout for end in ends), "".join(end.stderr for end in ends))
            done = subprocess.CompletedProcess(words, max((end.returncode for end in ends), key=abs), *outputs)
        else:
            done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=240)
        if status is not None and done.returncode != status:
            pytest.fail(f"{line}: status {done.returncode}, not {status}\n{done.stdout}\n{done.stderr}")
        return done

    return run
