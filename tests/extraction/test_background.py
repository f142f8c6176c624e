"""Shards are written in the background: nothing is lost, nothing is hidden."""

from __future__ import annotations

from threading import Event, Lock

import pytest

from vlalign.extraction.background import Background


def test_calls_overlap_but_no_more_than_two() -> None:
    lock, running, most, both = Lock(), 0, 0, Event()

    def work(number: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 2:
                both.set()
        assert both.wait(30)  # ends only if a second call runs beside it
        with lock:
            running -= 1

    with Background(work) as call:
        for number in range(6):
            call(number)
    assert (most, running) == (2, 0)


def test_the_block_waits_for_all_calls() -> None:
    done: list[tuple[int, str]] = []
    with Background(lambda *arguments: done.append(arguments)) as call:
        for number in range(5):
            call(number, "a")
    assert sorted(done) == [(number, "a") for number in range(5)]


@pytest.mark.parametrize("later", [0, 5])
def test_an_error_is_raised_by_a_later_call_or_at_the_end(later: int) -> None:
    def work(number: int) -> None:
        if number == 0:
            raise OSError("the disk is full")

    def block() -> None:
        with Background(work) as call:
            for number in range(1 + later):
                call(number)

    with pytest.raises(OSError, match="the disk is full"):
        block()


def test_an_error_of_the_block_lets_running_calls_finish() -> None:
    done: list[int] = []

    def block() -> None:
        with Background(done.append) as call:
            call(1)
            raise KeyError

    with pytest.raises(KeyError):
        block()
    assert done == [1]
