"""The covariance of the shared neighbours of layer pairs, against all permutations of few samples."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats, Ints
from vlalign.metrics.engine.covariance import shared_neighbour_moments
from vlalign.metrics.engine.moments import permutation_moments
from vlalign.metrics.engine.neighbour_lists import graph_sums


def drawn(layers: int, n: int, k: int, seed: int, hubs: float = 1.0) -> Ints:
    """Neighbour lists [L, N, k]; the first two samples are ``hubs`` times as often neighbours as others."""
    draw = np.random.default_rng(seed)
    weights = np.where(np.arange(n) < 2, hubs, 1.0)
    lists = np.empty((layers, n, k), dtype=np.int64)
    for i in range(n):
        others = np.delete(np.arange(n), i)
        share = weights[others] / weights[others].sum()
        for layer in range(layers):
            lists[layer, i] = draw.choice(others, k, replace=False, p=share)
    return lists


def graphs(lists: Ints) -> Floats:
    layers, n, _ = lists.shape
    made = np.zeros((layers, n, n))
    made[np.arange(layers)[:, None, None], np.arange(n)[None, :, None], lists] = 1
    return made


@pytest.mark.parametrize(("k", "hubs"), [(1, 1.0), (2, 8.0), (4, 1.0)])
def test_all_permutations_of_seven_samples(k: int, hubs: float) -> None:
    x, y = drawn(2, 7, k, 0, hubs), drawn(3, 7, k, 1)
    y[2] = y[0]  # a layer that another one repeats
    a, b = graphs(x).reshape(2, 49), graphs(y)
    counts = np.stack([b[:, order][:, :, order].reshape(3, 49) @ a.T for order in map(list, permutations(range(7)))])
    exact = np.cov(counts.transpose(0, 2, 1).reshape(len(counts), -1).T, bias=True)
    mean, covariance = shared_neighbour_moments(x, y)
    np.testing.assert_allclose(mean, counts.mean(axis=0).T, rtol=1e-12)
    np.testing.assert_allclose(covariance.reshape(6, 6), exact, atol=1e-10)


def test_parts_of_the_edges_and_the_variance_of_each_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = drawn(3, 40, 5, 2, 5.0), drawn(2, 40, 5, 3)
    mean, covariance = shared_neighbour_moments(x, y)
    for sorted_at_once, cells in ((2**23, 42), (25 * 7, 2**20), (1, 1)):
        monkeypatch.setattr("vlalign.metrics.engine.covariance._EDGES", sorted_at_once)
        monkeypatch.setattr("vlalign.metrics.engine.covariance._CELLS", cells)
        for whole, blocks in zip((mean, covariance), shared_neighbour_moments(x, y), strict=True):
            np.testing.assert_array_equal(whole, blocks)
    sums = [[graph_sums(torch.as_tensor(layer)) for layer in side] for side in (x, y)]
    each, sd = permutation_moments(*sums, 40)
    np.testing.assert_allclose(mean, each, rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(np.einsum("abab->ab", covariance)), sd, rtol=1e-10)


def test_too_few_samples() -> None:
    with pytest.raises(VlalignError, match="at least 4 samples, got 3"):
        shared_neighbour_moments(drawn(1, 3, 1, 0), drawn(1, 3, 1, 1))
