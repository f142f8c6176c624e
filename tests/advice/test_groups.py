"""Groups of samples: whole in folds, counted once in intervals, and noise is at chance; from arrays and from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from support.advice import QUICK, arrays
from support.commands import status_of
from support.multibench import made_up

import vlalign
from vlalign.advice.analysis import of_units
from vlalign.advice.data import check_folds, make_data, read_data
from vlalign.advice.information import estimate
from vlalign.advice.sources import read_source
from vlalign.errors import VlalignError
from vlalign.stats.crossed import crossed_mean

X1, X2, Y = arrays(120)
GROUPS = np.random.default_rng(0).permutation(np.repeat(np.arange(40), [1, 2, 3, 6] * 10))
NUMBERS = np.unique(GROUPS.astype(str), return_inverse=True)[1]  # of the groups, in the order of their names


@pytest.mark.parametrize("classes", [True, False])
def test_folds_keep_groups_whole(classes: bool, tmp_path: Path) -> None:
    data = make_data(X1, X2, Y if classes else X1[:, 0], groups=GROUPS)
    folds = data.folds(4, 3)
    assert sorted(np.concatenate([test for _, _, test in folds])) == list(range(120))
    for parts in folds:
        assert sorted(np.concatenate([np.unique(GROUPS[part]) for part in parts])) == list(range(40))
    data.save(tmp_path)
    read = read_data(tmp_path)
    assert read.fingerprint == data.fingerprint != make_data(X1, X2, Y if classes else X1[:, 0]).fingerprint
    assert (read.units.of == NUMBERS).all()
    assert all(np.array_equal(a, b) for a, b in zip(folds[1], read.folds(4, 3)[1], strict=True))


def test_groups_that_are_refused() -> None:
    split = np.array(["train", "valid", "test"])[GROUPS % 3]
    make_data(X1, X2, Y, split=split, groups=GROUPS)
    split[np.flatnonzero(GROUPS == 6)[-1]] = "valid"
    with pytest.raises(VlalignError, match="the group '6' is in train and valid: keep it in one part of the split"):
        make_data(X1, X2, Y, split=split, groups=GROUPS)
    with pytest.raises(VlalignError, match=r"groups: sample 119 \(from 0\) has no group: give it one"):
        make_data(X1, X2, Y, groups=[*range(119), None])
    y = (GROUPS >= 14).astype(int)  # of 14 groups, 42 samples
    check_folds(make_data(X1, X2, y), 3)
    with pytest.raises(VlalignError, match="class '0' has 14 of 40 labelled groups, for 3 folds: give 15 or more"):
        check_folds(make_data(X1, X2, y, groups=GROUPS), 3)
    with pytest.raises(VlalignError, match="there are 40 labelled groups, for 3 folds: give 60 or more"):
        check_folds(make_data(X1, X2, X1[:, 0], groups=GROUPS), 3)


def test_intervals_count_groups() -> None:
    draw = np.random.default_rng(0)
    covered = np.zeros(2)
    for _ in range(300):
        of = np.repeat(np.arange(60), draw.integers(1, 9, 60))
        values = draw.normal(size=60)[of] + 0.5 * draw.normal(size=(5, len(of))) + 0.1 * draw.normal(size=(5, 1))
        for i, given in enumerate((values, of_units(values, of))):
            result = crossed_mean(given)
            assert result.mean == pytest.approx(values.mean())
            covered[i] += result.low <= 0 <= result.high
    assert covered[0] < 0.85 * 300
    assert covered[1] > 0.93 * 300
    alone = draw.normal(size=(5, 3, 20))
    assert np.array_equal(of_units(alone, np.arange(20)), alone)
    twice = of_units(np.repeat(alone, 2, axis=2), np.repeat(np.arange(20), 2))
    assert crossed_mean(twice[:, 0]).se == pytest.approx(crossed_mean(alone[:, 0]).se)  # repeats add nothing


def test_repeats_of_noise_are_at_chance(caplog: pytest.LogCaptureFixture) -> None:
    """Five captions of each of 60 images with one label; without groups, images are recognised."""
    draw = np.random.default_rng(0)
    groups = draw.permutation(np.repeat(np.arange(60), 5))
    x1, x2 = draw.normal(size=(60, 60))[groups], draw.normal(size=(300, 20))
    y = (draw.permutation(60) % 2)[groups]
    settings = {**QUICK, "steps": 30, "weights": (1.0,), "batch": 64, "learning_rate": 0.03}
    leaking = vlalign.advise(x1, x2, y, **settings)
    assert "300 of 300 rows are exact repeats" in caplog.text
    assert "give the group of each sample (groups=, --groups)" in caplog.text
    caplog.clear()
    result = vlalign.advise(x1, x2, y, groups=groups, **settings)
    assert not caplog.messages
    first, honest = (one.effects.query("use == 'first' and weight == 0")["score"].item() for one in (leaking, result))
    assert first > 0.8
    assert honest == pytest.approx(0.5, abs=0.12)
    assert (leaking.facts["groups"], result.facts["groups"], result.facts["tested"]) == (None, 60, 300)


def test_information_has_the_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def refuse(*_: Any, **more: Any) -> None:
        given.append(more)
        raise VlalignError("too few samples")

    monkeypatch.setattr("vlalign.decomposition.information", refuse, raising=False)
    estimate(make_data(X1, X2, Y, groups=GROUPS), tmp_path)
    estimate(make_data(X1, X2, Y), tmp_path)
    assert sorted(given[0]["groups"].tolist()) == sorted(NUMBERS)
    assert given[1] == {}


def test_groups_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    ids, names = [f"s{i}" for i in range(120)], [str(g) for g in GROUPS]
    np.savez("mine.npz", image=X1, text=X2, labels=Y, groups=GROUPS)
    table = pd.DataFrame({"id": ids, "image": names, "label": Y})
    table.iloc[::-1].to_csv("rows.csv", index=False)
    table[table["image"] != "3"].to_csv("some.csv", index=False)
    Path("ids.txt").write_text("\n".join(ids))
    by_row = read_source(["mine.npz"], "mine.npz:labels", groups="mine.npz:groups")
    by_id = read_source(["mine.npz"], "rows.csv:label", ids=["ids.txt"], groups="rows.csv:image")
    assert torch.equal(by_row.group, by_id.group)
    assert (by_row.units.of == NUMBERS).all()
    kept = GROUPS != 3
    for groups in ("some.csv:image", "rows.csv:image", "mine.npz:groups"):  # samples without a label need none
        fewer = read_source(["mine.npz"], "some.csv:label", ids=["ids.txt"], groups=groups)
        assert (np.unique(NUMBERS[kept])[fewer.units.of] == NUMBERS[kept]).all()
        assert len(fewer.extra[0]) == (~kept).sum()
    prepared = made_up(tmp_path / "set")
    rows = [one for part in ("train", "valid", "test") for one in prepared.splits[part].ids]
    pd.DataFrame({"id": rows[::-1], "group": rows[::-1]}).to_csv("set.csv", index=False)
    data = read_source([str(prepared.folder)], modalities=prepared.modalities[:2], groups="set.csv:group")
    assert len(data.units.sizes) == len(rows) == len(data)
    size = ["--steps", "2", "--folds", "3", "--depth", "1", "--weights", "1", "--batch", "16", "--width", "4"]
    words = ["advise", "mine.npz", "--labels", "mine.npz:labels", "--groups", "mine.npz:groups", *size, "--cpu"]
    assert status_of([*words, "--quiet"]) == 0
    assert "120 test samples in 40 groups" in Path("advice/report.html").read_text(encoding="utf-8")
    assert status_of([*words[:4], *size, "--cpu", "--quiet"]) == 1  # the folder is of another study
    assert "holds another study" in capsys.readouterr().err
