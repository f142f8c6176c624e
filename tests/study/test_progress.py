"""The bar over all processes: work of others is counted by their files, and the bar never passes its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlalign.study.progress import StudyProgress, Work


def test_the_bar_counts_what_other_processes_finish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlalign.study.progress._LOOK", -1.0)
    done, missing = tmp_path / "done", tmp_path / "missing"
    done.touch()
    others = [("train", 4.0, [done]), ("train", 2.0, [done, missing])]
    work = Work("train", 16.0)
    with StudyProgress({"train": work}, "training", others=others) as bar:
        bar.advance(1.0, "train")
        assert work.done == 5
        missing.touch()
        bar.advance(1.0, "train")
        bar.advance(1.0, "train")
        assert work.done == 9
        assert bar._bar.n < 100
    assert bar._bar.n == 100  # all is done when nothing went wrong


def test_the_bar_never_passes_its_end() -> None:
    with StudyProgress.over(1.0, "work", True) as bar:
        for _ in range(12):
            bar.advance(0.1)
        assert bar._bar.n <= 99
    assert bar._bar.n == 100
