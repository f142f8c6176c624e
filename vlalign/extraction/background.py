"""Calls in the background of a loop: shards are written while the device computes the next ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any


class Background:
    """Call a function in threads; a call waits while ``unfinished`` earlier ones are not done.

    Leaving the ``with`` block waits for all calls. The first error of a call is raised by a later call or at the end.

    Args:
        function: what to call; its calls may overlap.
        threads: most calls that run at the same time.
        unfinished: most calls that run or wait to run; by default none waits.

    >>> done = []
    >>> with Background(done.append) as append:
    ...     append(1)
    >>> done
    [1]
    """

    def __init__(self, function: Callable[..., object], threads: int = 2, unfinished: int = 0) -> None:
        self._function, self._unfinished = function, max(threads, unfinished)
        self._pool = ThreadPoolExecutor(threads)
        self._running: deque[Future[object]] = deque()

    def __enter__(self) -> Background:
        return self

    def __call__(self, *arguments: Any) -> None:
        """Call the function in a thread."""
        while len(self._running) >= self._unfinished:
            self._running.popleft().result()
        self._running.append(self._pool.submit(self._function, *arguments))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown()
        if kind is None:
            for call in self._running:
                call.result()
