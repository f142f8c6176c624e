"""Scores of predictions: F1, average precision (AUPRC), accuracy and R², for many weightings of the samples at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vlalign.metrics.base import Floats, Ints
from vlalign.probing.options import SCORES

Bools = NDArray[np.bool_]


def evaluate(task: str, outputs: Floats, values: NDArray, weights: Floats | None = None) -> dict[str, Floats]:
    """Return every score of a task for each weighting, [W].

    Args:
        task: classes, labels or regression.
        outputs: of a probe [n, C]: a label is predicted where its output is above 0, a class where its is largest.
        values: of the samples [n, C], as :class:`vlalign.probing.targets.Targets` has them.
        weights: of the samples [W, n], such as how often a resample draws each; None for one weighting of all 1.

    Means over classes or labels leave out those that no sample has; a score that is not defined is NaN.
    """
    w = np.ones((1, len(outputs))) if weights is None else weights
    return {name: one_score(name, task, outputs, values, w) for name in SCORES[task]}


def one_score(name: str, task: str, outputs: Floats, values: NDArray, weights: Floats) -> Floats:
    """Return one score for each weighting, [W]; arguments as for :func:`evaluate`."""
    if name == "r2":
        return _r2(outputs, values, weights).mean(axis=1)
    predicted = decisions(task, outputs)
    if name == "accuracy":
        right = predicted == values
        right = right.all(axis=1) if task == "classes" else right.mean(axis=1)
        return np.asarray(weights @ right / weights.sum(axis=1))
    if name == "auprc":
        return _mean(average_precision(outputs, values, weights))
    both, positives, claimed = _counts(predicted, values, weights)
    if name == "f1_micro":
        return 2 * both.sum(axis=1) / (positives + claimed).sum(axis=1)
    f1 = _f1(both, positives, claimed)
    return _mean(f1) if name == "f1_macro" else np.nansum(f1 * positives, axis=1) / positives.sum(axis=1)


def per_class(task: str, outputs: Floats, values: NDArray, weights: Floats) -> Mapping[str, Floats]:
    """Return F1 and AUPRC of each class or label, R² of each number, for each weighting, [W, C]."""
    if task == "regression":
        return {"r2": _r2(outputs, values, weights)}
    f1 = _f1(*_counts(decisions(task, outputs), values, weights))
    return {"f1": f1, "auprc": average_precision(outputs, values, weights)}


def chance_level(name: str, task: str, shares: Floats) -> float:
    """Return the best score to expect of a prediction that knows the shares of the classes, but no features.

    F1 of a class of share p that is guessed for a share q of the samples is 2 p q / (p + q). Over guesses of classes,
    its mean is largest, 1 / C, for q = p, and its mean weighted by p for q = p · max(0, √(p / μ) − 1), where μ makes
    the sum of q 1; the accuracy is largest for the most frequent class. A label is guessed for all samples (F1; for
    micro F1 only as many of the most frequent labels as give the largest), or where most samples have it (accuracy).
    AUPRC is the mean share; R² is 0, that of the mean.

    Args:
        name: of the score.
        task: classes, labels or regression.
        shares: of the tested samples that have each class or label, in (0, 1) [C].

    >>> chance_level("f1_macro", "classes", np.array([0.9, 0.1]))
    0.5
    """
    p = np.sort(shares)[::-1]
    if name == "r2":
        return 0.0
    if name == "auprc":
        return float(p.mean())
    if task == "labels":
        if name == "accuracy":
            return float(np.maximum(p, 1 - p).mean())
        if name == "f1_micro":
            return float((2 * p.cumsum() / (p.sum() + np.arange(1, len(p) + 1))).max())
        return float(np.average(2 * p / (1 + p), weights=p if name == "f1_weighted" else None))
    if name == "accuracy":
        return float(p[0])
    if name == "f1_macro":
        return 1 / len(p)
    levels = ((p**1.5).cumsum() / (1 + p.cumsum())) ** 2  # μ, if the first classes alone are guessed
    q = p * np.maximum(0, np.sqrt(p / levels[p > levels][-1]) - 1)
    return float((p * 2 * p * q / (p + q)).sum())


def decisions(task: str, outputs: Floats) -> Bools:
    """Return the predicted classes or labels as bool [n, C]."""
    if task == "labels":
        return outputs > 0
    predicted = np.zeros(outputs.shape, dtype=bool)
    predicted[np.arange(len(outputs)), outputs.argmax(axis=1)] = True
    return predicted


def average_precision(outputs: Floats, values: Bools, weights: Floats) -> Floats:
    """Return Σ (recall_i − recall_{i−1}) · precision_i over the thresholds of each class, [W, C].

    Samples with the same output share a threshold. NaN where no sample has the class.
    """
    result = np.empty((len(weights), outputs.shape[1]))
    for c in range(outputs.shape[1]):
        order = np.argsort(-outputs[:, c], kind="stable")
        ranked = outputs[order, c]
        ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
        drawn = weights[:, order]
        hits = np.cumsum(drawn * values[order, c], axis=1)[:, ends]
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.nan_to_num(hits / np.cumsum(drawn, axis=1)[:, ends])
            result[:, c] = (np.diff(hits, axis=1, prepend=0) * precision).sum(axis=1) / hits[:, -1]
    return result


def resamples(n: int, groups: Ints | None, count: int, draw: np.random.Generator) -> Floats:
    """Return how often each sample is drawn in bootstrap resamples of the samples, or of their groups, [count, n].

    Args:
        n: number of samples.
        groups: number of the group of each sample [n]; None for samples that stand alone.
        count: of resamples.
        draw: random numbers.
    """
    units = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    size = int(units.max()) + 1
    drawn = draw.multinomial(size, np.full(size, 1 / size), size=count)
    return drawn[:, units].astype(np.float64)


def _counts(predicted: Bools, values: Bools, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return weights of samples that have a class and are predicted it, that have it, and that are predicted it."""
    return weights @ (predicted & values), weights @ values, weights @ predicted


def _f1(both: Floats, positives: Floats, claimed: Floats) -> Floats:
    """Return F1 = 2 TP / (2 TP + FP + FN); NaN without positives."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(positives > 0, 2 * both / (positives + claimed), np.nan)


def _mean(scores: Floats) -> Floats:
    """Return the mean over classes [W] of scores [W, C] that are not NaN."""
    known = ~np.isnan(scores)
    with np.errstate(invalid="ignore"):
        return np.where(known, scores, 0).sum(axis=1) / known.sum(axis=1)


def _r2(outputs: Floats, values: Floats, weights: Floats) -> Floats:
    """Return 1 − Σ (y − ŷ)² / Σ (y − ȳ)² of each number, [W, C]."""
    total = weights.sum(axis=1, keepdims=True)
    centred = values - values.mean(axis=0)  # precise sums of squares
    mean = weights @ centred / total
    spread = weights @ centred**2 - total * mean**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, 1 - weights @ (values - outputs) ** 2 / spread, np.nan)
