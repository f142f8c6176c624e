"""Approximate neighbours: recall against exact ones, self-exclusion, rows that the graph does not reach, ties."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from vlalign.arrays import LazyLayer
from vlalign.errors import VlalignError
from vlalign.metrics import knn
from vlalign.metrics.engine import approximate
from vlalign.metrics.engine.approximate import approximate_knn


@pytest.fixture(scope="module")
def layer() -> torch.Tensor:
    rows = normalize(torch.randn(900, 12, generator=torch.Generator().manual_seed(0)))
    rows[700] = rows[5]  # identical rows are neighbours
    return rows


def share(lists: torch.Tensor, exact: torch.Tensor) -> float:
    return float((exact[:, :, None] == lists[:, None, :]).any(dim=2).double().mean())


def test_lists_are_nearly_the_exact_ones(layer: torch.Tensor) -> None:
    lists, recall = approximate_knn(layer, 10, 40)
    exact = knn(layer, 40)
    assert lists.shape == (900, 40)
    assert lists.dtype == torch.int32
    assert not (lists == torch.arange(900)[:, None]).any()
    assert all(len(set(row)) == 40 for row in lists.tolist())
    assert lists[700, 0] == 5
    assert recall == pytest.approx(share(lists, exact[:, :10]), abs=0.01)
    assert recall >= 0.99
    assert share(lists, exact) > 0.95
    again, _ = approximate_knn(LazyLayer.of(layer), 10, 40)
    assert torch.equal(again, lists)


def test_recall_is_that_of_the_lists(layer: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate, "_BUILD_WIDTH", 2)
    monkeypatch.setattr(approximate, "_EDGES", 2)
    monkeypatch.setattr(approximate, "_MOST_WIDTH", 1)
    lists, recall = approximate_knn(layer, 5, 6)
    assert recall == pytest.approx(share(lists, knn(layer, 5)), abs=0.02)
    assert recall < 0.9


def test_rows_that_the_graph_does_not_reach_are_searched_exactly(layer: torch.Tensor) -> None:
    def search(queries: Any, count: int) -> tuple[None, Any]:
        found = np.tile(np.arange(count), (len(queries), 1))
        found[1, 3:] = -1
        return None, found

    rows = np.array([2, 300, 800])
    lists = approximate._searched(SimpleNamespace(search=search), layer, rows, 6)
    assert lists[0].tolist() == [0, 1, 3, 4, 5, 6]
    assert lists[1].tolist() == knn(layer, 6)[300].tolist()
    assert lists[2].tolist() == [0, 1, 2, 3, 4, 5]  # itself is not among them, so one is left over


@pytest.mark.parametrize("features", [torch.ones(300, 4), torch.arange(900.0).div(50).floor().reshape(-1, 1)])
def test_layers_with_many_ties_are_refused(features: torch.Tensor) -> None:
    with pytest.raises(VlalignError, match=r"% of the samples have equal neighbours .*: use exact"):
        approximate_knn(features, 5, 10)
