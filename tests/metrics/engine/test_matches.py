"""Matches between neighbour lists: equal to plain loops, whatever the blocks, the side of the table and the order."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.inputs import orders
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.engine.matches import find_matches, group

Found = set[tuple[int, ...]]


def lists(layers: int, n: int, k: int, seed: int) -> Tensor:
    """Random neighbour lists [layers, n, k]: no row lists itself or one row twice."""
    generator = np.random.default_rng(seed)
    rows = [[generator.permutation([j for j in range(n) if j != i])[:k] for i in range(n)] for _ in range(layers)]
    return torch.from_numpy(np.array(rows, dtype=np.int64))


def slow(nx: Tensor, ny: Tensor, permutations: np.ndarray | None, back: bool) -> Found:
    """(permutation, row, x, y, a, b) of every match."""
    n = nx.shape[1]
    found = set()
    for p, order in enumerate([np.arange(n)] if permutations is None else permutations):
        new = {int(old): i for i, old in enumerate(order)}
        for y, layer in enumerate(ny.tolist()):
            for i in range(n):
                for b, old in enumerate(layer[int(order[i])]):
                    j = new[old]
                    for x, other in enumerate(nx.tolist()):
                        listed, entry = (other[j], i) if back else (other[i], j)
                        if entry in listed:
                            found.add((p, i, x, y, listed.index(entry), b))
    return found


def fast(nx: Tensor, ny: Tensor, permutations: np.ndarray | None, back: bool) -> Found:
    found = []
    for part in find_matches(nx, ny, permutations, back):
        for entry in zip(part.row, part.x, part.y, part.a, part.b, strict=True):
            found.append((part.permutation, *(int(value) for value in entry)))
    assert len(found) == len(set(found))
    return set(found)


@given(st.integers(1, 20), st.integers(1, 4), st.integers(3, 16), st.integers(0, 999), st.booleans(), st.data())
def test_equal_to_loops(many: int, few: int, n: int, seed: int, back: bool, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n - 1))
    nx, ny = lists(many, n, k, seed), lists(few, n, k, seed + 1)
    if data.draw(st.booleans()):
        nx, ny = ny, nx
    permutations = data.draw(st.sampled_from([None, orders(n, 2)]))
    assert fast(nx, ny, permutations, back) == slow(nx, ny, permutations, back)


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("layers", [(3, 2), (2, 3)])
def test_blocks_of_rows(monkeypatch: pytest.MonkeyPatch, layers: tuple[int, int], back: bool) -> None:
    nx, ny = lists(layers[0], 30, 5, 0), lists(layers[1], 30, 5, 1)
    whole = fast(nx, ny, orders(30), back)
    for name, size in (("_TABLE_BYTES", 7 * 8 * 30), ("_LOOKUP_BYTES", 1)):
        monkeypatch.setattr(sys.modules["vlalign.metrics.engine.matches"], name, size)
        assert fast(nx, ny, orders(30), back) == whole


def test_positions_beyond_a_byte() -> None:
    nx = lists(5, 280, 260, 0)[:, :, :]
    found = next(find_matches(nx, nx[:1].flip(2)))
    same = found.x == 0
    assert np.array_equal(found.a[same] + found.b[same], np.full(same.sum(), 259))
    assert set(found.x.tolist()) == set(range(5))


def test_groups() -> None:
    nx, ny = lists(3, 12, 6, 0), lists(2, 12, 6, 1)
    expected: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for _, row, x, y, a, b in slow(nx, ny, None, False):
        expected.setdefault((row, x * 2 + y), []).append((b, a))
    groups = group(next(find_matches(nx, ny)), (3, 2), 6)
    found = []
    for pair, first, count in zip(groups.pair, groups.first, groups.count, strict=True):
        part = slice(first, first + count)
        found.append((int(pair), list(zip(groups.b[part].tolist(), groups.a[part].tolist(), strict=True))))
    assert sorted(found) == sorted((key[1], sorted(values)) for key, values in expected.items())


def test_no_matches() -> None:
    nx, ny = torch.tensor([[[1], [2], [0]]]), torch.tensor([[[2], [0], [1]]])
    assert fast(nx, ny, None, False) == set()
    assert len(group(next(find_matches(nx, ny)), (1, 1), 1).pair) == 0


def test_errors() -> None:
    with pytest.raises(VlalignError, match="agree in N and k"):
        next(find_matches(lists(1, 6, 2, 0), lists(1, 6, 3, 0)))
    with pytest.raises(VlalignError, match="outside"):
        next(find_matches(lists(1, 6, 2, 0) + 4, lists(1, 6, 2, 0)))
    with pytest.raises(VlalignError, match="integer"):
        next(find_matches(torch.ones(1, 4, 2), torch.ones(1, 4, 2)))
