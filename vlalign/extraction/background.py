"""Calls in the background of a loop: shards are written while the device computes the next ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

_THREADS = 2  # hashing and writing release Python's lock; more would hold more shards in memory


class Background:
    """Call a function in threads, at most two calls at a time; a further call waits for the first to end.

    Leaving the ``with`` block waits for all calls. The first error of a call is raised by a later call or at the end.

    Args:
        function: what to call; its calls may overlap.

    >>> done = []
    >>> with Background(done.append) as append:
    ...     append(1)
    >>> done
    [1]
    """

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function
        self._pool = ThreadPoolExecutor(_THREADS)
        self._running: deque[Future[object]] = deque()

    def __enter__(self) -> Background:
        return self

    def __call__(self, *arguments: Any) -> None:
        """Call the function in a thread."""
        while len(self._running) >= _THREADS:
            self._running.popleft().result()
        self._running.append(self._pool.submit(self._function, *arguments))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown()
        if kind is None:
            for call in self._running:
                call.result()
