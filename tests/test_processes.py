"""What one process decides for all, alone and with two that find each other; processes that are dead or stuck."""

from __future__ import annotations

import os
import signal

import pytest
from support.forks import Fork, launch

from vlalign.errors import VlalignError
from vlalign.processes import TIMEOUT, _Heartbeat, agree, start_processes

AGREE = """
from vlalign.processes import agree, start_processes
state = start_processes(cpu=True)
result = agree(state, lambda: {"rank": state.process_index})
print(result, state.num_processes, state.device.type, flush=True)
def fail():
    raise ValueError("cannot decide")
agree(state, fail)
"""

MEET = """
import logging, os, signal, sys, time
from vlalign.errors import VlalignError
from vlalign.processes import meet, start_processes
logging.basicConfig(format="%(message)s")
state = start_processes(cpu=True)
try:
    meet(state)
    if state.process_index == 1:
        BODY
    meet(state)
except VlalignError as error:
    sys.exit(f"error: {error}")
print("met")
"""


def two(code: str, **variables: str) -> tuple[Fork, ...]:
    """Start two processes that find each other."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return launch(["python", "-c", code], 2, cwd=".", env=env)


def test_alone() -> None:
    state = start_processes(cpu=True)
    assert state.is_main_process
    assert state.device.type == "cpu"
    assert agree(state, lambda: [3]) == [3]
    for error in (ValueError, KeyboardInterrupt):

        def fail(error: type[BaseException] = error) -> None:
            raise error("cannot decide")

        with pytest.raises(error, match="cannot decide"):
            agree(state, fail)


def test_two_processes_hear_the_same_and_end_together() -> None:
    main, other = (fork.wait() for fork in two(AGREE))
    assert main.stdout.strip() == other.stdout.strip() == "{'rank': 0} 2 cpu"
    assert [main.returncode, other.returncode] == [1, 1]
    assert "ValueError: cannot decide" in main.stderr
    assert "Traceback" not in other.stderr


def test_a_killed_process_ends_the_other_in_one_line() -> None:
    main, other = (fork.wait() for fork in two(MEET.replace("BODY", "os.kill(os.getpid(), signal.SIGKILL)")))
    assert (main.returncode, other.returncode) == (1, -signal.SIGKILL)
    (line,) = main.stderr.splitlines()
    assert line.startswith("error: another of the processes launched together ended")


def test_a_process_that_a_launcher_ends_is_one_line() -> None:
    main, other = (fork.wait() for fork in two(MEET.replace("BODY", "os.kill(os.getpid(), signal.SIGTERM)")))
    assert (main.returncode, other.returncode) == (1, 1)
    (line,) = other.stderr.splitlines()
    assert line.startswith("error: ended from outside (SIGTERM)")
    assert len(main.stderr.splitlines()) == 1


@pytest.mark.parametrize("body", ["os.kill(os.getpid(), signal.SIGSTOP)", "time.sleep(1000)"])
def test_a_stuck_process_ends_the_other_in_one_line(body: str) -> None:
    first, second = two(MEET.replace("BODY", body), **{TIMEOUT: "2"})
    main = first.wait()
    os.kill(second.pid, signal.SIGKILL)
    second.wait()
    assert main.returncode == 1
    (line,) = main.stderr.splitlines()
    assert "of 2 processes launched together, number 1 did nothing for 2 seconds" in line


def test_a_process_that_keeps_the_store_and_is_stuck_ends_the_other() -> None:
    first, second = two(
        MEET.replace("== 1", "== 0").replace("BODY", "os.kill(os.getpid(), signal.SIGSTOP)"), **{TIMEOUT: "2"}
    )
    other = second.wait()
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert "number 0 did nothing for 2 seconds" in other.stderr


def test_a_process_that_works_is_waited_for() -> None:
    """Three times longer than the time after which an idle one counts as stuck."""
    work = "end = time.monotonic() + 6\n        while time.monotonic() < end: sum(range(10_000))"
    main, other = (fork.wait() for fork in two(MEET.replace("BODY", work), **{TIMEOUT: "2"}))
    assert (main.stdout, other.stdout) == ("met\n", "met\n"), main.stderr


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_invalid_times_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMEOUT, text)
    with pytest.raises(VlalignError, match=f"{TIMEOUT}={text}: give seconds from 1 to 1000000"):
        _Heartbeat(0, 2)
