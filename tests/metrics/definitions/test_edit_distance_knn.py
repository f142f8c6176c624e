"""Edit distance of neighbour lists: equal to the textbook table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.inputs import KINDS, pair_of

from vlalign.metrics import knn
from vlalign.metrics.definitions.edit_distance_knn import edit_distance_knn
from vlalign.metrics.definitions.lcs_knn import lcs_knn
from vlalign.metrics.engine.matches import Groups, best_chains

Lists = list[list[int]]


def distance(a: list[int], b: list[int]) -> int:
    table = np.add.outer(np.arange(len(a) + 1), np.arange(len(b) + 1))
    for i, left in enumerate(a):
        for j, right in enumerate(b):
            table[i + 1, j + 1] = min(table[i, j + 1] + 1, table[i + 1, j] + 1, table[i, j] + (left != right))
    return int(table[-1, -1])


def slow(x: Lists, y: Lists) -> float:
    return 1 - float(np.mean([distance(a, b) for a, b in zip(x, y, strict=True)])) / len(x[0])


@pytest.mark.parametrize("kind", [*KINDS, "constant"])
@pytest.mark.parametrize("k", [1, 7, 39])
def test_equals_the_table(kind: str, k: int) -> None:
    x, y = pair_of(kind, 40)
    assert edit_distance_knn(x, y, k) == pytest.approx(
        slow(knn(x, k).tolist(), knn(y, k, side="y").tolist()), abs=1e-12
    )


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 999), st.booleans())
def test_any_two_lists(k: int, symbols: int, seed: int, near: bool) -> None:
    """Lists that share much, near the same place or anywhere: chains may have to leave matches out."""
    generator = np.random.default_rng(seed)
    a = generator.permutation(k + symbols)[:k].tolist()
    b = [*a[1:], k + symbols] if near else generator.permutation(k + symbols)[:k].tolist()
    matched = [(a.index(entry), j) for j, entry in enumerate(b) if entry in a]
    if not matched:
        assert distance(a, b) == k
        return
    left, right = np.array(matched).T
    one = Groups(np.array([0]), np.array([0]), np.array([0]), np.array([len(matched)]), left, right)
    assert best_chains(one, shifts_cost=True)[0] == k - distance(a, b)


@settings(max_examples=20)
@given(st.integers(5, 40), st.integers(0, 999), st.data())
def test_identities(n: int, seed: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n - 1))
    x, y = pair_of("aligned", n, seed=seed)
    value = edit_distance_knn(x, y, k)
    assert value == pytest.approx(edit_distance_knn(y, x, k), abs=1e-12)
    assert 0 <= value <= lcs_knn(x, y, k) + 1e-12
    assert edit_distance_knn(x, x, k) == 1
