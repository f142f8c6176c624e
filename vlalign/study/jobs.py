"""Long jobs: dealt to processes, run on the threads of a CPU or one after the other on an accelerator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

import torch

T = TypeVar("T")


class _Stopped(Exception):
    """Ends the threads of an interrupted run."""


def run_jobs(jobs: Iterable[T], work: Callable[[T, Callable[[], None]], object], device: torch.device) -> None:
    """Run ``work(job, check)`` for every job, in order; on a CPU as many at a time as torch may use threads.

    Each job then runs on one thread, so that its result does not depend on their number. The first error ends all jobs
    at their next call of ``check``, and is raised; so does an interruption.

    Args:
        jobs: what ``work`` takes.
        work: does one job; calls ``check`` now and then.
        device: where it computes.
    """
    cpu = device.type == "cpu"
    threads = torch.get_num_threads() if cpu else 1
    stop = Event()

    def check() -> None:
        if stop.is_set():
            raise _Stopped

    try:
        with ThreadPoolExecutor(threads, initializer=_one_thread if cpu else None) as pool:
            futures = [pool.submit(work, job, check) for job in jobs]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                stop.set()  # nothing is running any more unless something went wrong
                for future in futures:
                    future.cancel()
            for error in [future.exception() for future in futures if future.done() and not future.cancelled()]:
                if error is not None and not isinstance(error, _Stopped):
                    raise error
    finally:
        if cpu:
            torch.set_num_threads(threads)


def _one_thread() -> None:
    torch.set_num_threads(1)


def deal(jobs: Iterable[T], cost: Callable[[T], float], processes: int) -> list[list[T]]:
    """Return the jobs of each process: costly ones first, each to the process with the least work so far."""
    shares: list[list[T]] = [[] for _ in range(processes)]
    loads = [0.0] * processes
    for job in sorted(jobs, key=cost, reverse=True):
        least = loads.index(min(loads))
        shares[least].append(job)
        loads[least] += cost(job)
    return shares
