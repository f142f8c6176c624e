"""Training in processes of their own, one on each thread that torch may use on a CPU.

The passes are made of many small operations. Threads of one process would wait for each other between them (Python's
lock): two of them train 1.3 times slower than two processes. A worker is this module as a program; it is told the
settings and then one group of encoders after the other, a line of JSON each, and answers after every epoch.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from vlalign.errors import VlalignError
from vlalign.multibench.checkpoints import Member
from vlalign.multibench.config import MultibenchConfig, resolved

#: how a launcher tells a process of the others; a worker has none
_LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")


class Workers:
    """Processes that train, as many as ``count``; they end with the ``with`` block.

    Args:
        config: completed settings of the study.
        count: of the processes.
    """

    def __init__(self, config: MultibenchConfig, count: int) -> None:
        self._settings, self._count = json.dumps(resolved(config)), count
        self._all: list[subprocess.Popen[str]] = []
        self._free: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()

    def __enter__(self) -> Workers:
        root = str(Path(__file__).resolve().parents[2])
        kept = {name: value for name, value in os.environ.items() if name not in _LAUNCHED and name[:5] != "ACCEL"}
        path = os.pathsep.join(filter(None, [root, kept.get("PYTHONPATH")]))
        environment = kept | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        for _ in range(self._count):
            process = subprocess.Popen(
                [sys.executable, "-m", "vlalign.multibench.workers"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            )  # fmt: skip
            self._all.append(process)
            self._free.put(process)
            _say(process, self._settings)
        return self

    def __exit__(self, *rest: object) -> None:
        for process in self._all:
            process.kill()
        for process in self._all:
            process.communicate()

    def train(self, group: Sequence[Member], tick: Callable[[], None]) -> None:
        """Let a process that is free train the encoders of a group and write their files.

        Args:
            group: as :meth:`vlalign.multibench.study.MultibenchStudy.train` takes it.
            tick: called after every epoch; what it raises ends the wait.

        Raises:
            VlalignError: what went wrong in the process, or that it ended.
        """
        process = self._free.get()
        try:
            _say(process, json.dumps([asdict(member) for member in group]))
            assert process.stdout is not None
            for line in process.stdout:
                told = json.loads(line)
                if told == "done":
                    return
                if told != "epoch":
                    raise VlalignError(told["error"])
                tick()
            status = process.wait()
            raise VlalignError(
                f"a training process ended (status {status}) at {group[0].title}: if memory is short, lower ensemble "
                "or the number of threads (OMP_NUM_THREADS); what is finished is kept"
            )
        finally:
            self._free.put(process)


def _say(process: subprocess.Popen[str], line: str) -> None:
    """Tell a process a line; that it has ended is noticed where its answer is read."""
    assert process.stdin is not None
    try:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass


def main() -> int:
    """A worker: reads settings and groups from standard input until that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interruption is the other process's to deal with
    from vlalign.multibench.study import MultibenchStudy

    answers, sys.stdout = sys.stdout, sys.stderr  # whatever else is printed does not come between the answers

    def answer(told: Any) -> None:
        answers.write(f"{json.dumps(told)}\n")
        answers.flush()

    lines = iter(sys.stdin)
    study: MultibenchStudy | None = None
    settings = next(lines, None)
    for line in lines:
        try:
            study = study or MultibenchStudy(MultibenchConfig(**json.loads(settings or "{}")))
            study.train([Member(**one) for one in json.loads(line)], lambda: answer("epoch"))
        except VlalignError as error:
            answer({"error": str(error)})
        else:
            answer("done")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # nobody listens any more
        os._exit(1)
