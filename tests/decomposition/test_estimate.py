"""Estimates from samples: known decompositions, noise, folds, calibrated states, results as files, and bad input."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vlalign
from vlalign.arrays import as_float32
from vlalign.decomposition import InformationResult, broja, classifiers, mutual_information
from vlalign.decomposition.classifiers import make_folds, prepared
from vlalign.decomposition.estimate import pair_estimates
from vlalign.decomposition.options import InformationOptions
from vlalign.decomposition.predictions import PairPredictions
from vlalign.decomposition.result import NAMES
from vlalign.decomposition.scores import _with_information, pair_scores
from vlalign.errors import VlalignError

FEW = {"folds": 3, "bootstraps": 40, "permutations": 39, "clusters": 8}


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    """Training of 60 steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifiers, "_LEAST_STEPS", 60)
        patch.setattr(classifiers, "_MOST_STEPS", 60)
        yield


@pytest.fixture(scope="module")
def known() -> InformationResult:
    """One bit of the label is in both, one is the exclusive or of a bit of each; further columns are noise."""
    draw = np.random.default_rng(0)
    a, b, c = draw.integers(2, size=(3, 400))
    x1 = np.stack([a, b, draw.normal(size=400)], axis=1) + 0.05 * draw.normal(size=(400, 3))
    x2 = np.stack([-a, c, draw.normal(size=400)], axis=1) + 0.05 * draw.normal(size=(400, 3))
    return vlalign.information(x1, torch.from_numpy(x2), [f"class {value}" for value in 2 * a + (b ^ c)], **FEW)


def test_redundancy_and_synergy(known: InformationResult) -> None:
    expected = {"I1": 1, "I2": 1, "I12": 2, "R": 1, "U1": 0, "U2": 0, "S": 1, "C": 1}
    for name, bits in expected.items():
        one = known.estimates[name]
        assert one.value == pytest.approx(bits, abs=0.12), name
        assert one.low <= one.value <= one.high or one.value == 0
        assert one.low <= min(bits, known.label_entropy) <= one.high + 1e-9, name  # what classifiers miss is included
        assert one.detected == (bits > 0), name
    for part, wholes in {"R": "I1 I2", "U1": "I1", "U2": "I2", "S": "I12", "C": "I1 I2"}.items():
        one = known.estimates[part]
        assert one.high <= max(one.value, min(known.estimates[whole].high for whole in wholes.split())) + 1e-12, part
    assert known.independent_synergy == pytest.approx(0, abs=0.05)
    assert known.label_entropy == pytest.approx(2, abs=0.02)
    assert known.estimates["R"] == known.R


@pytest.mark.parametrize("interaction", [True, False])
def test_synergy_is_more_than_of_modalities_that_are_independent_within_classes(interaction: bool) -> None:
    """Few samples and exact posteriors: the label is the sign of a product, or of two noisy views of one value."""
    draw, labels, classes = np.random.default_rng(0), np.arange(120) % 2, np.arange(2)
    views = labels + 0.6 * draw.normal(size=(2, 120))
    logs = -((views[:, :, None] - classes) ** 2) / 0.72
    if interaction:
        logs *= 0
    joint = np.where(labels[:, None] == classes, 0, -5.0) if interaction else logs.sum(axis=0)
    posteriors, both = (np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True) for x in (logs, joint))
    fold = np.arange(120) // 2 % 5
    nothing = np.zeros((3, 120))
    predicted = PairPredictions(posteriors, np.log(2 * both), np.zeros((2, 120, 2)), [], nothing, fold, labels, {})
    options = InformationOptions(bootstraps=40, permutations=99)
    one = pair_estimates(predicted, pair_scores(predicted, options)[0], options)["S"]
    assert one.low > 0.02
    assert one.detected == interaction
    assert (one.value > one.null) == interaction


def test_noise_has_nothing() -> None:
    draw = np.random.default_rng(1)
    result = vlalign.information(draw.normal(size=(140, 30)), draw.normal(size=(140, 20)), np.arange(140) % 2, **FEW)
    for name in NAMES:
        assert not result.estimates[name].detected, name
        assert result.estimates[name].value < 0.05, name
    assert "R 0.000 (not detected)" in repr(result)


def test_result_as_table_figure_file_and_html(known: InformationResult, tmp_path: Path) -> None:
    table = known.table()
    assert list(table.index) == list(NAMES)
    assert table.loc["S", "value"] == known.S.value
    assert "only in both together" in known._repr_html_()
    stored = json.loads(known.save(tmp_path / "information.json").read_text())
    assert stored["estimates"]["R"]["value"] == known.R.value
    assert stored["options"]["folds"] == 3
    assert stored["classes"] == [f"class {k}" for k in range(4)]
    axes = known.figure().axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][-1] == "in both (R)"
    with pytest.raises(AttributeError, match="no attribute 'T'"):
        _ = known.T


def test_what_one_classifier_misses_is_not_detected_in_the_other_modality() -> None:
    """x2 is wrong in a tenth; U1 may be what its classifier misses if half of the samples taught it much."""
    labels = np.arange(400) % 2
    sure = np.where(np.eye(2)[labels] > 0, 0.999, 0.001)
    unsure = np.where(np.eye(2)[labels ^ (np.arange(400) % 20 > 17)] > 0, 0.9, 0.1)
    result = {}
    for learning in (0.0, 0.15):
        growth = np.stack([np.zeros(400), np.full(400, learning), np.zeros(400)])
        predicted = PairPredictions(
            np.stack([sure, unsure]),
            np.log(2 * sure),
            np.zeros((2, 400, 2)),
            [],
            growth,
            np.arange(400) % 5,
            labels,
            {},
        )
        options = InformationOptions(bootstraps=20, permutations=19)
        result[learning] = pair_estimates(predicted, pair_scores(predicted, options)[0], options)
    known, learnt = result[0.0]["U1"], result[0.15]["U1"]
    assert known.value == learnt.value == pytest.approx(0.9 * np.log2(1 / 0.9) + 0.1 * np.log2(1 / 0.1), abs=0.01)
    assert (known.detected, learnt.detected) == (True, False)
    more = 0.15 / (2 ** (1 / 3) - 1) / np.log(2)
    assert result[0.15]["I2"].high == pytest.approx(1)  # H(Y)
    assert result[0.15]["U2"].high - result[0.0]["U2"].high == pytest.approx(more, abs=0.01)


@pytest.mark.parametrize("every", [800, 100])
def test_a_fiftieth_of_an_information_may_be_missed_with_any_number_of_samples(every: int) -> None:
    """x2 is seldom wrong, and more samples teach it nothing."""
    labels, wrong = np.arange(16_000) % 2, 1 / every
    sure = np.where(np.eye(2)[labels] > 0, 1 - 1e-9, 1e-9)
    unsure = np.where(np.eye(2)[labels ^ (np.arange(16_000) % every == 0)] > 0, 1 - wrong, wrong)
    nothing, fold = np.zeros((3, 16_000)), np.arange(16_000) % 5
    predicted = PairPredictions(
        np.stack([sure, unsure]), np.log(2 * sure), np.zeros((2, 16_000, 2)), [], nothing, fold, labels, {}
    )
    options = InformationOptions(bootstraps=20, permutations=19)
    result = pair_estimates(predicted, pair_scores(predicted, options)[0], options)
    missing = -wrong * np.log2(wrong) - (1 - wrong) * np.log2(1 - wrong)
    assert result["U1"].value == pytest.approx(missing, rel=0.1)
    assert result["U1"].detected == (missing > 0.02)


def test_folds_are_disjoint_and_stratified() -> None:
    labels = torch.tensor([0] * 40 + [1] * 20 + [2] * 15)[
        torch.randperm(75, generator=torch.Generator().manual_seed(0))
    ]
    folds = make_folds(labels, 5, 0)
    assert torch.cat(folds.predict).sort().values.tolist() == list(range(75))
    for predict, fits, chooses in zip(folds.predict, folds.fit, folds.choose, strict=True):
        assert labels[predict].bincount().tolist() == [8, 4, 3]
        assert len(chooses.unique()) == chooses.numel()  # parts are disjoint
        for fit, choose in zip(fits, chooses, strict=True):
            sets = [set(rows.tolist()) for rows in (predict, fit, choose)]
            assert not sets[0] & sets[1]
            assert not sets[0] & sets[2]
            assert not sets[1] & sets[2]
            assert (labels[choose].bincount() - torch.tensor([32, 16, 12]) / 3).abs().max() <= 1
    assert folds.halved().fit.tolist() == folds.fit[..., : folds.fit.shape[-1] // 2].tolist()
    assert folds.prior.exp().sum(dim=1).tolist() == pytest.approx([1] * 5)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0, 1.3])
def test_states_get_the_wanted_information_and_keep_their_marginals(share: float) -> None:
    table = np.random.default_rng(0).dirichlet(np.full(18, 2.0)).reshape(6, 3)
    wanted = share * mutual_information(table)
    moved = _with_information(table, wanted)
    assert moved.sum(axis=0) == pytest.approx(table.sum(axis=0))
    assert moved.sum(axis=1) == pytest.approx(table.sum(axis=1), abs=1e-4)
    assert mutual_information(moved) == pytest.approx(wanted, abs=0.01)


FEATURES = np.random.default_rng(0).normal(size=(60, 3))
CLASSES = np.arange(60) % 2


@pytest.mark.parametrize(
    ("x1", "y", "message"),
    [
        (FEATURES, CLASSES[:50], "50 labels for 60 samples: give one for each"),
        (FEATURES[:50], CLASSES, "x1 has 50 rows and x2 has 60: rows are pairs"),
        (FEATURES, np.zeros(60, dtype=int), "all labels are '0': give two classes or more"),
        (FEATURES, np.arange(60) > 52, "class '1' has 7 of 60 samples, for 5 folds: give 25 or more of each class"),
        (FEATURES, np.arange(60), "60 different values in 60 samples, too many for classes .at most 30."),
        (FEATURES, [f"{value:.3f}" for value in FEATURES[:, 0]], "numbers as texts, such as '0.126'"),
        (FEATURES, np.where(CLASSES > 0, np.nan, 1.0), "label 1 .from 0. is nan"),
        (FEATURES, ["a"] * 59 + [None], "label 59 .from 0. is None"),
        (FEATURES, FEATURES, r"label 0 .from 0. is \["),
        (np.where(FEATURES > 2, np.nan, FEATURES), CLASSES, "a value of x1 is not finite"),
        (np.ones((60, 3)), CLASSES, "x1 has the same values in every row"),
        (FEATURES[:, None].repeat(2, 1), CLASSES, "x1 has 2 layers: give one"),
    ],
)
def test_bad_input(x1: Any, y: Any, message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        vlalign.information(x1, FEATURES, y)


def test_a_column_that_is_the_label_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    from vlalign.decomposition.samples import check_samples

    leaking = np.concatenate([FEATURES, np.where(CLASSES, 7.0, -1.0)[:, None]], axis=1)
    with caplog.at_level(logging.WARNING, logger="vlalign"):
        check_samples([FEATURES, leaking], CLASSES, 5, 4)
    assert caplog.messages == ["x2: column 3 (from 0) equals the label: if it was made from it, leave it out"]


def test_repeated_rows_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    from vlalign.decomposition.samples import check_samples

    with caplog.at_level(logging.WARNING, logger="vlalign"):
        check_samples([FEATURES, FEATURES[np.arange(60) // 5]], CLASSES, 5, 4)
    (line,) = caplog.messages
    assert line.startswith("x2: 60 of 60 rows are exact repeats (up to 5 alike)")
    assert "give the group of each sample (groups=, --groups)" in line
    caplog.clear()
    check_samples([FEATURES, FEATURES[np.arange(60) // 2]], CLASSES[np.arange(60) // 2], 3, 4, np.arange(60) // 2)
    assert not caplog.messages


def test_regression_targets_become_quantile_bins() -> None:
    from vlalign.decomposition.samples import check_samples

    target = np.array([0.5] * 30 + [1.25] * 10 + [2.5] * 10 + [7.5] * 10)
    samples = check_samples([FEATURES, FEATURES], target, 2, 4)
    assert samples.classes == ["up to 0.5", "0.5 to 2.5", "above 2.5"]  # equal values stay together
    assert samples.labels.bincount().tolist() == [30, 20, 10]
    even = check_samples([FEATURES, FEATURES], np.random.default_rng(0).normal(size=60), 3, 4)
    assert even.labels.bincount().tolist() == [15] * 4


def test_exact_decomposition_is_beside_the_estimate() -> None:
    assert vlalign.information.broja is broja
    assert pytest.approx(math.log(2)) == broja([[[0.5, 0.0]], [[0.0, 0.5]]]).U1


def test_a_modality_without_information_has_no_redundancy_with_one_that_has_all() -> None:
    labels = np.arange(200) % 2
    sure = np.where(np.eye(2)[labels] > 0, 0.999, 0.001)
    posteriors = np.stack([np.full((200, 2), 0.5), sure])
    predicted = PairPredictions(
        posteriors, np.log(2 * sure), np.zeros((2, 200, 2)), [], np.zeros((3, 200)), np.arange(200) % 5, labels, {}
    )
    scores, independent = pair_scores(predicted, InformationOptions())
    first, second, _, r, u1, u2, _, _ = scores[:, np.arange(200), labels]
    assert first == pytest.approx(0, abs=1e-9)
    assert second == pytest.approx(np.log(2 * 0.999), abs=0.001)
    assert r == pytest.approx(0, abs=0.001)  # of every sample
    assert u1 == pytest.approx(0, abs=0.001)
    assert u2 == pytest.approx(second, abs=0.001)
    assert independent == pytest.approx(0, abs=1e-4)


def test_columns_and_targets_of_any_offset_and_scale() -> None:
    draw = np.random.default_rng(0)
    signal, noise = draw.normal(size=(2, 300, 1))
    x, target = signal + 0.3 * draw.normal(size=(300, 1)), signal[:, 0]

    def first(x: Any, y: Any, **options: Any) -> float:
        return vlalign.information(x, noise, y, **FEW, **options).estimates["I1"].value

    classes = (target > 0).astype(int)
    usual = first(x, classes)
    assert usual > 0.3
    assert first(x * 1e-7, classes) == pytest.approx(usual, abs=0.02)
    for given in (x * 1e-30, x + 1e9, (x * 1e-7).astype(np.float32), (x + 1e4).astype(np.float32)):
        inputs = prepared(as_float32(torch.from_numpy(given)))
        torch.testing.assert_close(inputs, prepared(torch.from_numpy(x)), atol=2e-3, rtol=0)
    usual = first(x, target, estimator="gaussian")
    assert usual > 1
    for y in (1.7e9 + target, 1e-30 * target):
        assert first(x, y, estimator="gaussian") == pytest.approx(usual, abs=1e-3)
    for rounding in (np.full((300, 2), 0.1) * (1 + 2e-16 * draw.integers(2, size=(300, 2))), 1e9 + 1e-8 * x):
        with pytest.raises(VlalignError, match="x1 has the same values in every row, up to rounding"):
            first(rounding, classes)
    with pytest.raises(VlalignError, match="labels are all equal"):
        first(x, 0.1 + 1e-17 * target)
