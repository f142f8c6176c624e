"""Data of the experiment: what is refused before training, folds, and the file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from support.advice import arrays, data

import vlalign
from vlalign.advice.data import check_folds, make_data, read_data
from vlalign.errors import VlalignError

X1, X2, Y = arrays()


def with_nan() -> np.ndarray:
    broken = X1.copy()
    broken[7, 2] = np.nan
    return broken


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": Y[:-1]}, "59 labels for 60 samples"),
        ({"y": np.zeros(60, int)}, "all labels are '0': give two classes or more"),
        ({"y": np.full(60, 0.5)}, "the labels are all equal"),
        ({"y": ["a", "a ", "b"] * 20}, "labels: 'a' and 'a ' differ only in type or spaces: write them alike"),
        ({"y": np.arange(60)}, "60 different values in 60 samples, too many for classes"),
        ({"y": [f"{value / 7:.3f}" for value in range(60)]}, "numbers as texts, such as '0.000': give them as numbers"),
        ({"y": [*Y[:-1].tolist(), None]}, "label 59 (from 0) is None"),
        ({"y": np.where(np.arange(60) == 3, np.inf, 0.5)}, "label 3 (from 0) is infinite"),
        ({"x1": with_nan()}, "a value of first is not finite (first in row 7)"),
        ({"x1": np.ones((60, 4))}, "first has the same values in every row"),
        ({"x2": X2[:50]}, "first has 60 rows and second has 50: rows are pairs"),
        ({"x2": X2[:, :, None]}, "second has 7 layers: give one, as features [N, D]"),
        ({"unlabelled": (X1,)}, "unlabelled must be two arrays"),
        ({"unlabelled": (X1, X2[:, :3])}, "unlabelled second has 3 columns and second has 7"),
        ({"unlabelled": (X1[:4], X2[:5])}, "unlabelled first has 4 rows and unlabelled second has 5"),
        ({"split": ["train"] * 60}, "split must hold train, valid or test for each of the 60 samples"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_data_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(VlalignError) as error:
        make_data(**{"x1": X1, "x2": X2, "y": Y, **change})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_rare_classes_are_refused() -> None:
    y = ["common"] * 46 + ["rare"] * 14
    check_folds(make_data(X1, X2, ["common"] * 45 + ["rare"] * 15), 3)
    with pytest.raises(VlalignError, match="class 'rare' has 14 of 60 labelled samples, for 3 folds: give 15 or more"):
        check_folds(make_data(X1, X2, y), 3)
    split = ["train"] * 40 + ["valid"] * 10 + ["test"] * 10
    with pytest.raises(VlalignError, match="class 'rare' has 0 of 40 train samples"):
        check_folds(make_data(X1, X2, y, split=split), 3)
    with pytest.raises(VlalignError, match="there are 60 labelled samples, for 5 folds: give 100 or more"):
        check_folds(make_data(X1, X2, Y + 0.5 * X1[:, 0]), 5)


def test_a_column_that_is_the_label_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        make_data(np.c_[X1, 3.0 - 2.0 * Y], X2, Y)
    assert "first: column 5 (from 0) equals the label" in caplog.text


def test_repeated_rows_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        make_data(X1[np.arange(60) // 5], X2, Y)
    assert "first: 60 of 60 rows are exact repeats (up to 5 alike)" in caplog.text
    assert "second" not in caplog.text


def test_every_sample_is_tested_on_once_a_seed() -> None:
    folds = data().folds(4, 3)
    assert sorted(np.concatenate([test for _, _, test in folds])) == list(range(60))
    for train, valid, test in folds:
        assert sorted([*train, *valid, *test]) == list(range(60))
        shares = [Y[part].mean() for part in (train, valid, test)]
        assert max(shares) - min(shares) < 0.06  # stratified
    again = data().folds(5, 3)
    assert not np.array_equal(folds[0][2], again[0][2])


def test_the_file_holds_everything(tmp_path: Path) -> None:
    split = ["train"] * 30 + ["valid"] * 15 + ["test"] * 15
    made = data(unlabelled=8, split=split, names=("image", "text"))
    made.save(tmp_path)
    read = read_data(tmp_path)
    assert read.fingerprint == made.fingerprint
    assert (read.classes, read.names) == (("0", "1"), ("image", "text"))
    assert torch.equal(read.extra[1], made.extra[1])
    (tmp_path / "data.safetensors").write_bytes(b"nothing")
    with pytest.raises(VlalignError, match=r"data\.safetensors is missing or damaged"):
        read_data(tmp_path)


def test_runs_frames_and_labels_are_paired_by_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"s{i}" for i in range(60)]
    order = np.random.default_rng(0).permutation(60)
    shuffled = [ids[i] for i in order]
    expected = make_data(X1.astype(np.float32), X2.astype(np.float32), Y).fingerprint
    runs = [
        vlalign.import_embeddings(tmp_path, name, x, ids=names)
        for name, x, names in (("dino", X1, ids), ("llama", X2[order], shuffled))
    ]
    by_id = dict(zip(shuffled, Y[order].tolist(), strict=True))
    for labels in (Y, by_id, pd.Series(Y[order], index=shuffled)):
        assert make_data(*runs, labels).fingerprint == expected
    split = pd.Series(["train", "valid", "test"] * 20, index=ids)
    parts = make_data(*runs, by_id, split=split.to_numpy()).split
    for given in (split[shuffled], split[shuffled].to_dict()):
        assert make_data(*runs, by_id, split=given).split.equal(parts)
    frames = pd.DataFrame(X1, index=ids), pd.DataFrame(X2[order], index=shuffled)
    assert make_data(*frames, by_id).fingerprint == expected
    numbered = [pd.DataFrame(x) for x in (X1, X2)]  # row numbers in another order are ids, too
    for x2, y in ((numbered[1].iloc[order], pd.Series(Y)), (numbered[1], pd.Series(Y).iloc[order])):
        assert make_data(numbered[0], x2, y).fingerprint == expected
    assert make_data(runs[0], X2, Y).fingerprint == expected  # an array has no ids: rows are in the order of the run
    few = {"estimator": "clusters", "bootstraps": 20, "permutations": 19, "folds": 3}
    assert vlalign.information(*runs, by_id, **few).as_dict() == vlalign.information(X1, X2, Y, **few).as_dict()
    monkeypatch.setattr("vlalign.advice.run._run", lambda data, *_, **__: data)
    data: Any = vlalign.advise(*runs, by_id)
    assert (data.names, data.fingerprint) == (("dino", "llama"), expected)
    for setting, hint in (("fold", r" \(did you mean folds\?\)"), ("ids", "")):  # ids are those of runs and frames
        with pytest.raises(TypeError, match=rf"advise\(\) got an unexpected keyword argument '{setting}'{hint}"):
            vlalign.advise(*runs, by_id, **{setting: ids})  # type: ignore[arg-type]
    for y, x2, message in (
        ({"s0": 1}, runs[1], "the labels lack 59 of 60 samples: 's1', 's2', 's3' and 56 more"),
        (Y, pd.DataFrame(X2, index=[f"t{i}" for i in range(60)]), "do not hold the same ids"),
    ):
        with pytest.raises(VlalignError, match=message):
            make_data(runs[0], x2, y)
    with pytest.raises(VlalignError, match="the labels are given by id, but the features have no ids"):
        make_data(X1, X2, by_id)


def test_columns_and_targets_of_any_offset() -> None:
    values = np.random.default_rng(0).normal(size=(60, 4))
    data = make_data(values, 1e8 + values, 1.7e9 + values[:, 0] ** 3, unlabelled=(2 * values, 1e8 + 2 * values))
    assert [side.dtype for side in (*data.x, *data.extra, data.target)] == [torch.float32] * 5
    np.testing.assert_array_equal(data.x[0].numpy(), values.astype(np.float32))
    np.testing.assert_allclose(data.extra[1] - data.extra[1].mean(0), 2 * (data.x[1] - data.x[1].mean(0)), atol=1e-5)
    assert np.corrcoef(data.target, values[:, 0] ** 3)[0, 1] > 0.9999
