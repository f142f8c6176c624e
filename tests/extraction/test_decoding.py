"""Images decoded by other processes: the same pixels whatever happens to the processes, and no endless wait."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.extraction import decoding
from vlalign.extraction.decoding import decode

ROWS = 12
BATCHES = [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
MAIN = os.getpid()


def pixels(row: int) -> Tensor:
    return torch.full((3, 2, 2), float(row))


def decoded(transform: Callable[[int], Tensor] = pixels, workers: int = 2) -> list[Tensor]:
    data: Any = SimpleNamespace(ids=[f"s{row}" for row in range(ROWS)], image=lambda row: row)
    preprocessing: Any = SimpleNamespace(transform=transform)
    return list(decode(data, preprocessing, BATCHES, workers))


def is_right(batches: list[Tensor]) -> bool:
    expected = [torch.stack([pixels(row) for row in rows]) for rows in BATCHES]
    return len(batches) == 3 and all(map(torch.equal, batches, expected))


def in_a_worker() -> bool:
    return os.getpid() != MAIN


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_LOOK", 0.5)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    monkeypatch.setattr(logging.getLogger("vlalign"), "propagate", True)
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_pixels_do_not_depend_on_the_number_of_processes(workers: int, warnings: Callable[[], list[str]]) -> None:
    assert is_right(decoded(workers=workers))
    assert warnings() == []
    assert multiprocessing.active_children() == []


def test_a_shared_memory_without_room_is_not_used(
    warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torch fails where /dev/shm has room for some batches only; the processes go on."""

    def share(tensor: Tensor) -> Tensor:
        if tensor[0, 0, 0, 0] >= 5:
            raise RuntimeError(
                "unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)"
            )
        return tensor

    monkeypatch.setattr(Tensor, "share_memory_", share)

    def by_a_worker(row: int) -> Tensor:
        assert in_a_worker()
        return pixels(row)

    assert is_right(decoded(by_a_worker))
    (line,) = warnings()
    assert "/dev/shm has no room for images" in line
    assert "--workers 0" in line
    assert "--shm-size" in line


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EAGAIN, errno.ENOMEM])
def test_this_process_decodes_where_none_can_be_started(
    number: int, warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock() -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(multiprocessing, "Lock", lock)
    assert is_right(decoded())
    (line,) = warnings()
    assert "images are now decoded in this process" in line
    assert os.strerror(number) in line


def test_processes_that_hang_are_given_up(warnings: Callable[[], list[str]]) -> None:
    def hang(row: int) -> Tensor:
        if in_a_worker() and row >= 5:
            time.sleep(1000)
        return pixels(row)

    assert is_right(decoded(hang))
    (line,) = warnings()
    assert "did nothing for 2 seconds" in line
    assert "--workers 0" in line
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [1, 2])
def test_stopped_processes_are_given_up(
    workers: int, warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process stops before its first batch is received, of which the reader then waits for the rest."""
    watched = decoding._watched

    def late(*arguments: Any) -> Any:
        time.sleep(1)
        yield from watched(*arguments)

    def stop(row: int) -> Tensor:
        if in_a_worker() and row >= 5:
            time.sleep(0.3)  # the batch before is sent
            os.kill(os.getpid(), signal.SIGSTOP)
        return pixels(row)

    if workers == 1:
        monkeypatch.setattr(decoding, "_watched", late)
    assert is_right(decoded(stop, workers))
    (line,) = warnings()
    assert "did nothing for 2 seconds" in line


def test_processes_that_compute_are_waited_for(warnings: Callable[[], list[str]]) -> None:
    """Twice as long as hanging ones."""

    def slow(row: int) -> Tensor:
        end = time.monotonic() + (3.0 if row == 5 else 0.0)
        while time.monotonic() < end:
            sum(range(10_000))
        assert in_a_worker()
        return pixels(row)

    assert is_right(decoded(slow))
    assert warnings() == []


def dies(by: signal.Signals) -> Callable[[int], Tensor]:
    def transform(row: int) -> Tensor:
        if in_a_worker() and row >= 5:
            os.kill(os.getpid(), by)
        return pixels(row)

    return transform


def test_a_bus_error_is_a_full_shared_memory(warnings: Callable[[], list[str]]) -> None:
    assert is_right(decoded(dies(signal.SIGBUS)))
    (line,) = warnings()
    assert "/dev/shm is full" in line


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_is_one_line(by: signal.Signals) -> None:
    with pytest.raises(VlalignError, match=rf"a process that decodes images ended \({by.name}\): .*--workers"):
        decoded(dies(by))
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("error", [ConnectionResetError(errno.ECONNRESET, "reset"), EOFError()])
def test_a_process_that_ends_while_its_batch_is_read_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection breaks before the system reports its end."""
    monkeypatch.setattr(decoding, "_LOOK", 60.0)

    def end_late() -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)

    class Broken:
        def __next__(self) -> Any:
            raise error

    process = multiprocessing.get_context("fork").Process(target=end_late)
    process.start()
    iterator: Any = Broken()
    with pytest.raises(VlalignError, match=r"a process that decodes images ended \(SIGKILL\)"):
        next(decoding._watched(iterator, [process]))


def test_a_broken_connection_of_running_processes_is_not_hidden() -> None:
    class Broken:
        def __next__(self) -> Any:
            raise ConnectionResetError(errno.ECONNRESET, "reset")

    iterator: Any = Broken()
    with pytest.raises(ConnectionResetError):
        next(decoding._watched(iterator, []))


def test_the_first_image_that_cannot_be_read_is_named() -> None:
    def broken(row: int) -> Tensor:
        if row >= 6:
            raise OSError("truncated")
        return pixels(row)

    for workers in (0, 2):
        with pytest.raises(VlalignError, match="the image of sample 's6' cannot be read: truncated"):
            decoded(broken, workers)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_processes_are_bounded_by_cores_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.utils.data

    asked, make = [], torch.utils.data.DataLoader.__init__

    def counted(self: Any, *arguments: Any, num_workers: int, **options: Any) -> None:
        asked.append(num_workers)
        make(self, *arguments, num_workers=num_workers, **options)

    monkeypatch.setattr(torch.utils.data.DataLoader, "__init__", counted)
    for cores in (1, 64):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert is_right(decoded(workers=100_000))
    assert asked == [1, 3]
