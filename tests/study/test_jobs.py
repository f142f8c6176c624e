"""Jobs side by side: all are done, on one thread each; the first error or an interruption ends them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Event, get_ident

import pytest
import torch

from vlalign.study.jobs import deal, run_jobs

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)


def test_every_job_is_done_once_on_one_thread() -> None:
    done: list[tuple[int, int, int]] = []

    def work(job: int, check: Callable[[], None]) -> None:
        check()
        done.append((job, torch.get_num_threads(), get_ident()))

    run_jobs(range(20), work, CPU)
    assert sorted(job for job, _, _ in done) == list(range(20))
    assert {threads for _, threads, _ in done} == {1}
    assert get_ident() not in {thread for _, _, thread in done}
    run_jobs([], work, CPU)
    assert len(done) == 20


def test_two_jobs_run_at_a_time() -> None:
    met = [Event(), Event()]

    def work(job: int, check: Callable[[], None]) -> None:
        met[job].set()
        assert met[1 - job].wait(20)  # would never end alone

    run_jobs([0, 1], work, CPU)


def test_one_job_at_a_time_on_an_accelerator() -> None:
    running = []

    def work(job: int, check: Callable[[], None]) -> None:
        assert not running
        running.append(job)
        time.sleep(0.01)
        running.remove(job)

    run_jobs(range(4), work, torch.device("meta"))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_first_error_ends_all(error: type[BaseException]) -> None:
    started: list[int] = []
    went_on: list[int] = []
    failed = Event()

    def work(job: int, check: Callable[[], None]) -> None:
        started.append(job)
        if job == 1:
            failed.set()
            raise error("no more")
        assert failed.wait(20)
        for _ in range(500):
            check()
            time.sleep(0.01)
        went_on.append(job)

    with pytest.raises(error, match="no more"):
        run_jobs(range(50), work, CPU)
    assert len(started) < 10
    assert not went_on


def test_costly_jobs_are_dealt_first_and_evenly() -> None:
    jobs = [3, 9, 1, 4, 1, 5, 9, 2, 6]
    shares = deal(jobs, float, 3)
    assert sorted(job for share in shares for job in share) == sorted(jobs)
    assert max(map(sum, shares)) - min(map(sum, shares)) <= 2
    assert all(share == sorted(share, reverse=True) for share in shares)
    assert deal([], float, 2) == [[], []]
