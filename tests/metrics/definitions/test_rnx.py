"""R_NX and its area over log k: equal to the definition, with chance exactly 0."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.inputs import KINDS, pair_of
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics import knn
from vlalign.metrics.definitions.rnx import Rnx, RnxArea, rnx, rnx_area


def slow(x: Tensor, y: Tensor, k: int) -> float:
    n = len(x)
    shared = [len(set(a) & set(b)) for a, b in zip(knn(x, k).tolist(), knn(y, k, side="y").tolist(), strict=True)]
    return ((n - 1) * sum(shared) / (n * k) - k) / (n - 1 - k)


def slow_area(x: Tensor, y: Tensor, max_k: int) -> float:
    terms = [slow(x, y, k) / k for k in range(1, max_k + 1)]
    return sum(terms) / sum(1 / k for k in range(1, max_k + 1))


@pytest.mark.parametrize("kind", [*KINDS, "constant"])
def test_equals_the_definition(kind: str) -> None:
    x, y = pair_of(kind, 40)
    for k in (1, 7, 38):
        assert rnx(x, y, k) == pytest.approx(slow(x, y, k), abs=1e-12)
    for max_k in (1, 4, 5, 20, 38):  # up to 4 as lists
        assert rnx_area(x, y, max_k) == pytest.approx(slow_area(x, y, max_k), abs=1e-9)
    assert rnx_area(x, y) == rnx_area(x, y, 38)


def test_ranks_in_the_smallest_type_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = pair_of("aligned", 300)
    assert isinstance(RnxArea(37).prepare(x).x, Tensor)
    for max_k, bits in ((None, 16), (255, 8), (256, 16)):
        metric = RnxArea(max_k)
        ranks = metric.prepare(x).x
        assert ranks.dtype.itemsize * 8 == bits
        assert metric.holds(300, [6, 6]) == 2 * ranks.nbytes
        assert np.array_equal(np.argsort(ranks, axis=1, kind="stable")[:, :200], knn(x, 200).numpy())
    assert RnxArea(37).holds(300, [6]) == 8 * 37 * 300
    whole = rnx_area(x, y)
    monkeypatch.setattr(sys.modules["vlalign.metrics.definitions.rnx"], "_BLOCK_BYTES", 7 * 8 * 300 * 3)
    assert rnx_area(x, y) == pytest.approx(whole, abs=1e-12)


@settings(max_examples=20)
@given(st.integers(4, 30), st.integers(0, 999), st.data())
def test_identities(n: int, seed: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n - 2))
    x, y = pair_of("aligned", n, seed=seed)
    for of in (rnx, rnx_area):
        assert of(x, x, k) == pytest.approx(1, abs=1e-9)
        assert -k / (n - 1 - k) - 1e-9 <= of(x, y, k) <= 1 + 1e-9
        assert of(x, y, k) == pytest.approx(of(y, x, k), abs=1e-12)


def test_the_mean_over_all_permutations_is_zero() -> None:
    from itertools import permutations

    x, y = pair_of("aligned", 6)
    metric = RnxArea()
    values = metric.permuted([metric.prepare(x)], [metric.prepare(y)], np.array(list(permutations(range(6)))))
    assert values.mean() == pytest.approx(0, abs=1e-12)
    assert metric.moments([metric.prepare(x)], [metric.prepare(y)]).mean.tolist() == [[0.0]]


def test_few_samples() -> None:
    for metric in (Rnx(1), RnxArea()):
        with pytest.raises(VlalignError, match="at least 4 samples"):
            metric.check(3)
    assert rnx_area(*[torch.tensor([[1.0, 2.0], [3.0, 1.1], [0.0, 5.0], [2.0, 2.6]])] * 2) == pytest.approx(1)
