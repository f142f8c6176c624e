"""Held-out predictions of the label from one modality or several, each set of modalities computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from vlalign.decomposition.classifiers import (
    Folds,
    Predictions,
    candidates,
    combined,
    make_folds,
    prepared,
    priors,
    product,
)
from vlalign.decomposition.clusters import clustered, clusters_of
from vlalign.decomposition.options import InformationOptions
from vlalign.decomposition.program import Floats
from vlalign.decomposition.sample_groups import Ints, SampleGroups
from vlalign.decomposition.samples import Samples
from vlalign.decomposition.shared import shared_part

Places = tuple[int, ...]

FLOOR = 1e-3  # least p(y|state) / p(y)
RATE = 1 / (2 ** (1 / 3) - 1)  # what is missed, in gains from half of the samples to all
MISFIT = 0.02  # of an information: what is missed though more samples gain nothing, as on the synthetic task


@dataclass(frozen=True)
class PairPredictions:
    """Held-out predictions of N samples from two modalities.

    Attributes:
        posteriors: p(y|x) [2, N, K] of each modality.
        joint: log p(y|x1,x2) − log p(y) [N, K].
        shared: log p(y|s) − log p(y) [2, N, K] of the places of x1 and of x2 along the directions that they share.
        correlations: of these directions.
        growth: by how much log p(y|x) of the label is above that of predictions from half as many samples [3, N], for
            x1, x2 and both.
        fold: [N], of each sample.
        labels: [N].
        models: weight of each candidate, mean of the folds, for x1, x2 and both.
        units: of the samples; None for samples that stand alone.
    """

    posteriors: Floats
    joint: Floats
    shared: Floats
    correlations: list[float]
    growth: Floats
    fold: Ints
    labels: Ints
    models: dict[str, dict[str, float]]
    units: SampleGroups | None = None


def floored(gains: Floats, marginal: Floats) -> Floats:
    """Return log p(y|x) − log p(y) [N, K] with p(y|x) / p(y) of at least about :data:`FLOOR`, as tables of states."""
    ratio = np.maximum(np.exp(gains), FLOOR)
    return np.asarray(np.log(ratio / (ratio @ marginal)[:, None]))


def fold_numbers(folds: Folds) -> Ints:
    """Return the fold [N] that predicts each sample."""
    fold = np.empty(len(folds.labels), dtype=np.int64)
    for i, rows in enumerate(folds.predict):
        fold[rows.numpy()] = i
    return fold


class Predictor:
    """Predictions by classifiers or clusters, as the options choose, from any set of modalities.

    Args:
        samples: checked.
        options: of the estimate.
    """

    rate, misfit = RATE, MISFIT

    def __init__(self, samples: Samples, options: InformationOptions) -> None:
        self.samples, self.options = samples, options
        self.folds = make_folds(samples.labels, options.folds, options.seed, samples.units)
        self._made: dict[tuple[Places, bool], tuple[Predictions, dict[str, float]]] = {}

    @cached_property
    def _clusters(self) -> list[dict[int, Tensor]]:
        return [clusters_of(view, self.options.seed) for view in self.samples.views]

    def _candidates(self, places: Places, folds: Folds) -> dict[str, Predictions]:
        if self.options.estimator == "clusters":
            return clustered([self._clusters[i] for i in places], folds)
        return candidates(torch.cat([self.samples.views[i] for i in places], dim=1), folds, self.options.seed)

    def _from(self, features: Tensor) -> Tensor:
        """Return log p(y|x) [N, K] of features [N, D] that are no modality."""
        seed = self.options.seed
        if self.options.estimator == "clusters":
            return combined(clustered([clusters_of(features, seed)], self.folds), self.folds)[0].every
        return combined(candidates(features, self.folds, seed), self.folds)[0].every

    def of(self, places: Places, half: bool = False) -> tuple[Predictions, dict[str, float]]:
        """Return predictions from the modalities at ``places``, and mean weights of their candidates.

        Predictions from fewer modalities, and products of these, are candidates, too: the joint ones can be no worse.

        Args:
            places: of the modalities, in order.
            half: fit on half of the samples.
        """
        if (places, half) not in self._made:
            folds = self.folds.halved() if half else self.folds
            options = self._candidates(places, folds)
            for i in places[: 1 if len(places) == 2 else None] if len(places) > 1 else ():
                parts = (i,), tuple(other for other in places if other != i)
                one, rest = (self.of(part, half)[0] for part in parts)
                first, second = (", ".join(f"x{places.index(k) + 1}" for k in part) for part in parts)
                options |= {first: one, second: rest, f"{first} and {second} independent": product(one, rest, folds)}
            made, weights = combined(options, folds)
            self._made[places, half] = (
                made,
                {key: float(np.mean([fold[key] for fold in weights])) for key in weights[0]},
            )
        return self._made[places, half]

    def gains(self, places: Places) -> Floats:
        """Return log p(y|x) − log p(y) [N, K] of held-out predictions."""
        return (self.of(places)[0].every - priors(self.folds)).double().numpy()

    def scores(self, places: Places, order: Ints) -> Floats:
        """Return log p(y|x) − log p(y) [N] of the labels in an order; see :func:`floored`."""
        labels = self.folds.labels.numpy()
        marginal = np.bincount(labels) / len(labels)
        return floored(self.gains(places), marginal)[np.arange(len(labels)), labels[order]]

    def growth(self, places: Places) -> Floats:
        """Return by how much log p(y|x) of the label is above that of predictions from half as many samples [N]."""
        each = torch.arange(len(self.folds.labels)), self.folds.labels
        return (self.of(places)[0].every[each] - self.of(places, half=True)[0].every[each]).double().numpy()

    def pair(self, first: int, second: int) -> PairPredictions:
        """Return predictions from two modalities and from what they share."""
        sets: tuple[Places, ...] = (first,), (second,), (first, second)
        prior = priors(self.folds)
        views = [prepared(self.samples.views[i])[1] for i in (first, second)]
        part = shared_part(views[0], views[1], self.options.seed, self.samples.units)
        shared = [self._from(places) if part.correlations else prior for places in part.places]
        return PairPredictions(
            posteriors=torch.stack([self.of(places)[0].every for places in sets[:2]]).double().exp().numpy(),
            joint=self.gains(sets[2]),
            shared=(torch.stack(shared) - prior).double().numpy(),
            correlations=part.correlations,
            growth=np.stack([self.growth(places) for places in sets]),
            fold=fold_numbers(self.folds),
            labels=self.folds.labels.numpy(),
            models={name: self.of(places)[1] for name, places in zip(("x1", "x2", "both"), sets, strict=True)},
            units=self.samples.units,
        )
