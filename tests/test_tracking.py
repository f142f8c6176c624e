"""Runs log to a tracker what they do, and nothing that they write depends on it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from study.toy import ToyConfig, ToyStudy
from support.features import contents
from support.tiny import TinyModels

from vlalign.cli import main
from vlalign.study.progress import StudyProgress, Work
from vlalign.tracking import find_tracker

#: a stand-in for the package: ``entries`` holds what was called
TRACKIO = """
entries = []
def init(project):
    entries.append(("init", project))
    class Run:
        def log(self, values, step=None):
            entries.append(("log", values))
        def finish(self):
            entries.append(("finish",))
    return Run()
class config:
    def update(values, allow_val_change):
        entries.append(("config", values))
"""


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "trackio.py").write_text(TRACKIO)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.delitem(sys.modules, "trackio", raising=False)
    import trackio  # type: ignore[import-not-found]

    monkeypatch.setitem(sys.modules, "trackio", trackio)
    made: list[tuple[Any, ...]] = trackio.entries
    return made


def logged(entries: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [entry[1] for entry in entries if entry[0] == "log"]


def test_an_extraction(tiny: TinyModels, tmp_path: Path, entries: list[tuple[Any, ...]]) -> None:
    command = ["extract", "--model", str(tiny.path("gpt2")), "--data", "builtin:emoji", "--max-samples", "6", "--cpu"]
    assert main([*command, "--store", str(tmp_path / "plain"), "-q"]) == 0
    assert not entries
    assert main([*command, "--store", str(tmp_path / "logged"), "-q", "--log", "trackio"]) == 0
    assert contents(tmp_path / "logged") == contents(tmp_path / "plain")
    assert entries[0] == ("init", "vlalign-extract")
    assert entries[1][1]["models"] == [str(tiny.path("gpt2"))]
    (values,) = logged(entries)
    assert {name.rpartition("/")[2] for name in values} == {"samples", "samples per second"}
    assert next(iter(values.values())) == 6
    assert entries[-1] == ("finish",)


def test_a_study(tmp_path: Path, entries: list[tuple[Any, ...]]) -> None:
    plain, config = (ToyConfig(out=str(tmp_path / name)) for name in ("plain", "logged"))
    ToyStudy(plain).run()
    study = ToyStudy(config)
    study.files.folder.mkdir(parents=True)
    study.files.path(study.cells()[0]).write_bytes(b"damaged")  # until it is computed again
    study.run(tracker=find_tracker("trackio", "toy"))
    last, *cells = logged(entries)
    assert last == {"seconds left": 0.0, "share done": 1.0}
    assert cells == [{"degree": cell.degree, **study.performance(cell)} for cell in study.cells()]
    assert entries[-1] == ("finish",)
    before, after = ((tmp_path / name / "config.yaml").read_text() for name in ("plain", "logged"))
    assert after == before.replace("plain", "logged")


def test_the_time_left_is_logged_now_and_then() -> None:
    now = 0.0
    logged: list[dict[str, float]] = []
    work = {"work": Work("work", 10.0, 10.0)}
    with StudyProgress(work, "work", shown=False, log=logged.append, clock=lambda: now) as bar:
        for _ in range(9):
            now += 1.0
            bar.advance()
    assert logged == [{"seconds left": 5.0, "share done": 0.5}, {"seconds left": 0.0, "share done": 1.0}]


def test_a_missing_package_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vlalign.tracking.find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    for verb in ("extract", "study uniqueness", "synthetic run", "multibench run"):
        assert main([*verb.split(), "--log", "wandb"]) == 1
        error = capsys.readouterr().err
        assert error.endswith("error: --log wandb needs the package wandb, which is not installed: pip install wandb\n")
        assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
