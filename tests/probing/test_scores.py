"""Scores of probes against slow definitions, with weights as repeated samples."""

from __future__ import annotations

import numpy as np
import pytest

from vlalign.probing.scores import chance_level, evaluate, per_class, resamples


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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("f1_macro", (2 / 3 + 0.4) / 2),
        ("f1_weighted", 2 / 3 * 2 / 3 + 0.4 / 3),
        ("f1_micro", 4 / 7),
        ("auprc", 0.375),
        ("accuracy", 0.625),
    ],
)
def test_chance_of_labels_is_that_of_the_best_constant_prediction(name: str, expected: float) -> None:
    values = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], dtype=bool)
    chance = chance_level(name, "labels", values.mean(axis=0))
    assert chance == pytest.approx(expected)
    if name != "auprc":
        constant = [np.tile(row, (4, 1)) for row in np.array([[1, 1], [1, -1], [-1, 1], [-1, -1.0]])]
        assert chance == pytest.approx(max(evaluate("labels", outputs, values)[name][0] for outputs in constant))


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.9, 0.1], [0.6, 0.3, 0.1], [0.34, 0.33, 0.33]])
def test_chance_of_classes_is_the_best_guess_by_shares(shares: list[float]) -> None:
    p = np.array(shares)
    steps = np.linspace(0, 1, 401)
    grid = np.stack(np.meshgrid(*[steps] * (len(p) - 1)), axis=-1).reshape(-1, len(p) - 1)
    guesses = np.column_stack([grid, 1 - grid.sum(axis=1)])
    guesses = guesses[guesses[:, -1] >= 0]
    f1 = 2 * p * guesses / (p + guesses)
    expected = {"accuracy": p.max(), "f1_macro": f1.mean(axis=1).max(), "f1_weighted": (f1 @ p).max()}
    for name, value in expected.items():
        assert chance_level(name, "classes", p) == pytest.approx(value, abs=1e-5)
    assert chance_level("auprc", "classes", p) == pytest.approx(1 / len(p))
    n = 20_000
    y = np.repeat(np.arange(len(p)), np.round(p * n).astype(int))
    draw = np.random.default_rng(0)
    guessed = np.eye(len(p))[draw.choice(len(p), n, p=p)]
    assert evaluate("classes", guessed, np.eye(len(p), dtype=bool)[y])["f1_macro"][0] == pytest.approx(
        1 / len(p), abs=0.02
    )


def test_a_class_that_no_sample_has_does_not_count() -> None:
    values = np.array([[1, 0], [1, 0]], dtype=bool)
    assert evaluate("labels", np.array([[1.0, 1], [1, -1]]), values)["f1_macro"][0] == 1


def test_resamples_keep_groups_together() -> None:
    drawn = resamples(6, np.array([0, 0, 3, 3, 3, 9]), 50, np.random.default_rng(0))
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, 2] == drawn[:, 4]).all()
    assert (drawn[:, [0, 2, 5]].sum(axis=1) == 3).all()
