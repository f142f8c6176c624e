"""Longest common subsequence of neighbour lists: equal to the textbook table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.inputs import KINDS, pair_of

from vlalign.metrics import knn, mutual_knn
from vlalign.metrics.definitions.lcs_knn import lcs_knn

Lists = list[list[int]]


def common(a: list[int], b: list[int]) -> int:
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    for i, left in enumerate(a):
        for j, right in enumerate(b):
            longer = max(table[i, j + 1], table[i + 1, j])
            table[i + 1, j + 1] = table[i, j] + 1 if left == right else longer
    return int(table[-1, -1])


def slow(x: Lists, y: Lists) -> float:
    return float(np.mean([common(a, b) for a, b in zip(x, y, strict=True)])) / len(x[0])


@pytest.mark.parametrize("kind", [*KINDS, "constant"])
@pytest.mark.parametrize("k", [1, 7, 39])
def test_equals_the_table(kind: str, k: int) -> None:
    x, y = pair_of(kind, 40)
    assert lcs_knn(x, y, k) == pytest.approx(slow(knn(x, k).tolist(), knn(y, k, side="y").tolist()), abs=1e-12)


@settings(max_examples=20)
@given(st.integers(5, 40), st.integers(0, 999), st.data())
def test_identities(n: int, seed: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n - 1))
    x, y = pair_of("aligned", n, seed=seed)
    value = lcs_knn(x, y, k)
    assert value == pytest.approx(lcs_knn(y, x, k), abs=1e-12)
    assert 0 <= value <= mutual_knn(x, y, k) + 1e-12
    assert lcs_knn(x, x, k) == 1
