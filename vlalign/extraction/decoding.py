"""Decoding of images ahead of the model by other processes, or by this one where they cannot."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.processes import cpu_seconds

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from vlalign.data import PairedData
    from vlalign.extraction.edited import EditedImages
    from vlalign.models.vision import Preprocessing

logger = logging.getLogger(__name__)

_AHEAD = 32  # batches that are decoded or wait for the model, over all processes
_LOOK = 10.0  # seconds to wait for a batch before checking whether the processes compute
_IDLE = 3  # checks in a row without computation, after which this process continues alone
_ADVICE = "use --workers 0, or make /dev/shm larger (docker run --shm-size 1g)"


class _Unusable(Exception):
    """Processes cannot decode on this machine, for the reason given."""


def decode(
    data: PairedData | EditedImages, preprocessing: Preprocessing, batches: Sequence[list[int]], workers: int,
    pinned: bool = False,
) -> Iterator[Tensor]:  # fmt: skip
    """Yield the preprocessed images of each batch, ``[B, 3, H, W]``.

    Where no process can be started, or they neither answer nor compute for 30 seconds, this process decodes the rest
    itself, with a warning. Without room in ``/dev/shm``, images are sent through pipes.

    Args:
        data: the images.
        preprocessing: pictures to pixels.
        batches: rows of each batch.
        workers: processes that decode; at most one per core and batch, 0 for this process.
        pinned: page-locked memory, for a GPU.

    Raises:
        VlalignError: an image that cannot be read, or a process that was killed.
    """
    pictures, done = _Pictures(data, preprocessing), 0
    workers = min(workers, os.cpu_count() or 1, len(batches))
    if workers:
        try:
            for batch in _by_processes(pictures, batches, workers, pinned):
                done += 1
                yield batch.tensor()
            return
        except _Unusable as reason:
            logger.warning("images are now decoded in this process, which is slower: %s; %s", reason, _ADVICE)
    for rows in batches[done:]:
        yield _collate([pictures[row] for row in rows]).tensor()


def _by_processes(pictures: _Pictures, batches: Sequence[list[int]], workers: int, pinned: bool) -> Iterator[_Batch]:
    from torch.utils.data import DataLoader

    data_set: Any = pictures
    others, handler = multiprocessing.active_children(), signal.getsignal(signal.SIGCHLD)
    try:
        multiprocessing.Lock()  # takes a little of /dev/shm, as the queues do
        iterator = iter(
            DataLoader(
                data_set, batch_sampler=batches, num_workers=workers, collate_fn=_shared, pin_memory=pinned,
                prefetch_factor=max(1, min(4, _AHEAD // workers)), timeout=_LOOK,
            )
        )  # fmt: skip
    except OSError as error:
        raise _Unusable(f"no process can be started ({error})") from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)  # torch's would raise at any place in this process when one of them ends
    processes = [process for process in multiprocessing.active_children() if process not in others]
    try:
        yield from _watched(iterator, processes)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join(5.0)


def _watched(iterator: Iterator[_Batch], processes: Sequence[BaseProcess]) -> Iterator[_Batch]:
    with _Watch(processes) as watch:
        warned = False
        while True:
            try:
                watch.waits()
                batch = next(iterator)
            except StopIteration:
                return
            except (RuntimeError, OSError, EOFError) as error:
                if watch.gave_up:
                    raise _Unusable(
                        f"the processes that decode images did nothing for {_IDLE * _LOOK:.0f} seconds"
                    ) from None
                if not isinstance(error, RuntimeError):  # a process ended while its batch was read
                    closed = connection.wait([process.sentinel for process in processes], timeout=_LOOK)
                    for process in processes:
                        if process.sentinel in closed:  # its files are closed a moment before its status is known
                            process.join(_LOOK)
                _raise_if_ended(error, processes)
            else:
                watch.received()
                if batch.sent is not None and not warned:
                    warned = True
                    logger.warning("/dev/shm has no room for images, which takes another, slower way: %s", _ADVICE)
                yield batch


class _Watch:
    """Thread that kills processes which compute nothing while this one waits for them.

    Waiting alone would not end: a process that stops while it hands over a batch leaves its reader in the middle.

    Attributes:
        gave_up: whether they were killed.
    """

    def __init__(self, processes: Sequence[BaseProcess]) -> None:
        self.gave_up = False
        self._processes = processes
        self._idle, self._is_waiting, self._over = 0, False, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def waits(self) -> None:
        """Count looks without computation from now on; from earlier, if this process has waited since."""
        self._idle, self._is_waiting = self._idle if self._is_waiting else 0, True

    def received(self) -> None:
        """Stop counting: this process has a batch to work on."""
        self._is_waiting = False

    def _look(self) -> None:
        computed = 0.0
        while not self._over.wait(_LOOK):
            now = cpu_seconds(process.pid for process in self._processes if process.pid)
            self._idle, computed = (self._idle + 1 if self._is_waiting and now <= computed else 0), now
            if self._idle == _IDLE:
                self.gave_up = True
                for process in self._processes:
                    process.kill()
                return


def _raise_if_ended(error: Exception, processes: Sequence[BaseProcess]) -> None:
    """Raise the cause of a DataLoader's error, unless a batch only takes long."""
    text = str(error)
    if "Bus error" in text or "No space left" in text or -signal.SIGBUS in [one.exitcode for one in processes]:
        raise _Unusable("/dev/shm is full") from None
    if ended := [one for one in processes if one.exitcode]:
        code = ended[0].exitcode or 0
        reason = signal.Signals(-code).name if code < 0 else f"status {code}"
        raise VlalignError(
            f"a process that decodes images ended ({reason}): if memory is short, use fewer --workers (0: none) or a "
            "smaller --batch-images; finished shards are kept"
        ) from None
    if "timed out" not in text:
        raise error


@dataclass
class _Pictures:
    """Map-style data set of preprocessed images; errors are returned as text, since workers garble exceptions."""

    data: PairedData | EditedImages
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.data.ids)

    def __getitem__(self, row: int) -> Tensor | str:
        try:
            return self.preprocessing.transform(self.data.image(row))
        except (OSError, ValueError, SyntaxError, VlalignError) as error:
            return f"the image of sample {self.data.ids[row]!r} cannot be read: {error}"


@dataclass
class _Batch:
    """Pixels of a batch, in shared memory or sent through a pipe; or the problem with one of its images."""

    pixels: Tensor | None = None
    sent: np.ndarray | None = None
    problem: str | None = None

    def tensor(self) -> Tensor:
        """Return the pixels.

        Raises:
            VlalignError: the problem.
        """
        import torch

        if self.problem is not None:
            raise VlalignError(self.problem)
        return torch.from_numpy(self.sent) if self.pixels is None else self.pixels

    def pin_memory(self) -> _Batch:
        """Return the batch in page-locked memory; a DataLoader calls this."""
        if self.problem is None:
            self.pixels = self.tensor().pin_memory()
        return self


def _collate(items: list[Tensor | str]) -> _Batch:
    import torch

    problem = next((item for item in items if isinstance(item, str)), None)
    return _Batch(problem=problem) if problem else _Batch(torch.stack(items))  # type: ignore[arg-type]


def _shared(items: list[Tensor | str]) -> _Batch:
    """Return a batch that another process can receive, whatever room /dev/shm has."""
    batch = _collate(items)
    if batch.pixels is None:
        return batch
    try:
        batch.pixels.share_memory_()
    except RuntimeError:  # raised here it costs a copy; raised later, by the queue's thread, the batch would be lost
        return _Batch(sent=batch.pixels.numpy())
    return batch
