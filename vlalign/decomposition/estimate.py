"""Partial information decomposition from samples of continuous features with labels.

The label is predicted from each modality and from both, cross-fitted, by classifiers or clusters; for how values follow
from these predictions, see :mod:`vlalign.decomposition.scores`.

Each value but S is compared with shuffled labels; S also with x2 shuffled within classes, as x1 and x2 that are
independent within each class have a synergy, too: two noisy views of the label know it better together.

Classifiers miss ``m1``, ``m2`` and ``m12`` of I1, I2 and I12. They turn x1 and x2 into predictions x1' and x2', and
``I_Q(x1',x2') ≤ I_Q(x1,x2) ≤ I_Q(x1',x2') + m1 + m2``: the best q of x1', x2' and y, with x1 drawn from p(x1|x1',y) and
x2 from p(x2|x2',y), adds at most that. So R may be too small by ``m1 + m2``; U1 too large by ``m2`` and too small by
``m1``; U2 the other way round; S too large by ``m1 + m2`` and too small by ``m12``. Intervals are widened by it. What
is missed is extrapolated from the learning curve: if it falls like ``n^(-1/3)``, slower than the ``n^(-1)`` of a model
with the right form, it is ``1 / (2^(1/3) − 1)``, about 3.8 times what the second half of the samples added. What these
classifiers would not learn from any number of samples is taken to be 2 % of each information, about what they missed
with 45,875 samples of the synthetic task, where it is known; it may be more elsewhere.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from vlalign.arithmetic import exact_float32
from vlalign.config import keywords, select
from vlalign.decomposition.exact import broja
from vlalign.decomposition.gaussian import Regressor, gaussian_pair
from vlalign.decomposition.intervals import estimates, scale_of
from vlalign.decomposition.options import InformationKeywords, InformationOptions
from vlalign.decomposition.predictions import MISFIT, RATE, Ints, PairPredictions, Predictor
from vlalign.decomposition.program import Floats, entropy
from vlalign.decomposition.result import NAMES, Estimate, InformationResult
from vlalign.decomposition.samples import check_samples
from vlalign.decomposition.scores import apart, pair_scores
from vlalign.decomposition.several import SeveralInformation, several
from vlalign.errors import VlalignError


@keywords(InformationKeywords)
@exact_float32()
def information(*views: Any, y: Any = None, options: InformationKeywords) -> InformationResult | SeveralInformation:
    """Estimate what modalities share about a label, what each has alone, and what only both together have.

    ``information(x1, x2, y)``; with ``y`` by name, too: ``information(x1, x2, x3, y=y)`` decomposes every pair, and
    estimates what each of three modalities or more adds to the others together.

    Args:
        views: features [N, D_m] of each modality, rows paired: arrays, tensors, frames or anything that
            :func:`vlalign.arrays.as_tensor` reads, or runs of a store, of which the last layer is used; then the
            labels, unless they are given by name. Runs and frames with an index are paired by id.
        y: label of each sample, in the order of the first modality or by id (a mapping, or a series with an index):
            whole numbers, texts or booleans are classes; numbers with fractions are a regression target.
        options: of the estimate.

    Raises:
        VlalignError: fewer than two modalities, or features or labels that
            :func:`vlalign.decomposition.samples.check_samples` refuses.
    """
    if y is None and views:
        *views, y = views  # type: ignore[assignment]
    if len(views) < 2:
        raise VlalignError(f"information needs two modalities or more, and labels; got {len(views)} and labels")
    samples = check_samples(views, y, options.folds, options.bins, options.groups)
    chosen = select(options, InformationOptions)
    source: Regressor | Predictor
    if options.estimator == "gaussian":
        source = Regressor(samples, chosen)
        pair = partial(gaussian_pair, source)
    else:
        source = Predictor(samples, chosen)
        pair = partial(_pair, source)
    return pair(0, 1) if len(views) == 2 else several(source, pair)


def _pair(predictor: Predictor, first: int, second: int) -> InformationResult:
    """Return the decomposition of the modalities at two places."""
    samples, options = predictor.samples, predictor.options
    predicted = predictor.pair(first, second)
    scores, independent = pair_scores(predicted, options)
    labels, scale = predicted.labels, scale_of(options)
    missed = _missed(predicted.growth, scores[:3, np.arange(len(labels)), labels])[1]
    return InformationResult(
        estimates=pair_estimates(predicted, scores, options),
        independent_synergy=scale * independent,
        label_entropy=scale * _label_entropy(labels),
        options=options,
        samples=len(labels),
        widths=tuple(samples.views[i].shape[1] for i in (first, second)),
        classes=samples.classes,
        correlations=predicted.correlations,
        missed=dict(zip(NAMES, (scale * missed).tolist(), strict=True)),
        models=predicted.models,
        groups=samples.units.groups,
    )


information.broja = broja  # type: ignore[attr-defined]  # the exact decomposition of a table


def pair_estimates(predicted: PairPredictions, scores: Floats, options: InformationOptions) -> dict[str, Estimate]:
    """Return the values of :data:`NAMES` from the scores [8, N, K], with intervals and nulls."""
    everyone, labels = np.arange(len(predicted.labels)), predicted.labels
    each = scores[:, everyone, labels]
    means = dict(zip(NAMES, each.mean(axis=1), strict=True))
    return estimates(
        NAMES,
        lambda order: scores[:, everyone, labels[order]],
        predicted.fold,
        lambda rows: _missed(predicted.growth[:, rows], each[:3, rows]),
        _label_entropy(labels),
        options,
        apart=apart(predicted, options) + means["S"] - means["I12"],
        units=predicted.units,
    )


def _label_entropy(labels: Ints) -> float:
    return entropy((np.bincount(labels) / len(labels))[None])


def _missed(growth: Floats, informations: Floats) -> tuple[Floats, Floats]:
    """Return by how much the values of :data:`NAMES` may be too large, and too small, since classifiers miss some.

    See the module's description.

    Args:
        growth: of the scores of I1, I2 and I12 from half of the samples to all [3, n].
        informations: these scores [3, n].
    """
    gained, known = (np.maximum(each.mean(axis=1), 0) for each in (growth, informations))
    first, second, both = RATE * gained + MISFIT * known
    zero = 0.0
    less = [zero, zero, zero, zero, second, first, first + second, zero]
    more = [first, second, both, first + second, first, second, both, max(first, second)]
    return np.array(less), np.array(more)
