"""Ties between neighbours: p-values of independent features with tied rows are uniform, whatever the metric."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binom, kstest
from torch import Tensor
from torch.nn.functional import normalize

from vlalign.metrics import get_metric, knn, metric_names
from vlalign.metrics.base import Metric
from vlalign.metrics.engine.neighbours import knn_of_sides
from vlalign.metrics.engine.ties import Sided, row_labels
from vlalign.stats import permutation_null

NEIGHBOURS = [name for name in metric_names() if {"k", "max_k"} & set(get_metric(name).params)]
N, SEEDS = 100, 20


def few_distinct(draw: torch.Generator) -> Tensor:
    """10 distinct rows."""
    return torch.randn(10, 16, generator=draw)[torch.randint(0, 10, (N,), generator=draw)]


def a_fifth_equal(draw: torch.Generator) -> Tensor:
    """A fifth of the rows are one and the same."""
    x = torch.randn(N, 16, generator=draw)
    x[torch.randperm(N, generator=draw)[: N // 5]] = torch.ones(16)
    return x


def zero_rows(draw: torch.Generator) -> Tensor:
    """A fifth of the rows are zero: all others are equally far."""
    x = torch.randn(N, 16, generator=draw)
    x[torch.randperm(N, generator=draw)[: N // 5]] = 0
    return x


def one_hot(draw: torch.Generator) -> Tensor:
    """All rows differ, and all are equally far from each other."""
    return torch.eye(N)[torch.randperm(N, generator=draw)]


def binary(draw: torch.Generator) -> Tensor:
    """Rows of zeros and ones: many equal products of rows that differ."""
    x = (torch.rand(N, 12, generator=draw) < 0.4).float()
    x[:, 0] = 1
    return x


CASES = [
    *((make, name) for make in (few_distinct, a_fifth_equal) for name in NEIGHBOURS),
    *((make, "mutual_knn") for make in (zero_rows, one_hot, binary)),
]


@pytest.mark.parametrize(("make", "name"), CASES)
def test_p_values_of_independent_features_are_uniform(make: object, name: str) -> None:
    metric = get_metric(name)
    p_values = []
    for seed in range(SEEDS):
        draw = torch.Generator().manual_seed(100 + seed)
        x, y = ([metric.prepare(normalize(make(draw)))] for _ in range(2))  # type: ignore[operator]
        observed = float(metric.grid(x, y)[0, 0])
        p_values.append(permutation_null(metric, x, y, n=N, observed=observed, count=39, stop_after=None).p_value)
    small = sum(p <= 0.05 for p in p_values)
    assert binom.sf(small - 1, SEEDS, 0.05) > 0.001
    assert kstest(p_values, "uniform").pvalue > 0.001


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("make", [few_distinct, a_fifth_equal, zero_rows, one_hot], ids=lambda m: m.__name__)
def test_ties_depend_on_neither_blocks_nor_threads_nor_rounding(make: object, threads: int) -> None:
    x = normalize(make(torch.Generator().manual_seed(0)))  # type: ignore[operator]
    expected = knn_of_sides(x.double(), 10)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        for block in (None, 7, 64):
            found = knn_of_sides(x, 10, block=block)
            assert torch.equal(found.x, expected.x)
            assert torch.equal(found.y, expected.y)
    finally:
        torch.set_num_threads(before)


def test_each_side_breaks_ties_for_itself() -> None:
    x = torch.eye(6).repeat(20, 1)
    lists = knn_of_sides(x, 5)
    assert lists.y is not lists.x
    assert (lists.x % 6 == lists.y % 6).all()
    shared = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(lists.x.tolist(), lists.y.tolist(), strict=True)])
    assert abs(shared - 5 / 19) < 4 * (5 / 19 / 5 / 120) ** 0.5
    assert torch.equal(knn(x, 5, side="y"), lists.y)


def test_without_ties_both_sides_are_one() -> None:
    lists = knn_of_sides(torch.randn(50, 8, generator=torch.Generator().manual_seed(0)), 5)
    assert lists.y is lists.x
    mapped = lists.map(lambda one: one + 1)
    assert mapped.y is mapped.x
    assert Sided(1, 2).turned() == Sided(2, 1)


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_tied_rows_that_are_aligned_score_high(name: str) -> None:
    metric: Metric = get_metric(name)
    x = few_distinct(torch.Generator().manual_seed(0))
    layer = [metric.prepare(x)]
    observed = float(metric.grid(layer, layer)[0, 0])
    assert permutation_null(metric, layer, layer, n=N, observed=observed, count=59).p_value == 1 / 60


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_labels_of_identical_rows(dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(40, 50, dtype=dtype, generator=draw)
    rows[3] = 0.0
    rows[4], rows[4, 7] = rows[5].clone(), rows[5, 7] + 1  # differ in a column that is not among the first compared
    order = torch.randint(0, 40, (300,), generator=draw)
    x = rows[order]
    x[x == 0] *= -1
    number: dict[int, int] = {}
    assert row_labels(x).tolist() == [number.setdefault(i, len(number)) for i in order.tolist()]
