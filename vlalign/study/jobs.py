"""Long jobs: dealt over processes, on the threads of a CPU or one after the other on an accelerator, with a bar."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event, Lock
from typing import Any, TypeVar

import torch

T = TypeVar("T")
_LOOK = 5.0  # seconds between looks for the files of other processes


class _Stopped(Exception):
    """Ends the threads of an interrupted run."""


def run_jobs(jobs: Iterable[T], work: Callable[[T, Callable[[], None]], object], device: torch.device) -> None:
    """``work(job, check)`` for every job, in order; on a CPU as many at a time as torch may use threads.

    Each job then runs on one thread, so that its result does not depend on their number. The first error ends all jobs
    at their next call of ``check``, and is raised; so does an interruption.

    Args:
        jobs: whatever ``work`` takes.
        work: does one; calls ``check`` now and then.
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
    """The jobs of each process, costly ones first, each to the process that has least to do."""
    shares: list[list[T]] = [[] for _ in range(processes)]
    loads = [0.0] * processes
    for job in sorted(jobs, key=cost, reverse=True):
        least = loads.index(min(loads))
        shares[least].append(job)
        loads[least] += cost(job)
    return shares


class WorkBar:
    """A bar over the work of all processes, with the time left; knows of the other processes by their files.

    Args:
        own: cost of this process's jobs.
        others: cost of each job of the others, and the files that are there when it is done.
        title: what the work is.
        shown: whether there is a bar at all.
    """

    def __init__(self, own: float, others: Iterable[tuple[float, Sequence[Path]]], title: str, shown: bool) -> None:
        from tqdm import tqdm

        self._others = list(others)
        total = own + sum(cost for cost, _ in self._others)
        self._lock, self._looked = Lock(), time.monotonic()
        self._bar: Any = tqdm(
            total=total,
            disable=not shown or not total,
            desc=title,
            bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed} passed, about {remaining} left",
            mininterval=0.5,
            smoothing=0.02,
            dynamic_ncols=True,
        )

    def advance(self, cost: float) -> None:
        """So much of this process's work was done."""
        with self._lock:
            self._bar.update(min(cost, (self._bar.total or 0.0) - self._bar.n))  # sums of costs are rounded
            if self._others and time.monotonic() - self._looked > _LOOK:
                self._looked = time.monotonic()
                here = [entry for entry in self._others if all(os.path.exists(path) for path in entry[1])]
                self._others = [entry for entry in self._others if entry not in here]
                self._bar.update(sum(cost for cost, _ in here))

    def __enter__(self) -> WorkBar:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._bar.update(max(0.0, (self._bar.total or 0.0) - self._bar.n))
        self._bar.close()
