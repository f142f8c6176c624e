"""Neighbour lists of a score: each layer is searched once for all statistics, whose values do not change."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from vlalign.metrics.engine import neighbour_lists
from vlalign.scoring import score, score_pairs
from vlalign.scoring.record import ScoreRecord

N = 300
scorer, layers = (sys.modules[f"vlalign.scoring.{name}"] for name in ("scorer", "layers"))


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of rows whose neighbours were searched, one for each search."""
    rows: list[int] = []
    search = neighbour_lists.knn_of_sides

    def counted(x: Any, *args: Any, **options: Any) -> Any:
        rows.append(len(x))
        return search(x, *args, **options)

    monkeypatch.setattr(neighbour_lists, "knn_of_sides", counted)
    return rows


def content(record: ScoreRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in ("seconds", "environment", "_samples")}


def side(seed: int, count: int = 2) -> list[torch.Tensor]:
    shared = torch.randn(N, 6, generator=torch.Generator().manual_seed(0)).round(decimals=1)  # with ties
    draw = torch.Generator().manual_seed(seed)
    return [shared @ torch.randn(6, 8, generator=draw).round() for _ in range(count)]


@pytest.mark.parametrize("full", [False, True])
def test_each_layer_is_searched_once(searched: list[int], monkeypatch: pytest.MonkeyPatch, full: bool) -> None:
    x, y = side(1), side(2)
    options: dict[str, Any] = {"full": full, "k": 3, "half_samples": 4, "permutations": 50}
    once = score(x, y, **options)
    assert searched.count(N) == 4
    searched.clear()
    for module in (scorer, layers):  # no memory to keep long lists
        monkeypatch.setattr(module, "LIST_BYTES", 0)
    assert content(score(x, y, **options)) == content(once)
    assert searched.count(N) > 4


def test_many_layers_keep_short_lists(searched: list[int]) -> None:
    options: dict[str, Any] = {"k": 3, "half_samples": 4, "permutations": 0}
    score(side(1, 5), side(2, 4), **options)
    assert searched.count(N) == 9 + 2  # the interval is that of the best pair


def test_lists_are_kept_for_all_pairs_and_metrics(searched: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(side(1), side(2)), (side(1), side(3))]
    pairs[1] = (pairs[0][0], pairs[1][1])
    options: dict[str, Any] = {"metric": ("mutual_knn:k=4", "jaccard_knn:k=3"), "half_samples": 4, "permutations": 0}
    kept = list(score_pairs(pairs, **options))
    assert searched.count(N) == 6
    searched.clear()
    monkeypatch.setattr(scorer, "LIST_BYTES", 0)  # those of other sides are released
    released = list(score_pairs(pairs, **options))
    assert [content(record) for record in released] == [content(record) for record in kept]
    assert searched.count(N) > 6
