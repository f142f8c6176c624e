"""Mutual-kNN: equal to sets in plain Python, for one pair, for grids, and under permutations."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics import MutualKnn, get_metric, knn, metric_names, mutual_knn, overlap_counts
from vlalign.metrics.definitions.mutual_knn import mutual_knn_from_neighbours, overlap_counts_permuted

module = sys.modules["vlalign.metrics.definitions.mutual_knn"]  # the package exports a function of that name


def lists(layers: int, n: int, k: int, seed: int) -> Tensor:
    """Random neighbour lists [layers, n, k]: no row lists itself or one row twice."""
    generator = np.random.default_rng(seed)
    rows = [[generator.permutation([j for j in range(n) if j != i])[:k] for i in range(n)] for _ in range(layers)]
    return torch.from_numpy(np.array(rows, dtype=np.int64))


def slow_counts(nx: Tensor, ny: Tensor) -> list[list[int]]:
    return [[sum(len(set(a) & set(b)) for a, b in zip(x, y, strict=True)) for y in ny.tolist()] for x in nx.tolist()]


def slow_permuted(nx: Tensor, ny: Tensor, permutation: np.ndarray) -> list[list[int]]:
    """Sample i of the permuted y is permutation[i] of y: move the rows and rename the neighbours."""
    new_name = {int(old): new for new, old in enumerate(permutation)}
    moved = [[[new_name[j] for j in layer[int(old)]] for old in permutation] for layer in ny.tolist()]
    return slow_counts(nx, torch.tensor(moved))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(3, 30), st.integers(0, 10**6), st.booleans(), st.data())
def test_grid_equals_sets(many: int, few: int, n: int, seed: int, swap: bool, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, min(n - 1, 12)))
    nx, ny = lists(many, n, k, seed), lists(few, n, k, seed + 1)
    if swap:
        nx, ny = ny, nx
    assert overlap_counts(nx, ny).tolist() == slow_counts(nx, ny)


@pytest.mark.parametrize(("lx", "ly"), [(3, 2), (2, 3), (33, 2), (2, 65), (32, 32)])
@pytest.mark.parametrize("n", [14, 90])
def test_permuted_equals_sets(lx: int, ly: int, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    nx, ny = lists(lx, n, 4, 0), lists(ly, n, 4, 1)
    permutations = np.stack([np.random.default_rng(s).permutation(n) for s in range(3)])
    expected = [slow_permuted(nx, ny, p) for p in permutations]
    assert overlap_counts_permuted(nx, ny, permutations).tolist() == expected
    for masks in (8, 1):  # of a row for each neighbour: several samples share one
        monkeypatch.setattr(module, "_SPARSE", masks)
        monkeypatch.setattr(module, "_HASHED", 1)
        monkeypatch.setattr(module, "_LOOKUPS", 40)
        if masks * 4 * min(max(lx, ly), 32) <= n:
            monkeypatch.setattr(module, "_dense_counts", None)  # not used
        assert overlap_counts_permuted(nx.int(), ny.int(), permutations).tolist() == expected


def test_permuting_neighbours_is_permuting_features() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 8, generator=generator), torch.randn(60, 5, generator=generator)
    permutation = np.random.default_rng(0).permutation(60)
    relabelled = overlap_counts_permuted(knn(x, 6)[None], knn(y, 6)[None], permutation[None])[0]
    moved = y[torch.from_numpy(permutation)]
    assert relabelled.tolist() == overlap_counts(knn(x, 6)[None], knn(moved, 6)[None]).tolist()


def test_counters_do_not_overflow_when_everything_overlaps() -> None:
    same = lists(1, 600, 20, 0).expand(40, -1, -1)
    assert (overlap_counts(same, same[:3]) == 600 * 20).all()


def test_row_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    nx, ny = lists(5, 40, 6, 0), lists(3, 40, 6, 1)
    permutations = np.stack([np.random.default_rng(s).permutation(40) for s in range(4)])
    whole = overlap_counts_permuted(nx, ny, permutations)
    monkeypatch.setattr(module, "_TABLE_BYTES", 4 * 40 * 7)
    assert np.array_equal(whole, overlap_counts_permuted(nx, ny, permutations))
    assert np.array_equal(whole.transpose(0, 2, 1)[:1], overlap_counts_permuted(ny, nx, np.argsort(permutations)[:1]))


def reference(x: Tensor, y: Tensor, k: int) -> float:
    """The public reference code."""
    masks = []
    for features in (x, y):
        found = (features @ features.T).fill_diagonal_(-1e8).argsort(dim=1, descending=True)[:, :k]
        mask = torch.zeros(len(x), len(x))
        mask[torch.arange(len(x)).unsqueeze(1), found] = 1.0
        masks.append(mask)
    return float(((masks[0] * masks[1]).sum(dim=1) / k).mean())


@pytest.mark.parametrize("k", [1, 10, 99])
def test_equals_the_reference_code(k: int) -> None:
    generator = torch.Generator().manual_seed(k)
    shared = torch.randn(100, 6, generator=generator)
    x = torch.cat([shared, torch.randn(100, 4, generator=generator)], 1)
    y = shared @ torch.randn(6, 9, generator=generator)
    assert mutual_knn(x, y, k) == pytest.approx(reference(x, y, k), abs=1e-6)


def test_identities() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(80, 7, generator=generator), torch.randn(80, 5, generator=generator)
    rotation = torch.linalg.qr(torch.randn(7, 7, generator=generator)).Q
    assert mutual_knn(x, x) == 1.0
    assert mutual_knn(x, y) == mutual_knn(y, x)
    assert mutual_knn(x @ rotation, 3 * x) == 1.0
    order = torch.randperm(80, generator=generator)
    assert mutual_knn(x[order], y[order]) == mutual_knn(x, y)
    assert mutual_knn(x, y, 79) == 1.0  # everybody is a neighbour


def test_chance_level_by_simulation() -> None:
    k, n = 5, 60
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(200, 2, n, 20, generator=generator)
    values = [mutual_knn(x, y, k) for x, y in draws]
    standard_error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    assert abs(np.mean(values) - k / (n - 1)) < 4 * standard_error


def test_metric_object_agrees_with_the_function() -> None:
    generator = torch.Generator().manual_seed(0)
    xs, ys = ([torch.randn(50, 6, generator=generator) for _ in range(count)] for count in (3, 2))
    metric = get_metric("mutual_knn", k=4)
    grid = metric.grid([metric.prepare(x) for x in xs], [metric.prepare(y) for y in ys])
    assert grid.tolist() == [[mutual_knn(x, y, 4) for y in ys] for x in xs]
    assert "mutual_knn" in metric_names()
    assert callable(mutual_knn)  # the function, not the module of the same name


def test_errors() -> None:
    x = torch.ones(6, 2)
    with pytest.raises(VlalignError, match="6 rows and y has 5"):
        mutual_knn(x, x[:5], 2)
    with pytest.raises(VlalignError, match="agree in N and k"):
        mutual_knn_from_neighbours(lists(1, 6, 2, 0)[0], lists(1, 6, 3, 0)[0])
    with pytest.raises(VlalignError, match="outside"):
        overlap_counts(lists(1, 6, 2, 0) + 4, lists(1, 6, 2, 0))
    with pytest.raises(VlalignError, match="integer"):
        overlap_counts(torch.ones(1, 4, 2), torch.ones(1, 4, 2))
    with pytest.raises(VlalignError, match="mutual_knn"):
        get_metric("mutual_kn")
    for k in (0, -1, 2.5, True):
        with pytest.raises(VlalignError, match="k="):
            get_metric("mutual_knn", k=k)
    with pytest.raises(VlalignError, match="N=10"):
        MutualKnn(10).check(10)
