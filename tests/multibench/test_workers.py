"""Training in other processes: the same encoders, one-line errors, and no process that stays."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file
from support.multibench_study import small, toy_data

from vlalign.errors import VlalignError
from vlalign.multibench import MultibenchStudy, Prepared
from vlalign.multibench.checkpoints import Member
from vlalign.multibench.workers import Workers


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return toy_data(tmp_path_factory.mktemp("data") / "toy")


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr("vlalign.multibench.study._WORTH", 0.0)
    yield
    torch.set_num_threads(threads)
    deadline = time.monotonic() + 10
    while any("vlalign.multibench.workers" in " ".join(child.cmdline()) for child in alive()):
        assert time.monotonic() < deadline, "a worker is left"
        time.sleep(0.05)


def alive() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]


def test_workers_train_the_same_encoders(data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "ACCELERATE_USE_CPU"):
        monkeypatch.delenv(name, raising=False)
    apart = MultibenchStudy(small(data, tmp_path / "apart"))
    assert apart.run() is not None
    monkeypatch.setattr("vlalign.multibench.study._WORTH", 1e9)
    here = MultibenchStudy(small(data, tmp_path / "here"))
    assert here.run() is not None
    files = sorted(path.name for path in apart.files.folder.iterdir())
    assert len(files) == 12
    for name in files:
        a, b = (load_file(study.files.folder / name) for study in (apart, here))
        assert all(torch.equal(a[key], b[key]) for key in b)


def test_every_epoch_is_told(data: Prepared, tmp_path: Path) -> None:
    study, ticks = MultibenchStudy(small(data, tmp_path, epochs=3)), []
    with Workers(study.config, 1) as workers:
        workers.train([Member("text", 1, 0)], lambda: ticks.append(1))
        workers.train([Member("text", 2, 0)], lambda: ticks.append(2))
    assert ticks == [1] * 3 + [2] * 3


def test_what_goes_wrong_in_a_worker_is_raised_here(tmp_path: Path) -> None:
    """One feature is so large that the first step gives values that are not finite."""
    data = toy_data(tmp_path / "toy", "sentiment", scale=1e30)
    study = MultibenchStudy(small(data, tmp_path / "run", learning_rate=(10.0,), modalities=("vision", "text")))
    with pytest.raises(VlalignError, match=r"training diverged \(vision, depth \d, seed 0\): lower learning_rate"):
        study.run()


def test_a_worker_that_dies_is_one_line(data: Prepared, tmp_path: Path) -> None:
    study = MultibenchStudy(small(data, tmp_path, epochs=10_000))
    with Workers(study.config, 1) as workers:
        worker = workers._all[0].pid
        with pytest.raises(VlalignError, match=r"a training process ended \(status -9\) at text, depth 1, seed 0"):
            workers.train([Member("text", 1, 0)], lambda: os.kill(worker, signal.SIGKILL))


def test_an_interruption_ends_the_workers(data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = MultibenchStudy(small(data, tmp_path, epochs=10_000))

    def interrupted(*rest: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vlalign.study.jobs.WorkBar.advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.run()
    assert not (tmp_path / "study.json").exists()
