"""Jaccard index of neighbours: equal to sets in plain Python, with its exact chance level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.inputs import KINDS, pair_of

from vlalign.metrics import knn, mutual_knn
from vlalign.metrics.definitions.jaccard_knn import jaccard_knn

Lists = list[list[int]]


def slow(x: Lists, y: Lists) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in zip(x, y, strict=True)]))


@pytest.mark.parametrize("kind", [*KINDS, "constant"])
@pytest.mark.parametrize("k", [1, 7, 39])
def test_equals_sets(kind: str, k: int) -> None:
    x, y = pair_of(kind, 40)
    assert jaccard_knn(x, y, k) == pytest.approx(slow(knn(x, k).tolist(), knn(y, k, side="y").tolist()), abs=1e-12)


@settings(max_examples=20)
@given(st.integers(5, 40), st.integers(0, 999), st.data())
def test_identities(n: int, seed: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n - 1))
    x, y = pair_of("aligned", n, seed=seed)
    value = jaccard_knn(x, y, k)
    assert value == pytest.approx(jaccard_knn(y, x, k), abs=1e-12)
    assert 0 <= value <= mutual_knn(x, y, k) + 1e-12
    assert jaccard_knn(x, x, k) == 1
