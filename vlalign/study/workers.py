"""Worker processes for training on a CPU, one thread each.

Training consists of many small operations. Threads of one process wait for each other between them (Python's lock):
two threads train 1.3 times slower than two processes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, TypeVar

from vlalign.errors import VlalignError

T = TypeVar("T")

#: variables by which a launcher describes a group of processes; a worker does not belong to it
_LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")
_POLL = 0.1  # seconds between looks at the progress of the workers
_ticks: Any = None  # in a worker: the queue to the main process


def run_in_workers(
    work: Callable[[T, Callable[[], None]], object], jobs: Sequence[T], count: int, tick: Callable[[T], None]
) -> None:
    """Call ``work(job, tick)`` for every job, in ``count`` processes that end with this call.

    The first error ends all jobs and is raised; so does an interruption. The processes are spawned: a script that
    calls this must do so under ``if __name__ == "__main__":``.

    Args:
        work: a function of a module, that calls its ``tick`` now and then.
        jobs: its first arguments, which can be pickled, in order of their start.
        count: number of processes.
        tick: called here with a job after each of its ticks; what it raises ends all jobs.

    Raises:
        VlalignError: a process ended early, for example for lack of memory; or any error of ``work``.
    """
    context = get_context("spawn")
    ticks, (alive, parent) = context.SimpleQueue(), context.Pipe(duplex=False)

    def report() -> None:
        while not ticks.empty():
            tick(jobs[ticks.get()])

    pool = ProcessPoolExecutor(count, context, _start, (ticks, alive))
    try:
        futures = [pool.submit(_work, work, job, at) for at, job in enumerate(jobs)]
        pending = set(futures)
        while pending:
            done, pending = wait(pending, _POLL, FIRST_EXCEPTION)
            report()
            for future in done:
                future.result()
    except BrokenProcessPool as error:
        raise VlalignError(
            "a training process ended early: if memory is short, lower ensemble or the number of threads "
            "(OMP_NUM_THREADS); finished encoders are kept (a script must start a study under `if __name__ == "
            "'__main__':`)"
        ) from error
    finally:
        parent.close()  # ends the workers, whatever they do
        pool.shutdown(cancel_futures=True)


def _start(ticks: Any, alive: Connection) -> None:
    """Prepare a worker: one thread, no launcher, and an end as soon as the other end of ``alive`` is closed."""
    import torch

    global _ticks
    _ticks = ticks
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process handles an interruption
    for name in [name for name in os.environ if name in _LAUNCHER or name.startswith("ACCEL")]:
        del os.environ[name]
    torch.set_num_threads(1)
    Thread(target=_end_with, args=(alive,), daemon=True).start()


def _end_with(alive: Connection) -> None:
    alive.poll(None)
    os._exit(1)


def _work(work: Callable[[T, Callable[[], None]], object], job: T, at: int) -> None:
    work(job, lambda: _ticks.put(at))
