"""CKNNA: equal to the public definition on whole matrices, and to unbiased CKA where everybody is a neighbour."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.inputs import KINDS, orders, pair_of
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics import knn
from vlalign.metrics.base import Metric
from vlalign.metrics.definitions.cknna import Cknna, cknna


def hsic(a: Tensor, b: Tensor) -> float:
    """Unbiased HSIC, as the reference code has it."""
    m = len(a)
    a, b = a.clone().fill_diagonal_(0), b.clone().fill_diagonal_(0)
    value = (a * b.T).sum() + a.sum() * b.sum() / ((m - 1) * (m - 2)) - 2 * (a @ b).sum() / (m - 2)
    return float(value / (m * (m - 3)))


def parts(x: Tensor, y: Tensor, k: int) -> tuple[float, float, float]:
    kernels = [side.double() @ side.double().T for side in (x, y)]
    masks = [
        torch.zeros_like(kernels[0]).scatter_(1, knn(side, k, side=name), 1.0) for side, name in ((x, "x"), (y, "y"))
    ]
    both = masks[0] * masks[1]
    own = [hsic(mask * kernel, mask * kernel) for mask, kernel in zip(masks, kernels, strict=True)]
    return hsic(both * kernels[0], both * kernels[1]), own[0], own[1]


def slow(x: Tensor, y: Tensor, k: int) -> float:
    shared, x_own, y_own = parts(x, y, k)
    return shared / (x_own * y_own) ** 0.5 if x_own > 0 and y_own > 0 else 0.0


@pytest.mark.parametrize("kind", [*KINDS, "constant"])
@pytest.mark.parametrize("k", [2, 7, 38])
def test_equals_the_definition(kind: str, k: int) -> None:
    x, y = pair_of(kind, 40)
    assert cknna(x, y, k) == pytest.approx(slow(x, y, k), abs=1e-9)
    assert cknna(y, x, k) == pytest.approx(slow(y, x, k), abs=1e-9)


def test_near_the_reference_code() -> None:
    """Which adds 1e-6 to the denominator."""
    x, y = (torch.nn.functional.normalize(side) for side in pair_of("aligned", 100))
    shared, x_own, y_own = parts(x, y, 10)
    assert cknna(x, y) == pytest.approx(shared / ((x_own * y_own) ** 0.5 + 1e-6), rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_all_neighbours_are_unbiased_cka(kind: str) -> None:
    x, y = pair_of(kind, 40)
    kx, ky = (side.double() @ side.double().T for side in (x, y))
    cka = hsic(kx, ky) / (hsic(kx, kx) * hsic(ky, ky)) ** 0.5
    assert cknna(x, y, None) == pytest.approx(cka, abs=1e-5)
    assert cknna(x, y, 39) == pytest.approx(cka, abs=1e-5)


@settings(max_examples=20)
@given(st.integers(8, 40), st.integers(0, 999), st.data())
def test_identities(n: int, seed: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(2, n - 1))
    x, y = pair_of("aligned", n, seed=seed)
    assert cknna(x, x, k) == pytest.approx(1 if Cknna(k).prepare(x).x.own > 0 else 0, abs=1e-9)
    assert np.isfinite(cknna(x, y, k))
    assert cknna(x, x, None) == pytest.approx(1, abs=1e-6)
    assert cknna(x, y, None) == pytest.approx(cknna(y, x, None), abs=1e-6)


def test_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for k in (5, None):
        metric = Cknna(k)
        x, y = ([metric.prepare(layer) for layer in pair_of("aligned", 30, seed=seed)] for seed in (0, 1))
        whole = metric.permuted(x, y, orders(30))
        with monkeypatch.context() as patch:
            for name in ("_SUM_BYTES", "_GATHER_BYTES"):
                patch.setattr(sys.modules["vlalign.metrics.definitions.cknna"], name, 1)
            patch.setattr(sys.modules["vlalign.metrics.engine.matches"], "_LOOKUP_BYTES", 1)
            x = [metric.prepare(layer) for layer in pair_of("aligned", 30)]
            np.testing.assert_allclose(metric.permuted(x, y, orders(30)), whole, atol=1e-12)


def test_what_is_kept() -> None:
    assert Cknna(5).moments([], []) is None
    assert Cknna(5).holds(1000, [3]) == 65_000
    assert Cknna(None).holds(1000, [3, 3]) == 8_000_000


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_scale_does_not_overflow(scale: float) -> None:
    x, y = (side.double() for side in pair_of("aligned", 40))
    for k in (5, None):
        assert cknna(x * scale, y, k) == pytest.approx(cknna(x, y, k), abs=1e-9 if k else 1e-6)


def test_degenerate_layers_give_a_value() -> None:
    x, _ = pair_of("aligned", 40)
    for flat in (torch.zeros_like(x), torch.full_like(x, 0.3), x[:1].repeat(40, 1), x[:1].repeat(40, 1).double() / 3):
        assert cknna(flat, x, None) == cknna(x, flat, 39) == cknna(flat, flat, None) == 0
        assert np.isfinite(cknna(flat, x, 5))
    assert cknna(torch.zeros_like(x), x, 5) == 0
    assert cknna(torch.eye(40), x, None) == cknna(torch.eye(40), x, 39) == 0


def test_errors() -> None:
    for k in (2, None):
        with pytest.raises(VlalignError, match="at least 4 samples"):
            cknna(torch.eye(3), torch.eye(3), k)
    assert isinstance(Cknna(np.int64(4)).k, int)
    assert isinstance(Cknna(), Metric)
