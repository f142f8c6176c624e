"""Worker processes: the same encoders, ticks, one-line errors, and no process that stays."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from support.forks import CONTEXT, start_server
from support.multibench_study import small, toy_data
from support.synthetic import small as small_synthetic

from vlalign.errors import VlalignError
from vlalign.multibench import MultibenchStudy, Prepared
from vlalign.study.workers import run_in_workers
from vlalign.synthetic import SyntheticStudy


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return toy_data(tmp_path_factory.mktemp("data") / "toy")


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr("vlalign.study.grid._WORTH", 0.0)
    yield
    torch.set_num_threads(threads)
    assert not multiprocessing.active_children()


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the workers of a process that has the libraries imported, which takes 0.1 s instead of 5 s."""
    start_server()
    monkeypatch.setattr("vlalign.study.workers.get_context", lambda method: CONTEXT)


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children() if is_worker(child)]


def is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("kind", ["multibench", "synthetic"])
def test_workers_train_the_same_encoders(
    data: Prepared, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "ACCELERATE_USE_CPU"):
        monkeypatch.delenv(name, raising=False)
    used = list[int]()

    def watched(*arguments: Any) -> None:
        used.append(arguments[2])
        run_in_workers(*arguments)

    monkeypatch.setattr("vlalign.study.grid.run_in_workers", watched)
    folders = []
    for worth in (0.0, 1e9):
        monkeypatch.setattr("vlalign.study.grid._WORTH", worth)
        out = tmp_path / f"{worth:g}"
        study: MultibenchStudy | SyntheticStudy = (
            MultibenchStudy(small(data, out)) if kind == "multibench" else SyntheticStudy(small_synthetic(out))
        )
        assert study.run(report=False) is not None
        folders.append(study.files.folder)
    assert used == [2]
    files = sorted(path.name for path in folders[0].iterdir())
    assert len(files) == 12
    for name in files:
        a, b = (load_file(folder / name) for folder in folders)
        assert all(torch.equal(a[key], b[key]) for key in b)


def check_worker(path: str, tick: Callable[[], None]) -> None:
    launcher = sorted(name for name in os.environ if "RANK" in name or "ACCEL" in name)
    Path(path).write_text(f"{launcher} {torch.get_num_threads()} {os.getppid()}")
    for _ in range(int(path[-1])):
        tick()


def test_a_worker_reports_ticks_and_has_one_thread_and_no_launcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK", "ACCELERATE_USE_CPU"):
        monkeypatch.setenv(name, "1")
    jobs, ticks = [str(tmp_path / f"job-{count}") for count in (3, 5)], list[str]()
    run_in_workers(check_worker, jobs, 1, ticks.append)
    assert ticks == [jobs[0]] * 3 + [jobs[1]] * 5
    assert [Path(job).read_text() for job in jobs] == [f"[] 1 {os.getpid()}"] * 2
    assert os.environ["RANK"] == "1"


@pytest.mark.usefixtures("forked")
def test_an_error_in_a_worker_is_raised_here(tmp_path: Path) -> None:
    """One feature is so large that the first step gives values that are not finite."""
    data = toy_data(tmp_path / "toy", "sentiment", scale=1e30)
    study = MultibenchStudy(small(data, tmp_path / "run", learning_rate=(10.0,), modalities=("vision", "text")))
    with pytest.raises(VlalignError, match=r"training diverged \(vision, depth \d, seed 0\): lower learning_rate"):
        study.run()


def work_long(job: int, tick: Callable[[], None]) -> None:
    while True:
        tick()
        time.sleep(0.01)


@pytest.mark.usefixtures("forked")
def test_a_worker_that_dies_is_one_line() -> None:
    def kill(job: int) -> None:
        for worker in multiprocessing.active_children():
            worker.kill()

    with pytest.raises(VlalignError, match=r"^a training process ended early: if memory is short, lower ensemble"):
        run_in_workers(work_long, [0, 1, 2], 2, kill)


@pytest.mark.usefixtures("forked")
def test_an_interruption_ends_the_workers(data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = MultibenchStudy(small(data, tmp_path, epochs=10_000))

    def interrupted(*rest: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vlalign.study.progress.StudyProgress.advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.run()
    assert not (tmp_path / "study.json").exists()


def sleep(job: int, tick: Callable[[], None]) -> None:
    tick()
    time.sleep(600)


def test_workers_end_with_a_killed_main_process() -> None:
    """Even in the middle of work without a tick."""
    code = (
        "from study.test_workers import *; run_in_workers(sleep, [0, 1], 2, lambda job: print('started', flush=True))"
    )
    paths = os.pathsep.join(map(str, (Path(__file__).parents[1], Path(__file__).parents[2])))
    environment = {**os.environ, "PYTHONPATH": paths}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as main:
        assert main.stdout is not None
        assert [next(main.stdout) for _ in range(2)] == ["started\n"] * 2
        workers = workers_of(psutil.Process(main.pid))
        assert len(workers) == 2
        main.kill()
        assert not psutil.wait_procs(workers, timeout=20)[1]
