"""Groups of samples: kept whole by folds, resamples and shuffles; noise has nothing, what is known keeps its value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import vlalign
from vlalign.decomposition.classifiers import make_folds, prepared
from vlalign.decomposition.sample_groups import SampleGroups, read_sample_groups
from vlalign.decomposition.shared import shared_part
from vlalign.errors import VlalignError

DRAW = np.random.default_rng(0)
#: 80 groups of 1 to 8 samples in random order
GROUPS = DRAW.permutation(np.repeat(np.arange(80), np.arange(80) % 8 + 1))
FEW: dict[str, Any] = {"bootstraps": 40, "permutations": 39, "units": "nats", "folds": 3, "clusters": 8}


def test_resamples_and_shuffles_keep_groups_whole() -> None:
    units, draw = SampleGroups(GROUPS), np.random.default_rng(0)
    label, fold = np.arange(80)[GROUPS] // 8 % 2, np.arange(80)[GROUPS] % 4
    assert GROUPS[units.first].tolist() == list(range(80))
    drawn = units.resample(draw)
    times = np.bincount(GROUPS[drawn], minlength=80) / units.sizes
    assert times.sum() == 80
    assert (times == times.astype(int)).all()
    assert all((np.bincount(drawn, minlength=len(GROUPS))[g == GROUPS] == times[g]).all() for g in range(80))
    other = units.shuffle(draw, label, fold)
    given = [set(GROUPS[other[g == GROUPS]].tolist()) for g in range(80)]
    assert all(len(one) == 1 for one in given)  # the samples of a group get those of one other
    assert sorted(next(iter(one)) for one in given) == list(range(80))
    assert [next(iter(one)) for one in given] != list(range(80))
    assert (label[other] == label).all()
    assert (fold[other] == fold).all()
    for g in range(80):
        rows = other[g == GROUPS]
        assert len(set(rows.tolist())) == min(len(rows), units.sizes[GROUPS[rows[0]]])


def test_folds_and_parts_keep_groups_whole() -> None:
    labels = torch.from_numpy(np.arange(80)[GROUPS] % 2)
    folds = make_folds(labels, 4, 0, SampleGroups(GROUPS))
    assert torch.cat(folds.predict).sort().values.tolist() == list(range(len(GROUPS)))
    for predict, fits, chooses in zip(folds.predict, folds.fit, folds.choose, strict=True):
        assert np.bincount(np.unique(GROUPS[predict]) % 2).tolist() == [10, 10]  # stratified
        for fit, choose in zip(fits, chooses, strict=True):
            sets = [set(GROUPS[rows].tolist()) for rows in (predict, fit, choose)]
            assert not sets[0] & sets[1]
            assert not sets[0] & sets[2]
            assert not sets[1] & sets[2]
        assert len(np.unique(GROUPS[folds.halved().fit[0, 0]])) < 0.7 * len(np.unique(GROUPS[folds.fit[0, 0]]))


@pytest.mark.parametrize(("estimator", "width"), [("gaussian", 150), ("clusters", 2)])
def test_repeats_of_noise_have_no_information(estimator: Any, width: int) -> None:
    """Five captions of each of 120 images with a label of the image; without groups, images are recognised."""
    draw = np.random.default_rng(0)
    groups = draw.permutation(np.repeat(np.arange(120), 5))
    x1, x2 = draw.normal(size=(120, width))[groups], draw.normal(size=(600, 20))
    label = draw.normal(size=120) if estimator == "gaussian" else draw.permutation(120) % 2
    leaking = vlalign.information(x1, x2, label[groups], estimator=estimator, **FEW)
    assert leaking.I1.detected
    result = vlalign.information(x1, x2, label[groups], estimator=estimator, groups=groups, **FEW)
    assert not any(one.detected for one in result.estimates.values())
    assert result.I1.value < 0.05
    assert (leaking.groups, result.groups, result.as_dict()["groups"]) == (None, 120, 120)
    assert "600 samples in 120 groups, " in repr(result)


def test_what_groups_know_keeps_its_value_and_its_interval_counts_groups() -> None:
    draw = np.random.default_rng(3)
    target = draw.normal(size=300)
    x1, x2 = (target + draw.normal(size=300) * noise for noise in (0.5, 1.0))
    alone = vlalign.information(x1, x2, target, estimator="gaussian", **FEW)
    groups = draw.permutation(np.repeat(np.arange(300), 6))
    same = vlalign.information(x1[groups], x2[groups], target[groups], groups=groups, estimator="gaussian", **FEW)
    for name, exact in (("I1", 0.5 * np.log(1 + 4)), ("I2", 0.5 * np.log(2))):
        one, few = same.estimates[name], alone.estimates[name]
        assert one.low < exact < one.high
        assert one.value == pytest.approx(exact, abs=0.08)
        assert one.value == pytest.approx(few.value, abs=0.02)
        assert one.high - one.low == pytest.approx(few.high - few.low, rel=0.5)  # repeats add nothing
        assert one.detected


def test_modalities_that_share_only_their_groups_share_no_direction() -> None:
    draw = np.random.default_rng(0)
    groups = draw.permutation(np.repeat(np.arange(60), 8))
    views = [prepared(torch.from_numpy(draw.normal(size=(60, 40))[groups]))[1] for _ in range(2)]
    assert len(shared_part(*views, 0).correlations) > 5
    assert shared_part(*views, 0, SampleGroups(groups)).correlations == []


X = np.random.default_rng(0).normal(size=(60, 3))
Y = np.arange(60) // 2 % 2


@pytest.mark.parametrize(
    ("y", "groups", "message"),
    [
        (Y, [*range(59), None], r"groups: sample 59 \(from 0\) has no group: give it one"),
        (Y, range(59), "59 groups for 60 samples: give one for each"),
        (Y, ["p", "p "] * 30, "groups: 'p' and 'p ' differ only in type or spaces"),
        (Y, {"a": 1}, "the groups are given by id, but the features have no ids"),
        (Y, np.arange(60) // 4, "groups: '0' has the labels '0' and '1', and shuffles need one label a group"),
        (X[:, 0], np.arange(60) // 2, "groups: '0' has the labels '.*' and '.*', and shuffles need one label"),
        (Y, np.arange(60) // 2, "class '0' has 15 of 30 groups, for 5 folds: give 25 or more of each class"),
    ],
)
def test_groups_that_are_refused(y: Any, groups: Any, message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        vlalign.information(X, X, y, groups=groups)


def test_groups_by_id() -> None:
    assert read_sample_groups({"a": "p", "b": "q", "c": "p"}, ["c", "b", "a"], 3).of.tolist() == [0, 1, 0]
    assert read_sample_groups(None, None, 3).of.tolist() == [0, 1, 2]
