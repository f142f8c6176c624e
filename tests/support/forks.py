"""Commands in forks of a process that has the libraries imported: starting one takes 0.1 s instead of 5 s.

For tests in which the command is the point and starting it is not. Libraries that read the environment when they are
imported (``HF_HOME``, ``HF_ENDPOINT``) keep the settings of the test process.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from unittest import mock

from support.shown import sketched

WARM = [
    "accelerate", "datasets", "matplotlib.pyplot", "pandas", "pyarrow.parquet", "rich.table",
    "scipy.stats", "timm", "torch", "torch.distributed", "torch.utils.data", "torchvision.transforms",
    "transformers.models.auto", "transformers.models.llama.modeling_llama", "transformers.models.bloom.modeling_bloom",
    "huggingface_hub.hf_api", "vlalign.extraction.engine", "vlalign.multibench.study", "vlalign.report.score",
    "vlalign.scoring.batch", "vlalign.uniqueness.study", "vlalign.synthetic.study", "vlalign.hub.push",
    "support.freeze_at_import",
]  # fmt: skip
#: by program, the module with its ``main``; the processes that it launches are new ones
LAUNCHERS = {"accelerate": "accelerate.commands.accelerate_cli", "torchrun": "torch.distributed.run"}
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(WARM)
TESTS = str(Path(__file__).parents[1])


def start_server() -> None:
    """Start the process that imports the libraries and is forked, if it does not run."""
    with mock.patch.dict(os.environ, PYTHONPATH=TESTS):
        ensure_running()


class Fork:
    """A running command line.

    Args:
        line: ``vlalign …``, ``python script.py …``, ``python -c code …``, or a launcher's: ``accelerate launch …``.
        cwd: working folder.
        env: the whole environment; by default this process's.
        figures: draw figures; otherwise their files are written without drawing, which takes seconds.
    """

    def __init__(
        self, line: Sequence[str], *, cwd: str | Path, env: Mapping[str, str] | None = None, figures: bool = True
    ) -> None:
        self.line = list(line)
        self._folder = tempfile.TemporaryDirectory()
        self._output = [Path(self._folder.name, name) for name in ("stdout", "stderr")]
        outputs = [str(path) for path in self._output]
        start_server()
        settings = (self.line, str(cwd), dict(env or os.environ), outputs, figures)
        self._process = CONTEXT.Process(target=_run, args=settings)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def wait(self, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Return the finished command; its status is negative for a signal.

        Raises:
            subprocess.TimeoutExpired: still running after ``timeout`` seconds; it is killed.
        """
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            self._process.kill()
            self._process.join()
        stdout, stderr = (path.read_text(encoding="utf-8") if path.exists() else "" for path in self._output)
        self._folder.cleanup()
        if status is None:
            raise subprocess.TimeoutExpired(self.line, timeout, stdout, stderr)
        return subprocess.CompletedProcess(self.line, status, stdout, stderr)


def launch(
    line: Sequence[str],
    count: int,
    *,
    cwd: str | Path,
    env: Mapping[str, str] | None = None,
    figures: bool = True,
) -> tuple[Fork, ...]:
    """Start a command line as one process, or as several that find each other as those of a launcher do."""
    if count == 1:
        return (Fork(line, cwd=cwd, env=env, figures=figures),)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**(os.environ if env is None else env), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return tuple(
        Fork(line, cwd=cwd, env={**shared, "RANK": str(i), "LOCAL_RANK": str(i)}, figures=figures) for i in range(count)
    )


def unsynced(descriptor: object) -> None:
    """Do not wait for the disk: no test needs its files after a power cut, and each file waits 10 ms."""


def _run(line: list[str], cwd: str, env: dict[str, str], outputs: list[str], figures: bool) -> None:
    """Be the command, in the fork."""
    import torch
    from matplotlib.figure import Figure

    os.fsync = unsynced
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    torch.set_num_threads(int(env.get("OMP_NUM_THREADS", "1")))
    # as in a new process; the fork server's own method would import the libraries again for each loader of images
    multiprocessing.set_start_method("fork", force=True)
    if not figures:
        Figure.savefig = sketched
    sys.exit(_status(line))


def _status(line: list[str]) -> int:
    program = Path(line[0]).name
    try:
        if program == "vlalign":
            from vlalign.cli import main

            sys.argv = line
            return main()
        if program in LAUNCHERS:
            sys.argv = line
            return import_module(LAUNCHERS[program]).main() or 0
        assert program.startswith("python"), f"{program} cannot be forked"
        if line[1] == "-c":
            sys.argv = ["-c", *line[3:]]
            exec(compile(line[2], "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.argv = line[1:]
            sys.path.insert(0, str(Path(line[1]).resolve().parent))
            runpy.run_path(line[1], run_name="__main__")
        return 0
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
            return 1
        return stop.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
