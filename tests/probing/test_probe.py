"""Probes of arrays and runs: layers, splits, groups, stored results, and errors before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from support.runs import FakeRun

import vlalign
from vlalign.errors import VlalignError
from vlalign.probing.folds import given_fold, hashed_folds
from vlalign.probing.result import ProbeResult, class_texts
from vlalign.probing.targets import make_targets
from vlalign.store.probes import damaged_probes, probe_path, stored_performance

FEW: dict[str, Any] = {"folds": 3, "bootstraps": 20, "strengths": (1e-3, 1e-1)}
N = 150


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    """Three layers, of which the second has the class of a sample in its first three columns."""
    x = torch.randn(N, 3, 6, generator=torch.Generator().manual_seed(0))
    x[:, 1, :3] += 5 * torch.nn.functional.one_hot(torch.arange(N) % 3, 3)
    return x


CLASSES = ["abc"[i % 3] for i in range(N)]


def test_the_layer_with_the_classes_is_chosen(x: torch.Tensor) -> None:
    result = vlalign.probe(x, CLASSES, **FEW)
    assert result.best == [1, 1, 1]
    assert result.value > 0.95
    assert [result.scores[name]["chance"] for name in result.scores] == pytest.approx([1 / 3] * 4)
    assert [layer["low"] <= layer["test"] <= layer["high"] for layer in result.layers] == [True] * 3
    assert max(result.layers[0]["test"], result.layers[2]["test"]) < 0.5
    assert [row["class"] for row in result.classes] == ["a", "b", "c"]
    assert result.tested == N == sum(result.parts["test"])
    again = vlalign.probe(x, CLASSES, **FEW)
    assert {**again.as_dict(), "seconds": 0} == {**result.as_dict(), "seconds": 0}
    assert ProbeResult.from_dict(result.as_dict()) == result
    assert "accuracy" in repr(result)
    assert "<table" in result._repr_html_()
    assert result.to_markdown().startswith("| class | samples | F1 |")
    assert list(result.to_frame()["chosen_in_folds"]) == [0, 3, 0]


@pytest.mark.parametrize("classes", [2, 5])
def test_noise_has_a_macro_f1_of_about_chance(classes: int) -> None:
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(classes))
    score = vlalign.probe(x, [i % classes for i in range(300)], score="f1_macro", **FEW).scores["f1_macro"]
    assert score["chance"] == pytest.approx(1 / classes)
    assert score["value"] < score["chance"] + 0.05


def test_series_and_frames_are_paired_by_their_index(x: torch.Tensor) -> None:
    ids = [f"s{i}" for i in range(N)]
    order = np.random.default_rng(0).permutation(N)
    features = pd.DataFrame(x[:, 1].numpy(), index=ids)
    labels, groups = pd.Series(CLASSES, index=ids), pd.Series(np.arange(N) // 2, index=ids)
    result = vlalign.probe(features, labels, groups=groups, **FEW)
    again = vlalign.probe(features, labels.iloc[order], groups=groups.iloc[order[::-1]], **FEW)
    assert again.value == result.value > 0.95
    split = pd.Series(["train"] * 60 + ["valid"] * 45 + ["test"] * 45, index=ids)
    dummies = pd.get_dummies(labels).astype(int)
    result = vlalign.probe(features, dummies, split=split, **FEW)
    again = vlalign.probe(features, dummies.iloc[order], split=split.iloc[order[::-1]], **FEW)
    assert again.value == result.value > 0.95
    with pytest.raises(VlalignError, match="the labels lack 1 of 150 samples: 's0'"):
        vlalign.probe(features, labels.iloc[1:], **FEW)


def test_repeats_without_groups_are_warned_of(x: torch.Tensor, caplog: pytest.LogCaptureFixture) -> None:
    repeated, labels = x[:, 1].repeat(2, 1), CLASSES * 2
    vlalign.probe(repeated, labels, groups=list(range(N)) * 2, **FEW)
    assert not caplog.messages
    vlalign.probe(repeated, labels, **FEW)
    (line,) = caplog.messages
    assert f"{2 * N} of {2 * N} rows are exact repeats (up to 2 alike)" in line
    assert "give the group of each sample (groups=, --groups)" in line


def test_labels_with_an_index_are_by_id(x: torch.Tensor) -> None:
    frame, labels = pd.DataFrame(x[:, 1].numpy()), pd.Series(CLASSES)
    expected = vlalign.probe(frame, labels, **FEW).value
    assert vlalign.probe(frame, labels.sample(frac=1, random_state=0), **FEW).value == expected
    names = [f"s{i}" for i in range(N)]
    table = pd.DataFrame({"id": names, "class": CLASSES})
    expected = vlalign.probe(x[:, 1], CLASSES, ids=names, **FEW).value
    shuffled = table.sample(frac=1, random_state=0)
    for given in (shuffled.set_index("id")["class"], labels.set_axis(names)[::-1], labels):
        assert vlalign.probe(frame.set_axis(names), given, **FEW).value == expected
    with pytest.raises(VlalignError, match="labels are given by id, but the features have no ids: give their ids"):
        vlalign.probe(x[:, 1], labels[::-1].set_axis(names), **FEW)


def test_several_labels_a_sample_and_numbers(x: torch.Tensor) -> None:
    labels = [[name for name, k in (("Drama", 0), ("War", 1)) if i % 3 <= k] for i in range(N)]
    result = vlalign.probe(x[:, 1], labels, **FEW)
    assert (result.task, result.score) == ("labels", "f1_macro")
    assert result.value > 0.95
    assert [row["class"] for row in result.classes] == ["Drama", "War"]
    matrix = np.array([[name in row for name in ("Drama", "War")] for row in labels]).astype(int)
    assert vlalign.probe(x[:, 1], matrix, **FEW).value == result.value
    numbers = vlalign.probe(x[:, 1], (x[:, 1] @ torch.arange(6.0)).tolist(), **FEW)
    assert (numbers.task, numbers.score) == ("regression", "r2")
    assert numbers.value > 0.95
    noise = vlalign.probe(x[:, 0], (x[:, 1] @ torch.arange(6.0)).tolist(), **FEW)
    assert noise.value < 0.1


def test_folds_depend_on_ids_alone_and_keep_groups_together() -> None:
    names = [f"s{i}" for i in range(60)]
    folds = hashed_folds(names, 4, 0)
    tested = {names[row]: i for i, fold in enumerate(folds) for row in fold.test}
    assert len(tested) == 60
    mixed = names[::-1][:50]
    assert {mixed[row]: i for i, fold in enumerate(hashed_folds(mixed, 4, 0)) for row in fold.test} == {
        name: tested[name] for name in mixed
    }
    assert all(not set(fold.train) & (set(fold.valid) | set(fold.test)) for fold in folds)
    [once] = hashed_folds([str(i // 2) for i in range(60)], 1, 0)
    part = {row // 2: name for name, rows in vars(once).items() for row in rows}
    assert all(part[row // 2] == name for name, rows in vars(once).items() for row in rows)
    assert [len(rows) for rows in vars(given_fold(["train", "dev", "test", "train"], None)[0]).values()] == [2, 1, 1]


def test_classes_of_models_on_other_samples_are_matched_by_name(x: torch.Tensor) -> None:
    ids = [f"s{i}" for i in range(N)]
    labels = dict(zip(ids, CLASSES, strict=True))
    frame = pd.DataFrame(x[:, 1].numpy(), index=ids)
    noise = pd.DataFrame(x[:, 0].numpy(), index=ids)[np.array(CLASSES) != "a"]
    options = vlalign.probing.options.ProbeKeywords(**FEW)
    whole, lacking = vlalign.probe_runs({"whole": frame, "lacking": noise}, labels, options)
    f1 = {one.model: {row["class"]: f"{row['f1']:.3f}" for row in one.classes} for one in (whole, lacking)}
    assert list(f1["lacking"]) == ["b", "c"]
    for results, order in (([whole, lacking], "abc"), ([lacking, whole], "bca")):
        table = class_texts(results)
        assert table.columns == ["class", "samples", *(f"F1, {one.model}" for one in results)]
        assert table.rows == [[name, "50", *(f1[one.model].get(name, "–") for one in results)] for name in order]


@pytest.fixture
def runs(x: torch.Tensor, tmp_path: Path) -> list[FakeRun]:
    """A run of each split of one model, and one run of another model with all samples."""
    ids = [f"s{i}" for i in range(N)]
    made = []
    for split, rows in (("train", slice(0, 90)), ("validation[:30]", slice(90, 120)), ("test", slice(120, None))):
        made.append(FakeRun("split", [x[rows, 1]], ids[rows], {"split": split, "name": "films"}))
    made.append(FakeRun("whole", list(x.unbind(1)), ids, {"split": "all", "name": "films"}))
    for i, run in enumerate(made):
        run.path = tmp_path / str(i)
    return made


def test_results_are_stored_beside_the_run_and_kept(runs: list[FakeRun], monkeypatch: pytest.MonkeyPatch) -> None:
    labels = dict(zip(runs[-1].ids, CLASSES, strict=True))
    options = vlalign.probing.options.ProbeKeywords(name="kind", **FEW)
    split, whole = vlalign.probe_runs(runs, labels, options)
    assert split.parts == {"train": [90], "valid": [30], "test": [30]}
    assert split.run is not None
    assert split.run["hash"] == runs[2].key.hash
    assert stored_performance(runs[2].path) == {"accuracy of kind": split.value}
    assert not stored_performance(runs[0].path)
    with monkeypatch.context() as patch:
        patch.setattr("vlalign.probing.probe.principal_axes", None)
        assert list(vlalign.probe_runs(runs, labels, options)) == [split, whole]
        with pytest.raises(TypeError):
            vlalign.probe_runs(runs[-1:], labels, options, force=True)
        with pytest.raises(TypeError):  # another class for one sample
            vlalign.probe_runs(runs[-1:], labels | {"s0": "b"}, options)
    path = probe_path(runs[-1].path, "kind", "accuracy")
    path.write_text(path.read_text().replace('"value": ', '"value": 1'))
    assert [problem.path for problem in damaged_probes(runs[-1].path)] == [path]
    assert vlalign.probe_runs(runs[-1:], labels, options)[0].value == whole.value


@pytest.mark.parametrize(
    ("labels", "more", "message"),
    [
        (CLASSES[:-1], {}, "149 labels for 150 samples"),
        (dict.fromkeys("xyz", "a"), {"ids": range(N)}, "no id of the labels is an id of the features: 'x', 'y', 'z'"),
        (dict.fromkeys("xyz", "a"), {}, "given by id, but the features have no ids"),
        (["a"] * N, {}, "all samples have one class, 'a'"),
        (["a"] * (N - 3) + ["b"] * 3, {}, "every class needs 10 samples, but 'b' has 3"),
        ([["a"]] * (N - 20) + [["b"]] * 5 + [[]] * 15, {}, "every label needs 10 samples .*, but 'b' has 5"),
        ([0.5, float("nan")] * (N // 2), {}, r"sample 1 \(from 0\) has no label"),
        ([*CLASSES[:-1], None], {}, r"sample 149 \(from 0\) has no label"),
        (["a", "a ", "b"] * (N // 3), {}, "labels: 'a' and 'a ' differ only in type or spaces"),
        (CLASSES, {"groups": [None] * N}, r"groups: sample 0 \(from 0\) has no group"),
        (CLASSES, {"groups": [3, "3"] * (N // 2)}, "groups: 3 and '3' differ only in type or spaces"),
        (pd.array([1, 2, pd.NA] * (N // 3)), {}, r"sample 2 \(from 0\) has no label"),
        (CLASSES, {"task": "regression"}, "has 'a': a regression needs finite numbers"),
        ([1.5] * N, {}, "the target value is constant"),
        (CLASSES, {"score": "r2"}, "r2 is no score of classes"),
        (CLASSES, {"folds": 2}, "2 parts leave none to train with"),
        (CLASSES, {"split": ["train"] * N}, "the split has no valid samples"),
        (CLASSES, {"split": ["train"] * (N - 1) + ["later"]}, "a split is train, valid or test, not 'later'"),
        (CLASSES, {"split": ["train", "valid", "test"] * (N // 3), "groups": [0] * N}, "the group '0' is in train and"),
        (CLASSES, {"split": ["test", "valid", "train"] * (N // 3)}, "no training sample with 'a'"),
    ],
)
def test_errors_come_before_training(
    x: torch.Tensor, labels: Any, more: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlalign.probing.probe.principal_axes", None)
    with pytest.raises(VlalignError, match=message) as error:
        vlalign.probe(x, labels, **FEW | more)
    assert len(str(error.value).splitlines()) == 1


def test_features_that_are_not_finite_are_refused(x: torch.Tensor) -> None:
    broken = x.clone()
    broken[7, 2, 0] = torch.nan
    with pytest.raises(VlalignError, match=r"layer layer_2 of x is not finite \(first in row 7\)"):
        vlalign.probe(broken, CLASSES, **FEW)


def test_numbers_as_texts_are_a_regression_where_they_have_fractions() -> None:
    assert make_targets(["0.5", "1", "2"]).task == "regression"
    assert make_targets([str(i % 2) for i in range(40)]).names == ["0", "1"]
    assert make_targets([10, 9] * 20).names == ["9", "10"]


def test_large_codes_of_classes_are_kept_apart_whatever_their_type() -> None:
    codes = [1000001, 1000002, 2000001] * 10
    whole = make_targets(codes)
    assert whole.names == ["1000001", "1000002", "2000001"]
    for given in ([float(code) for code in codes], [str(code) for code in codes], [-0.0, 1e17, 5.0] * 10):
        targets = make_targets(given)
        assert targets.values.sum(axis=0).tolist() == [10, 10, 10]
    assert make_targets([float(code) for code in codes]).sha256 == whole.sha256
    assert targets.names == ["0", "5", "100000000000000000"]


def test_columns_and_targets_of_any_offset_and_scale() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 6))
    target = x[:, 0] + 0.1 * draw.normal(size=300)
    classes = (target > 0).tolist()
    usual = vlalign.probe(x, classes).value
    assert usual > 0.9
    for given in (x * 1e-7, x * 1e-30, x + 1e7, x + 1e9, (x * 1e-30).astype(np.float32), (x + 1e5).astype(np.float32)):
        assert vlalign.probe(given, classes).value == pytest.approx(usual, abs=0.02)
    usual = vlalign.probe(x, target.tolist()).value
    assert usual > 0.98
    for numbers in (1.7e9 + 3 * target, 1e-30 * target):
        assert vlalign.probe(x, numbers.tolist()).value == pytest.approx(usual, abs=1e-4)
