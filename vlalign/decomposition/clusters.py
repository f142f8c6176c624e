"""Clusters as an alternative to classifiers: p(y|cluster) of k-means, with the number of clusters chosen inside folds.

Tables of clusters that are counted and decomposed on the same samples are badly biased upward: noise of 1,058 samples
has .2 nats of synergy with 20 clusters. So p(y|c1), p(y|c2) and p(y|c1,c2) are counted on other folds, numbers of
clusters are mixed by their likelihood on further samples, and informations are held-out means, as with classifiers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlalign.decomposition.classifiers import Folds, Predictions, prepared

Ints = NDArray[np.int64]

_NUMBERS = (2, 4, 8, 16, 32, 64)
_LEAST = 4  # samples of a cluster, on average
_MOST_TO_CLUSTER = 20_000
_PSEUDO = 1.0  # samples of p(y) that each cluster's counts are increased by


def k_means(points: NDArray[np.float64], count: int, seed: int) -> Ints:
    """Return the cluster [N] of each point [N, D]; of at most 20,000 points, drawn by seed, centres are fitted."""
    from scipy.cluster.vq import kmeans2, vq

    draw = np.random.default_rng(seed)
    sample = points[draw.permutation(len(points))[:_MOST_TO_CLUSTER]]
    distinct = np.unique(sample.round(6), axis=0)
    centres = distinct
    if len(distinct) > count:
        centres, _ = kmeans2(sample, count, iter=30, minit="++", seed=draw, missing="warn")
    return np.asarray(vq(points, centres)[0], dtype=np.int64)


def clusters_of(view: Tensor, seed: int) -> dict[int, Tensor]:
    """Return the cluster [N] of each sample, by the number of clusters; labels have no part in it."""
    points = prepared(view)[0].double().numpy()
    numbers = [number for number in _NUMBERS if number * _LEAST <= len(points)]
    return {number: torch.from_numpy(k_means(points, number, seed)) for number in numbers}


def clustered(views: Sequence[dict[int, Tensor]], folds: Folds) -> dict[str, Predictions]:
    """Return the predictions p(y|clusters) for each number of clusters, by name.

    Args:
        views: clusters of the samples in one modality or more, see :func:`clusters_of`.
        folds: of the samples.
    """
    result = {}
    for number in views[0]:
        states = torch.stack([view[number] for view in views], dim=1)
        result[f"{number} clusters"] = _counted(torch.unique(states, dim=0, return_inverse=True)[1], folds)
    return result


def _counted(state: Tensor, folds: Folds) -> Predictions:
    """Return p(y|state) as counted on the rows to fit on."""
    classes, states = folds.prior.shape[1], int(state.max()) + 1
    every = torch.empty(len(state), classes)
    chosen = []
    for f, rows in enumerate(folds.predict):
        tables = []
        for fit in folds.fit[f]:
            counts = torch.bincount(state[fit] * classes + folds.labels[fit], minlength=states * classes)
            table = counts.view(states, classes) + _PSEUDO * folds.prior[f].exp()
            tables.append((table / table.sum(dim=1, keepdim=True)).log())
        chosen.append(torch.cat([table[state[c]] for table, c in zip(tables, folds.choose[f], strict=True)]))
        every[rows] = torch.stack([table[state[rows]] for table in tables]).logsumexp(dim=0) - math.log(len(tables))
    return Predictions(torch.stack(chosen), every)
