"""Exact permutation moments, against all permutations of few samples and against simulation."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from vlalign.metrics.base import Floats
from vlalign.metrics.engine.moments import PairSums, permutation_moments


def sums(matrix: Floats) -> PairSums:
    return PairSums.of(
        matrix.sum(axis=1), matrix.sum(axis=0), float((matrix**2).sum()), float((matrix * matrix.T).sum())
    )


@pytest.mark.parametrize("n", [4, 6])
def test_all_permutations_of_unsymmetric_matrices(n: int) -> None:
    generator = np.random.default_rng(n)
    sides = [[generator.normal(size=(n, n)) + shift for _ in range(2)] for shift in (0.3, -1.0)]
    for side in sides:
        for matrix in side:
            np.fill_diagonal(matrix, 0)
    mean, sd = permutation_moments(*[[sums(matrix) for matrix in side] for side in sides], n)
    for i, a in enumerate(sides[0]):
        for j, b in enumerate(sides[1]):
            values = [(a * b[np.ix_(order, order)]).sum() for order in permutations(range(n))]
            assert mean[i, j] == pytest.approx(np.mean(values), abs=1e-12)
            assert sd[i, j] == pytest.approx(np.std(values), rel=1e-10)


def test_constant_matrices_have_no_spread() -> None:
    matrix = np.ones((5, 5)) - np.eye(5)
    mean, sd = permutation_moments([sums(matrix)], [sums(matrix)], 5)
    assert mean[0, 0] == pytest.approx(20)
    assert sd[0, 0] == pytest.approx(0, abs=1e-6)
