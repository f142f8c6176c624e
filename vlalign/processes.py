"""Processes launched together: decisions of the main one for all, and detection of one that is dead or stuck."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from accelerate import PartialState

logger = logging.getLogger(__name__)

T = TypeVar("T")

TIMEOUT = "VLALIGN_STUCK_SECONDS"  # environment variable
_SECONDS = 600.0
_LOOKS = 20  # in that time
_shared: PartialState | None = None  # the processes that share out work now


def start_processes(cpu: bool) -> PartialState:
    """Return Accelerate's view of the processes, which find each other and start to watch each other.

    Args:
        cpu: stay on the CPU where there is an accelerator.

    Raises:
        VlalignError: the time in ``VLALIGN_STUCK_SECONDS`` is invalid.
    """
    import torch
    from accelerate import PartialState

    # without an accelerator, processes launched together connect only with `cpu`;
    # one of them may work for hours longer than another: a heartbeat, not this time, ends the wait for a stuck one
    state = PartialState(cpu=cpu or not torch.accelerator.is_available(), timeout=timedelta(days=7))
    if state.backend == "gloo":
        # its threads must end before the interpreter does: else a process now and then aborts when all is done
        atexit.register(state.destroy_process_group)
    if state.num_processes > 1:
        _heartbeat(state.process_index, state.num_processes)
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _end)
    return state


def _end(*_: object) -> None:
    sys.exit(
        "error: ended from outside (SIGTERM), as launchers do when another process failed; what is finished is kept, "
        "the same command resumes"
    )


def _seconds() -> float:
    text = os.environ.get(TIMEOUT, str(_SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 1e6:
        raise VlalignError(f"{TIMEOUT}={text}: give seconds from 1 to 1000000 (default {_SECONDS:.0f})")
    return seconds


def agree(state: PartialState, make: Callable[[], T]) -> T:
    """Return on all processes what the main one makes; its exception ends all of them (the others by ``SystemExit``).

    Raises:
        VlalignError: another process ended.
    """
    from accelerate.utils import broadcast_object_list

    result: list[Any] = [None]
    failure: BaseException | None = None
    if state.is_main_process:
        try:
            result = [make()]
        except BaseException as error:
            failure = error
    if state.num_processes > 1:
        try:
            with _waiting(state):
                broadcast_object_list(result, from_process=0)
        except VlalignError:
            if failure is None:
                raise
    if failure is not None:
        raise failure
    if result[0] is None:
        sys.exit(1)
    made: T = result[0]
    return made


def main_first(state: PartialState | None, make: Callable[[], T]) -> T:
    """Return what each process makes, the main one before the others; its exception ends all, as :func:`agree`.

    Raises:
        VlalignError: another process ended.
    """
    if state is None:
        return make()
    made: list[T] = []

    def keep() -> bool:
        made.append(make())
        return True

    agree(state, keep)
    return made[0] if made else make()


def meet(state: PartialState) -> None:
    """Wait until every process has reached this call.

    Raises:
        VlalignError: another process ended.
    """
    with _waiting(state):
        state.wait_for_everyone()


def launched_together(cpu: bool) -> PartialState | None:
    """Return :func:`start_processes` of several processes; None for one alone, which needs no Accelerate."""
    return start_processes(cpu) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else None


@contextmanager
def sharing(state: PartialState | None) -> Iterator[None]:
    """Let all processes run the block, which then share out its work where that pays; None changes nothing."""
    global _shared
    before, _shared = _shared, state
    try:
        yield
    finally:
        _shared = before


def is_shared() -> bool:
    """Return whether several processes run this and share out its work."""
    return _shared is not None


def share_out(count: int, compute: Callable[[slice], Iterable[T]]) -> list[T]:
    """Return the results of ``count`` items in order, of which each process computes its share.

    Args:
        count: number of items.
        compute: returns the results of the items that a slice selects; its own work is not shared out.

    Raises:
        VlalignError: another process ended.
    """
    state = _shared
    if state is None or count < state.num_processes:
        return list(compute(slice(None)))
    from torch.distributed import all_gather_object

    number = state.num_processes
    with sharing(None):
        mine = list(compute(slice(state.process_index, None, number)))
    parts: list[Any] = [None] * number
    with _waiting(state):
        all_gather_object(parts, mine)
    results: list[Any] = [None] * count
    for i, part in enumerate(parts):
        results[i::number] = part
    return results


def computed_once(compute: Callable[[], T]) -> T:
    """Return on all processes that share the work what the main one computes, as :func:`agree`."""
    state = _shared
    if state is None:
        return compute()
    with sharing(None):
        return agree(state, compute)


def meet_sharing() -> None:
    """Wait until every process that shares the work has reached this call."""
    if _shared is not None:
        meet(_shared)


@contextmanager
def _waiting(state: PartialState) -> Iterator[None]:
    """Wait for other processes; one that is stuck ends this process, see :class:`_Heartbeat`."""
    if state.num_processes == 1:
        yield
        return
    heartbeat = _heartbeat(state.process_index, state.num_processes)
    heartbeat.waiting = True
    try:
        yield
    except RuntimeError as error:  # of torch.distributed
        logger.debug("%s", error)
        raise VlalignError(
            "another of the processes launched together ended, see its message; what is finished is kept, the same "
            "command resumes"
        ) from None
    finally:
        heartbeat.waiting = False


def cpu_seconds(processes: Iterable[int]) -> float:
    """Return the CPU time that processes used, by their ids; of one that ended, 0."""
    import psutil

    total = 0.0
    for process in processes:
        try:
            times = psutil.Process(process).cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


class _Heartbeat:
    """Threads that show the other processes that this one works, and end it if it waits for one that does not.

    Every process writes a mark to the store that torch.distributed keeps for all of them: the CPU time of its threads
    and child processes, or a count while it waits for others. A process whose mark stays the same is stopped, out of
    reach, or blocked (a lock, a disk that does not answer). Looks are counted rather than seconds, so that suspending
    all processes does no harm.

    Args:
        index: of this process.
        count: of all processes.

    Raises:
        VlalignError: the time in ``VLALIGN_STUCK_SECONDS`` is invalid.
    """

    def __init__(self, index: int, count: int) -> None:
        from torch.distributed.distributed_c10d import _get_default_store

        self._index, self._seconds = index, _seconds()
        self._store = _get_default_store().clone()  # another connection: the first may be blocked by a long wait
        self._keys = [f"vlalign/heartbeat/{i}" for i in range(count)]
        self._marks = [b""] * count
        self._end = threading.Event()
        self.waiting = False
        # two threads, since the store blocks if the process that keeps it is the stuck one
        self._threads = [threading.Thread(target=act, daemon=True) for act in (self._exchange, self._watch)]
        for thread in self._threads:
            thread.start()
        atexit.register(self._stop)

    def _exchange(self) -> None:
        beats = 0
        while not self._end.wait(self._seconds / _LOOKS / 2):
            beats += 1
            mark = f"waiting {beats}" if self.waiting else f"{self._computed():.2f}"
            try:
                self._store.set(self._keys[self._index], mark)
                if self._store.check(self._keys):
                    self._marks = self._store.multi_get(self._keys)
            except RuntimeError:
                return  # the process that keeps the store has ended

    def _computed(self) -> float:
        """Return the CPU seconds of Python's threads, but the heartbeat's, and of child processes."""
        import psutil

        here = psutil.Process()
        mine = {thread.native_id for thread in threading.enumerate() if thread not in self._threads}
        total = cpu_seconds(child.pid for child in here.children(recursive=True))
        return total + sum(one.user_time + one.system_time for one in here.threads() if one.id in mine)

    def _watch(self) -> None:
        before, same = self._marks, [0] * len(self._marks)
        while not self._end.wait(self._seconds / _LOOKS):
            marks = self._marks
            pairs = zip(marks, before, same, strict=True)
            same = [count + 1 if self.waiting and mark == old else 0 for mark, old, count in pairs]
            before = marks
            stuck = [str(i) for i, count in enumerate(same) if count >= _LOOKS and i != self._index]
            if stuck:
                logger.error(
                    "error: of %d processes launched together, %s did nothing for %.0f seconds (stopped, out of reach, "
                    "or blocked by a disk): the others end; what is finished is kept, the same command resumes "
                    "(%s sets the time)",
                    len(marks), "number " + ", ".join(stuck), self._seconds, TIMEOUT,
                )  # fmt: skip
                os._exit(1)

    def _stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(2.0)


_heartbeat = cache(_Heartbeat)  # one per process
