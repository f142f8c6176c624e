"""What metrics have in common: parameters from text, reordering, subsets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vlalign.errors import VlalignError
from vlalign.metrics import MutualKnn, get_metric, parse_metric
from vlalign.metrics.base import choice, whole_number


@pytest.mark.parametrize("size", [150, 40, 8])
def test_subsets_of_neighbours(size: int) -> None:
    layer = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    metric = MutualKnn(6)
    kept = metric.for_subsets(layer, size)
    assert (kept[1] is None) == (size < 150)  # a long list pays for large subsets only
    for seed in range(5):
        rows = np.sort(np.random.default_rng(seed).choice(300, size, replace=False))
        assert torch.equal(metric.subset(kept, rows).y, metric.prepare(layer[torch.from_numpy(rows)]).y)


def test_a_subset_beyond_the_long_lists_is_searched_afresh() -> None:
    layer = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    metric = MutualKnn(6)
    kept = metric.for_subsets(layer, 150)
    rows = np.arange(0, 300, 30)
    assert torch.equal(metric.subset(kept, rows).y, metric.prepare(layer[torch.from_numpy(rows)]).y)


def test_parameters_from_text() -> None:
    assert parse_metric("mutual_knn").params == {"k": 10}
    assert parse_metric("mutual_knn:k=3", k=20).params == {"k": 3}
    assert parse_metric("mutual_knn", k=20, nothing=1).params == {"k": 20}
    assert parse_metric("mutual_knn:k=3").label == "mutual_knn:k=3"
    for text, message in (
        ("mutual_kn", r"unknown metric 'mutual_kn' \(did you mean mutual_knn\?\)"),
        ("nothing-like-it", "unknown metric 'nothing-like-it': use one of mutual_knn, cycle_knn"),
        ("mutual_knn:k", "name=value"),
        ("mutual_knn:j=3", "no parameter 'j': it has k"),
        ("mutual_knn:k=3.5", "k=3.5"),
        ("mutual_knn:k=many", "k='many'"),
        ("mutual_knn:k=none", "k=None"),
        ("mutual_knn:k=3,k=5", "gives k twice"),
        ("cka:bandwidth=3", "kernel=rbf only"),
        ("cka:kernel=rbf,bandwidth=none", "bandwidth=None"),
        ("cka:kernel=rbf,bandwidth=1e200", "between 1e-12 and 1e12"),
    ):
        with pytest.raises(VlalignError, match=message):
            parse_metric(text)
    with pytest.raises(VlalignError, match="no parameter"):
        get_metric("mutual_knn", kernel="rbf")
    with pytest.raises(VlalignError, match="unknown metric None"):
        get_metric(None)  # type: ignore[arg-type]


def test_small_checks() -> None:
    assert whole_number(np.int64(3), "k", "m") == 3
    assert choice("a", "mode", "m", ("a", "b")) == "a"
    with pytest.raises(VlalignError, match="a or b"):
        choice("c", "mode", "m", ("a", "b"))
