"""Scores of probes against slow definitions, with weights as repeated samples."""

from __future__ import annotations

import numpy as np
import pytest

from vlalign.probing.scores import constant_outputs, evaluate, one_score, per_class, resamples


def slow_f1(predicted: np.ndarray, values: np.ndarray) -> float:
    both = sum(bool(p and v) for p, v in zip(predicted, values, strict=True))
    return 2 * both / (predicted.sum() + values.sum())


def slow_average_precision(outputs: np.ndarray, values: np.ndarray) -> float:
    total, last = 0.0, 0.0
    for threshold in sorted(set(outputs), reverse=True):
        chosen = outputs >= threshold
        recall = values[chosen].sum() / values.sum()
        total += (recall - last) * values[chosen].mean()
        last = recall
    return total


@pytest.fixture
def made() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    outputs = draw.normal(size=(60, 3)).round(1)  # with ties
    return outputs, outputs + draw.normal(size=(60, 3)) > 0.5, draw.integers(0, 4, size=(2, 60)).astype(float)


def test_scores_of_labels_are_those_of_slow_definitions_on_repeated_samples(
    made: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    outputs, values, weights = made
    fast, classes = evaluate("labels", outputs, values, weights), per_class("labels", outputs, values, weights)
    for i, counts in enumerate(weights.astype(int)):
        out, true = (np.repeat(one, counts, axis=0) for one in (outputs, values))
        predicted = out > 0
        f1 = [slow_f1(predicted[:, c], true[:, c]) for c in range(3)]
        precision = [slow_average_precision(out[:, c], true[:, c]) for c in range(3)]
        assert classes["f1"][i] == pytest.approx(f1)
        assert classes["auprc"][i] == pytest.approx(precision)
        assert {name: value[i] for name, value in fast.items()} == pytest.approx(
            {
                "f1_macro": np.mean(f1),
                "f1_micro": slow_f1(predicted.ravel(), true.ravel()),
                "f1_weighted": np.average(f1, weights=true.sum(axis=0)),
                "auprc": np.mean(precision),
                "accuracy": (predicted == true).mean(),
            }
        )


def test_scores_of_classes_and_numbers() -> None:
    values = np.eye(3, dtype=bool)[[0, 0, 1, 1, 2, 2]]
    outputs = np.eye(3)[[0, 0, 1, 2, 2, 2]]
    scores = {name: float(value[0]) for name, value in evaluate("classes", outputs, values).items()}
    assert scores["accuracy"] == pytest.approx(5 / 6)
    assert scores["f1_macro"] == pytest.approx((1 + 2 / 3 + 4 / 5) / 3)
    y = np.array([[1.0], [2], [3], [6]])
    assert evaluate("regression", y + 1, y)["r2"][0] == pytest.approx(1 - 4 / 14)
    assert evaluate("regression", constant_outputs("regression", y, "r2"), y)["r2"][0] == pytest.approx(0)


@pytest.mark.parametrize(("name", "expected"), [("f1_macro", (2 / 3 + 0.4) / 2), ("auprc", 0.375), ("accuracy", 0.625)])
def test_chance_is_the_best_prediction_without_features(name: str, expected: float) -> None:
    values = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], dtype=bool)
    outputs = constant_outputs("labels", values, name)
    assert one_score(name, "labels", outputs, values, np.ones((1, 4)))[0] == pytest.approx(expected)


def test_a_class_that_no_sample_has_does_not_count() -> None:
    values = np.array([[1, 0], [1, 0]], dtype=bool)
    assert evaluate("labels", np.array([[1.0, 1], [1, -1]]), values)["f1_macro"][0] == 1


def test_resamples_keep_groups_together() -> None:
    drawn = resamples(6, np.array([0, 0, 3, 3, 3, 9]), 50, np.random.default_rng(0))
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, 2] == drawn[:, 4]).all()
    assert (drawn[:, [0, 2, 5]].sum(axis=1) == 3).all()
