"""Threads of the processor: work on many layers, one layer per thread, with buffers that are reused; one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import local
from typing import TYPE_CHECKING, TypeVar

from vlalign.lazy_torch import torch
from vlalign.processes import is_shared

if TYPE_CHECKING:
    from torch import Tensor

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_WORKER = local()  # filled in the threads of map_layers only, which end with it


def map_layers(work: Callable[[_In], _Out], layers: Iterable[_In]) -> list[_Out]:
    """Compute ``[work(layer) for layer in layers]`` with as many layers at a time as torch may use CPU threads.

    Each call then runs on one thread, which beats splitting every small operation over the threads. The thread count
    of the caller is the same afterwards. Where several processes share out the work, one layer at a time, so that all
    processes are at the same one.
    """
    items = list(layers)
    threads = torch.get_num_threads()
    if threads == 1 or len(items) < 2 or is_shared():
        return [work(item) for item in items]
    try:
        with ThreadPoolExecutor(threads, initializer=_start_worker) as pool:
            return list(pool.map(work, items))
    finally:
        torch.set_num_threads(threads)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one CPU thread inside the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _start_worker() -> None:
    torch.set_num_threads(1)
    _WORKER.buffers = {}


def scratch(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return an uninitialised tensor; in threads of :func:`map_layers` the same one each time, so do not return it."""
    buffers: dict[object, Tensor] | None = getattr(_WORKER, "buffers", None)
    if buffers is None:
        return torch.empty(shape, dtype=dtype, device=device)
    key = (shape, dtype, device)
    if key not in buffers:
        buffers[key] = torch.empty(shape, dtype=dtype, device=device)
    return buffers[key]
