"""Cycle consistency of neighbours: equal to the public definition in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.inputs import KINDS, pair_of

from vlalign.metrics import knn, mutual_knn
from vlalign.metrics.definitions.cycle_knn import cycle_knn

Lists = list[list[int]]


def slow(x: Lists, y: Lists) -> float:
    """The reference code: ``knn_A[knn_B]`` contains the row."""
    return float(np.mean([any(i in x[j] for j in found) for i, found in enumerate(y)]))


@pytest.mark.parametrize("kind", [*KINDS, "constant"])
@pytest.mark.parametrize("k", [1, 7, 39])
def test_equals_the_definition(kind: str, k: int) -> None:
    x, y = pair_of(kind, 40)
    nx, ny = knn(x, k).tolist(), knn(y, k, side="y").tolist()
    both = slow(nx, ny), slow(ny, nx)
    assert cycle_knn(x, y, k) == pytest.approx(both[0], abs=1e-12)
    assert cycle_knn(x, y, k, "x_to_y") == pytest.approx(both[1], abs=1e-12)
    assert cycle_knn(x, y, k, "mean") == pytest.approx(sum(both) / 2, abs=1e-12)
    nx, ny = knn(x, k, side="y").tolist(), knn(y, k).tolist()
    assert cycle_knn(y, x, k) == pytest.approx(slow(ny, nx), abs=1e-12)


@settings(max_examples=20)
@given(st.integers(5, 40), st.integers(0, 999), st.data())
def test_identities(n: int, seed: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n - 1))
    x, y = pair_of("aligned", n, seed=seed)
    assert 0 <= cycle_knn(x, y, k) <= 1
    assert cycle_knn(x, y, n - 1) == 1  # everybody is a neighbour
    lists = knn(x, k).tolist()
    assert cycle_knn(x, x, k) == pytest.approx(np.mean([any(i in lists[j] for j in lists[i]) for i in range(n)]))


def test_a_shared_neighbour_is_not_a_cycle() -> None:
    x, _ = pair_of("aligned", 60)
    assert mutual_knn(x, x, 1) == 1
    assert cycle_knn(x, x, 1) < 1
