"""Scores of each sample whose means are the values of a decomposition.

BROJA depends on a modality through p(y|x) alone, so the predictions of each modality are merged into states, whose
table p(state, y) needs no labels, and whose strength is set to their held-out information. The exact program on these
tables yields functions a and b with ``Σ_y exp(a(x1,y) + b(x2,y)) ≤ 1``, so that the mean of
``a(x1,y) + b(x2,y) − log p(y)`` over held-out labels is, in expectation, a lower bound of I_Q, as ``H(Y)`` minus the
cross-entropy is of an information. R, U1, U2 and S are differences of such means: noise has none of them, where tables
of clusters are badly biased.
"""

from __future__ import annotations

import numpy as np

from vlalign.decomposition.clusters import k_means
from vlalign.decomposition.exact import mutual_information
from vlalign.decomposition.options import InformationOptions
from vlalign.decomposition.predictions import FLOOR, Ints, PairPredictions, floored
from vlalign.decomposition.program import Floats, least_information
from vlalign.decomposition.sample_groups import SampleGroups

_TOLERANCE = 1e-6  # nats, of the program
_STRONGEST = 20.0
RESOLUTION = 2 * FLOOR  # nats: what is smaller may be an effect of the floor


def _merge(posteriors: Floats, options: InformationOptions) -> Ints:
    """Return the state [2, N] of each prediction: k-means of the square roots, with the same centres for both."""
    points = np.sqrt(posteriors).reshape(-1, posteriors.shape[2])
    return k_means(points, options.clusters, options.seed).reshape(2, -1)


def _with_marginals(table: Floats, target: Floats) -> Floats:
    """Return a table [states, K] with its p(state), and p(y) as given (iterative proportional fitting)."""
    mass = table.sum(axis=1, keepdims=True)
    for _ in range(20):
        table = table * (mass / table.sum(axis=1, keepdims=True))
        table = table * (target / table.sum(axis=0))
    return np.asarray(table)


def _with_information(table: Floats, wanted: float) -> Floats:
    """Return p(state, y) whose p(y|state) is moved to or from p(y) until it has an information, in nats."""
    marginal, mass = table.sum(axis=0), table.sum(axis=1, keepdims=True)
    ratio = np.log(table / (mass * marginal))
    low, high = 0.0, _STRONGEST
    for _ in range(30):
        middle = (low + high) / 2
        result = marginal * np.exp(middle * (ratio - ratio.max(axis=1, keepdims=True)))
        result *= mass / result.sum(axis=1, keepdims=True)
        low, high = (middle, high) if mutual_information(result) < wanted else (low, middle)
    return _with_marginals(np.maximum(result, FLOOR * mass * marginal), marginal)


def pair_scores(predicted: PairPredictions, options: InformationOptions) -> tuple[Floats, float]:
    """Return what each sample would add to the values of a decomposition [8, N, K] for each label it may have, in nats.

    The values are those of :data:`vlalign.decomposition.result.NAMES`.

    S is lowered by the information that merging predictions into states loses, which is no synergy. The second value
    is S if x1 and x2 were independent within each class.
    """
    count = len(predicted.labels)
    marginal = np.bincount(predicted.labels) / count
    lost = 0.0
    gains: list[Floats] = []
    tables: list[Floats] = []
    states: list[Ints] = []
    for posteriors, state in zip(predicted.posteriors, _merge(predicted.posteriors, options), strict=True):
        table: Floats = np.stack(
            [np.bincount(state, p, minlength=options.clusters) for p in posteriors.T / count], axis=1
        )
        state = np.unique(state, return_inverse=True)[1]
        table = table[table.sum(axis=1) > 0]
        table = _with_marginals(np.maximum(table, FLOOR * table.sum(axis=1, keepdims=True) * marginal), marginal)
        wanted = _gain(table)[state, predicted.labels].mean()
        if wanted > 0:
            table = _with_information(table, wanted)
        else:  # no better than p(y)
            table, state = marginal[None], np.zeros_like(state)
        gains.append(_gain(table)[state])
        each = np.arange(count), predicted.labels
        lost = max(lost, float((floored(np.log(posteriors / marginal), marginal)[each] - gains[-1][each]).mean()))
        tables.append(table)
        states.append(state)
    solved = least_information(tables[0], tables[1], _TOLERANCE)
    least = solved.a[states[0]] + solved.b[states[1]] - np.log(marginal)
    first, second = gains
    independent = mutual_information((tables[0][:, None] * tables[1] / marginal).reshape(-1, len(marginal)))
    joint = floored(predicted.joint, marginal)
    each = np.arange(count), predicted.labels
    shared = min((floored(gains, marginal) for gains in predicted.shared), key=lambda gains: gains[each].mean())
    values = [first, second, joint, first + second - least, least - second, least - first, joint - least - lost, shared]
    return np.stack(values), max(0.0, independent - solved.upper)


def _gain(table: Floats) -> Floats:
    """Return log p(y|state) − log p(y) [states, K]."""
    return np.log(table / (table.sum(axis=1, keepdims=True) * table.sum(axis=0)))


def apart(predicted: PairPredictions, options: InformationOptions) -> Floats:
    """Return I12 of pairs whose x2 is that of another unit of the class and fold, for each permutation, in nats.

    Such x1 and x2 are independent within a class, so p(y|x1,x2) is p(y|x1) p(y|x2) / p(y), normalised; no other
    classifier is fitted. R, U1 and U2 do not change, so S changes by as much as I12 does.
    """
    count = len(predicted.labels)
    draw = np.random.default_rng([options.seed, 1])
    marginal = np.bincount(predicted.labels) / count
    first, second = (np.log(np.maximum(posteriors, 1e-30)) for posteriors in predicted.posteriors)
    units, each, values = predicted.units or SampleGroups(np.arange(count)), np.arange(count), []
    for _ in range(options.permutations):
        other = units.shuffle(draw, predicted.labels, predicted.fold)
        gains = first + second[other] - 2 * np.log(marginal)
        gains -= np.log(np.exp(gains) @ marginal)[:, None]
        values.append(floored(gains, marginal)[each, predicted.labels].mean())
    return np.array(values)
