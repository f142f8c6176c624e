"""Partial information decomposition from samples of continuous features with class labels.

Classifiers are cross-fitted. BROJA depends on a modality through p(y|x) alone, so the predictions of each modality are
merged into states, whose table p(state, y) needs no labels, and whose strength is set to their held-out information.
The exact program on these tables yields functions a and b with ``Σ_y exp(a(x1,y) + b(x2,y)) ≤ 1``, so that the mean of
``a(x1,y) + b(x2,y) − log p(y)`` over held-out labels is, in expectation, a lower bound of I_Q, as ``H(Y)`` minus the
cross-entropy is of an information. R, U1, U2 and S are differences of such means: noise has none of them, where tables
of clusters are badly biased.

Each value but S is compared with shuffled labels; S also with x2 shuffled within classes, as x1 and x2 that are
independent within each class have a synergy, too: two noisy views of the label know it better together.

Classifiers miss ``m1``, ``m2`` and ``m12`` of I1, I2 and I12. They turn x1 and x2 into predictions x1' and x2', and
``I_Q(x1',x2') ≤ I_Q(x1,x2) ≤ I_Q(x1',x2') + m1 + m2``: the best q of x1', x2' and y, with x1 drawn from p(x1|x1',y) and
x2 from p(x2|x2',y), adds at most that. So R may be too small by ``m1 + m2``; U1 too large by ``m2`` and too small by
``m1``; U2 the other way round; S too large by ``m1 + m2`` and too small by ``m12``. Intervals are widened by it. What
is missed is extrapolated from the learning curve: if it falls like ``n^(-1/3)``, slower than the ``n^(-1)`` of a model
with the right form, it is ``1 / (2^(1/3) − 1)``, about 3.8 times what the second half of the samples added. It does not
include what these classifiers would not learn from any number of samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlalign.config import keywords
from vlalign.decomposition.exact import broja, mutual_information
from vlalign.decomposition.options import InformationOptions
from vlalign.decomposition.program import Floats, entropy, least_information
from vlalign.decomposition.result import NAMES, Estimate, InformationResult
from vlalign.decomposition.samples import Samples, check_samples

if TYPE_CHECKING:
    from vlalign.decomposition.classifiers import Folds

Ints = NDArray[np.int64]

_TOLERANCE = 1e-6  # nats, of the program
_STRONGEST = 20.0
_FLOOR = 1e-3  # least p(y|state) / p(y)
_RESOLUTION = 2 * _FLOOR  # nats: what is smaller may be an effect of the floor
_MOST_TO_CLUSTER = 20_000
_RATE = 1 / (2 ** (1 / 3) - 1)  # what is missed, in gains from half of the samples to all


@keywords(InformationOptions)
def information(x1: Any, x2: Any, y: Any, options: InformationOptions) -> InformationResult:
    """Estimate what two modalities share about a label, what each has alone, and what only both together have.

    Args:
        x1: features [N, D1] of the first modality: an array, tensor, frame or anything that
            :func:`vlalign.arrays.as_tensor` reads.
        x2: features [N, D2] of the second; rows are paired.
        y: label of each sample: whole numbers, texts or booleans; numbers with fractions are a regression target.
        options: of the estimate.

    Raises:
        VlalignError: features or labels that :func:`vlalign.decomposition.samples.check_samples` refuses.
    """
    return _estimate(check_samples(x1, x2, y, options.folds, options.bins), options)


information.broja = broja  # type: ignore[attr-defined]  # the exact decomposition of a table


@dataclass(frozen=True)
class _Predictions:
    """Held-out predictions of N samples.

    Attributes:
        posteriors: p(y|x) [2, N, K] of each modality.
        joint: log p(y|x1,x2) − log p(y) [N, K].
        shared: log p(y|s) − log p(y) [2, N, K] of the places of x1 and of x2 along the directions that they share.
        correlations: of these directions.
        growth: by how much log p(y|x) of the label is above that of classifiers fitted on half as many samples [3, N],
            for x1, x2 and both.
        fold: [N], of each sample.
        labels: [N].
        models: weight of each candidate, mean of the folds, for x1, x2 and both.
    """

    posteriors: Floats
    joint: Floats
    shared: Floats
    correlations: list[float]
    growth: Floats
    fold: Ints
    labels: Ints
    models: dict[str, dict[str, float]]


def _predict(samples: Samples, options: InformationOptions) -> _Predictions:
    from vlalign.decomposition.classifiers import candidates, combined, make_folds, prepared, priors
    from vlalign.decomposition.shared import shared_part

    folds = make_folds(samples.labels, options.folds, options.seed)
    logs, models = _classified(samples, folds, options.seed)
    fewer, _ = _classified(samples, folds.halved(), options.seed)
    prior = priors(folds)
    first, second = (prepared(view)[1] for view in samples.views)
    part = shared_part(first, second, options.seed)
    shared = [
        combined(candidates(places, folds, options.seed), folds)[0].every if part.correlations else prior
        for places in part.places
    ]
    each = torch.arange(len(samples.labels)), samples.labels
    growth = torch.stack([more[each] - less[each] for more, less in zip(logs, fewer, strict=True)])
    fold = np.empty(len(samples.labels), dtype=np.int64)
    for i, rows in enumerate(folds.predict):
        fold[rows.numpy()] = i
    return _Predictions(
        posteriors=torch.stack(logs[:2]).double().exp().numpy(),
        joint=(logs[2] - prior).double().numpy(),
        shared=(torch.stack(shared) - prior).double().numpy(),
        correlations=part.correlations,
        growth=growth.double().numpy(),
        fold=fold,
        labels=samples.labels.numpy(),
        models=models,
    )


def _classified(samples: Samples, folds: Folds, seed: int) -> tuple[list[Tensor], dict[str, dict[str, float]]]:
    """Return log p(y|x) [N, K] of x1, x2 and both, and the weights of the candidates."""
    from vlalign.decomposition.classifiers import candidates, combined, product

    alone = [combined(candidates(view, folds, seed), folds) for view in samples.views]
    (first, _), (second, _) = alone
    options = candidates(torch.cat(samples.views, dim=1), folds, seed)
    options |= {"x1": first, "x2": second, "x1 and x2 independent": product(first, second, folds)}
    both = combined(options, folds)
    models = {
        name: {key: float(np.mean([fold[key] for fold in weights])) for key in weights[0]}
        for name, (_, weights) in zip(("x1", "x2", "both"), [*alone, both], strict=True)
    }
    return [first.every, second.every, both[0].every], models


def _merge(posteriors: Floats, options: InformationOptions) -> Ints:
    """Return the state [2, N] of each prediction: k-means of the square roots, with the same centres for both."""
    from scipy.cluster.vq import kmeans2, vq

    draw = np.random.default_rng(options.seed)
    points = np.sqrt(posteriors).reshape(-1, posteriors.shape[2])
    some = points[draw.permutation(len(points))[:_MOST_TO_CLUSTER]]
    distinct = np.unique(some.round(6), axis=0)
    centres = distinct
    if len(distinct) > options.clusters:
        centres, _ = kmeans2(some, options.clusters, iter=30, minit="++", seed=draw, missing="warn")
    return np.asarray(vq(points, centres)[0].reshape(2, -1), dtype=np.int64)


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
    return _with_marginals(np.maximum(result, _FLOOR * mass * marginal), marginal)


def _scores(predicted: _Predictions, options: InformationOptions) -> tuple[Floats, float]:
    """Return what each sample would add to the values of :data:`NAMES` [8, N, K] for each label it may have, in nats.

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
        table = _with_marginals(np.maximum(table, _FLOOR * table.sum(axis=1, keepdims=True) * marginal), marginal)
        wanted = _gain(table)[state, predicted.labels].mean()
        if wanted > 0:
            table = _with_information(table, wanted)
        else:  # no better than p(y)
            table, state = marginal[None], np.zeros_like(state)
        gains.append(_gain(table)[state])
        each = np.arange(count), predicted.labels
        lost = max(lost, float((_floored(np.log(posteriors / marginal), marginal)[each] - gains[-1][each]).mean()))
        tables.append(table)
        states.append(state)
    solved = least_information(tables[0], tables[1], _TOLERANCE)
    least = solved.a[states[0]] + solved.b[states[1]] - np.log(marginal)
    first, second = gains
    independent = mutual_information((tables[0][:, None] * tables[1] / marginal).reshape(-1, len(marginal)))
    joint = _floored(predicted.joint, marginal)
    each = np.arange(count), predicted.labels
    shared = min((_floored(gains, marginal) for gains in predicted.shared), key=lambda gains: gains[each].mean())
    values = [first, second, joint, first + second - least, least - second, least - first, joint - least - lost, shared]
    return np.stack(values), max(0.0, independent - solved.upper)


def _floored(gains: Floats, marginal: Floats) -> Floats:
    """Return log p(y|x) − log p(y) [N, K] with p(y|x) / p(y) of at least about :data:`_FLOOR`, as in the tables."""
    ratio = np.maximum(np.exp(gains), _FLOOR)
    return np.asarray(np.log(ratio / (ratio @ marginal)[:, None]))


def _gain(table: Floats) -> Floats:
    """Return log p(y|state) − log p(y) [states, K]."""
    return np.log(table / (table.sum(axis=1, keepdims=True) * table.sum(axis=0)))


def _missed(growth: Floats) -> tuple[Floats, Floats]:
    """Return by how much the values of :data:`NAMES` may be too large, and too small, since classifiers miss some.

    See the module's description.
    """
    first, second, both = _RATE * np.maximum(growth.mean(axis=1), 0)
    zero = 0.0
    less = [zero, zero, zero, zero, second, first, first + second, zero]
    more = [first, second, both, first + second, first, second, both, max(first, second)]
    return np.array(less), np.array(more)


def _estimates(predicted: _Predictions, scores: Floats, options: InformationOptions) -> dict[str, Estimate]:
    """Return the values of :data:`NAMES` from the scores [8, N, K], with intervals and nulls."""
    count = len(predicted.labels)
    draw = np.random.default_rng(options.seed)

    def values(labels: Ints) -> Floats:
        return scores[:, np.arange(count), labels]

    each = values(predicted.labels)
    observed = np.maximum(each.mean(axis=1), 0)
    lows, highs = [], []
    for _ in range(options.bootstraps):
        some = draw.integers(count, size=count)
        value, (less, more) = each[:, some].mean(axis=1), _missed(predicted.growth[:, some])
        lows.append(value - less)
        highs.append(value + more)
    order = np.argsort(predicted.fold, kind="stable")
    shuffled = []
    for _ in range(options.permutations):
        labels = np.empty_like(predicted.labels)
        labels[order] = predicted.labels[np.lexsort((draw.random(count), predicted.fold))]
        shuffled.append(values(labels).mean(axis=1))
    null = np.maximum(shuffled, 0)
    p = (1 + (null >= observed).sum(axis=0)) / (1 + len(null))
    level = np.quantile(null, 0.95, axis=0)
    s = NAMES.index("S")
    apart = np.maximum(_apart(predicted, options) + each[s].mean() - each[NAMES.index("I12")].mean(), 0)
    p[s] = max(p[s], (1 + (apart >= observed[s]).sum()) / (1 + len(apart)))
    level[s] = max(level[s], np.quantile(apart, 0.95))
    most = entropy((np.bincount(predicted.labels) / count)[None])
    low, high = np.clip([np.quantile(lows, 0.025, axis=0), np.quantile(highs, 0.975, axis=0)], 0, most)
    scale = _scale(options)
    return {
        name: Estimate(
            value=float(scale * observed[i]),
            low=float(scale * low[i]),
            high=float(scale * high[i]),
            null=float(scale * level[i]),
            p=float(p[i]),
            detected=bool(p[i] <= 0.05 and low[i] > _RESOLUTION),
        )
        for i, name in enumerate(NAMES)
    }


def _apart(predicted: _Predictions, options: InformationOptions) -> Floats:
    """Return I12 of pairs whose x2 is that of another sample of the class and fold, for each permutation, in nats.

    Such x1 and x2 are independent within a class, so p(y|x1,x2) is p(y|x1) p(y|x2) / p(y), normalised; no other
    classifier is fitted. R, U1 and U2 do not change, so S changes by as much as I12 does.
    """
    count = len(predicted.labels)
    draw = np.random.default_rng([options.seed, 1])
    marginal = np.bincount(predicted.labels) / count
    first, second = (np.log(np.maximum(posteriors, 1e-30)) for posteriors in predicted.posteriors)
    order, each = np.lexsort((predicted.labels, predicted.fold)), np.arange(count)
    other, values = np.empty(count, dtype=np.int64), []
    for _ in range(options.permutations):
        other[order] = np.lexsort((draw.random(count), predicted.labels, predicted.fold))
        gains = first + second[other] - 2 * np.log(marginal)
        gains -= np.log(np.exp(gains) @ marginal)[:, None]
        values.append(_floored(gains, marginal)[each, predicted.labels].mean())
    return np.array(values)


def _scale(options: InformationOptions) -> float:
    return 1.0 if options.units == "nats" else float(1 / np.log(2))


def _estimate(samples: Samples, options: InformationOptions) -> InformationResult:
    predicted = _predict(samples, options)
    scores, independent = _scores(predicted, options)
    count, scale = len(predicted.labels), _scale(options)
    return InformationResult(
        estimates=_estimates(predicted, scores, options),
        independent_synergy=scale * independent,
        label_entropy=scale * entropy((np.bincount(predicted.labels) / count)[None]),
        options=options,
        samples=count,
        widths=tuple(view.shape[1] for view in samples.views),
        classes=samples.classes,
        correlations=predicted.correlations,
        missed=dict(zip(NAMES, (scale * _missed(predicted.growth)[1]).tolist(), strict=True)),
        models=predicted.models,
    )
