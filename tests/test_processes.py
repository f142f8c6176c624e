"""What one process decides for all: alone, and with two that find each other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from vlalign.processes import agree, start_processes

RANK = """
from vlalign.processes import agree, start_processes
state = start_processes(cpu=True)
said = agree(state, lambda: {"rank": state.process_index})
print(said, state.num_processes, state.device.type, flush=True)
def fail():
    raise ValueError("cannot decide")
agree(state, fail)
"""


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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK], env={**shared, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in ("0", "1")
    ]  # fmt: skip
    (main, main_error), (other, other_error) = (rank.communicate(timeout=240) for rank in ranks)
    assert main.strip() == other.strip() == "{'rank': 0} 2 cpu"
    assert [rank.returncode for rank in ranks] == [1, 1]
    assert "ValueError: cannot decide" in main_error
    assert "Traceback" not in other_error
