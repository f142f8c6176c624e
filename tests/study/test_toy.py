"""The frame on a toy study: it plans, runs, resumes, grows, refuses other studies, and writes all kinds of files."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from study.toy import Fit, ToyConfig, ToyResult, ToyStudy

from vlalign.config import read_options
from vlalign.errors import VlalignError


def run(config: ToyConfig) -> ToyResult:
    result = ToyStudy(config).run()
    assert result is not None
    return result


def marks(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "fits").glob("*.safetensors")}


@pytest.fixture
def config(tmp_path: Path) -> ToyConfig:
    return ToyConfig(out=str(tmp_path / "run"))


def test_it_plans_runs_and_writes_all_kinds_of_files(config: ToyConfig) -> None:
    study = ToyStudy(config)
    plan = study.plan()
    assert (plan.missing, plan.total, plan.to_do) == ([[Fit(1)], [Fit(3)]], 2, 2)
    result = study.run(plan, progress=True)
    assert result is not None
    assert result.table["error"].is_monotonic_decreasing
    out = Path(config.out)
    assert sorted(path.name for path in out.iterdir()) == [
        "config.yaml", "fits", "fits.csv", "fits.parquet", "report.html", "study.json"
    ]  # fmt: skip
    again = ToyResult.load(out)
    pd.testing.assert_frame_equal(again.table, result.table)
    assert (again.config, again.trained) == (config.resolved(), 2)
    assert ToyConfig.make(read_options(ToyConfig, out / "config.yaml")) == config


def kill_at(cell: Fit, config: ToyConfig) -> None:
    """Run in a forked process that is killed when it comes to a cell, after the first one was written."""
    pid = os.fork()
    if pid == 0:
        train = ToyStudy.train

        def killed(self: ToyStudy, group: Any, *rest: Any) -> None:
            while group == [cell]:
                if marks(Path(config.out)):
                    os.kill(os.getpid(), signal.SIGKILL)
            train(self, group, *rest)

        ToyStudy.train = killed  # type: ignore[method-assign]
        try:
            ToyStudy(config).run()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_it_resumes_after_a_kill(config: ToyConfig) -> None:
    kill_at(Fit(3), config)
    before = marks(Path(config.out))
    assert set(before) == {"degree1.safetensors"}
    assert run(config).trained == 1
    after = marks(Path(config.out))
    assert after.items() >= before.items()
    assert len(after) == 2


def test_a_damaged_cell_is_computed_again(config: ToyConfig, caplog: pytest.LogCaptureFixture) -> None:
    run(config)
    path = Path(config.out) / "fits" / "degree3.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert run(config).trained == 1
    assert f"{path} is damaged" in caplog.text


def test_it_grows_its_grid(config: ToyConfig, caplog: pytest.LogCaptureFixture) -> None:
    run(config)
    before = marks(Path(config.out))
    result = run(replace(config, degrees=(1, 3, 5)))
    assert (result.trained, list(result.table["degree"])) == (1, [1, 3, 5])
    assert marks(Path(config.out)).items() >= before.items()
    assert not caplog.messages
    assert run(config).trained == 0
    assert "also holds degrees 5" in caplog.text


def test_it_refuses_the_folder_of_another_study(config: ToyConfig, tmp_path: Path) -> None:
    run(config)
    with pytest.raises(VlalignError, match=r"holds another study \(noise was 0\.1, is now 0\.2\): name another folder"):
        run(replace(config, noise=0.2))
    (Path(config.out) / "config.yaml").unlink()
    with pytest.raises(VlalignError, match=r"holds tables but no config\.yaml"):
        run(config)
