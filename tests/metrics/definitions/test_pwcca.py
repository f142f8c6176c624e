"""PWCCA against the definition by QR, its identities, ties and degenerate input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.inputs import KINDS, pair_of, random_layer
from torch import Tensor

from vlalign.metrics.definitions.pwcca import pwcca


def reference(x: Tensor, y: Tensor) -> float:
    """Canonical variates from orthonormal bases by a full SVD; weights by loops over variates and columns."""
    centred, bases = [], []
    for layer in (x, y):
        a = layer.double().numpy()
        a = a - a.mean(0)
        u, s, _ = np.linalg.svd(a / a.std(0), full_matrices=False)
        centred.append(a)
        bases.append(u[:, s > 1e-5 * s[0]])
    left, rho, _ = np.linalg.svd(bases[0].T @ bases[1], full_matrices=False)
    variates = bases[0] @ left
    alpha = [sum(abs(variates[:, i] @ column) for column in centred[0].T) for i in range(len(rho))]
    return sum(a * r for a, r in zip(alpha, rho, strict=True)) / sum(alpha)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "wide"])
def test_equals_the_definition(kind: str) -> None:
    x, y = pair_of(kind)
    y = y + 0.3 * y.std(0) * random_layer(60, y.shape[1], 9).to(y.dtype)  # no two correlations equal
    assert pwcca(x, y) == pytest.approx(reference(x, y), abs=1e-5)
    assert pwcca(y, x) == pytest.approx(reference(y, x), abs=1e-5)
    assert pwcca(x, y) != pytest.approx(pwcca(y, x), abs=1e-4)


def test_one_by_construction_when_the_ranks_fill_the_samples() -> None:
    x, y = pair_of("wide")
    assert pwcca(x, y) == pytest.approx(1, abs=1e-9)
    assert pwcca(random_layer(20, 3), random_layer(20, 19, 1)) == pytest.approx(1, abs=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8))
def test_identities(seed: int, d1: int, d2: int) -> None:
    x, y = random_layer(30, d1, seed), random_layer(30, d2, seed + 1)
    value = pwcca(x, y)
    assert 0 <= value <= 1
    assert pwcca(x, x) == pytest.approx(1, abs=1e-7)
    assert pwcca(x, y @ (torch.eye(d2) + 0.1 * random_layer(d2, d2, seed + 2))) == pytest.approx(value, abs=1e-6)
    assert pwcca(3 - 7 * x, y) == pytest.approx(value, abs=1e-7)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(seed))
    assert pwcca(x[order], y[order]) == pytest.approx(value, abs=1e-7)


def test_equal_correlations_follow_the_principal_axes_of_x() -> None:
    """x and y share three directions exactly; rotating the shared part of y must not change the weights."""
    basis = torch.linalg.qr(random_layer(40, 9) - random_layer(40, 9).mean(0)).Q
    x = basis[:, :4] * torch.tensor([4.0, 3.0, 2.0, 1.0]) @ random_layer(4, 6, 1)
    values = []
    for seed in range(4):
        turn = torch.linalg.qr(random_layer(3, 3, seed)).Q
        mixed = basis[:, 3] + 2 * basis[:, 8]
        y = torch.cat([torch.linalg.qr(x).Q[:, :3] @ turn, mixed[:, None]], 1)
        values.append(pwcca(x, y))
    assert values == pytest.approx([values[0]] * 4, abs=1e-6)
    assert 0.3 < values[0] < 1


def test_correlations_of_zero() -> None:
    basis = torch.linalg.qr(torch.cat([torch.ones(40, 1).double(), random_layer(40, 9)], 1)).Q[:, 1:]
    wide, narrow = basis[:, :5], torch.stack([basis[:, 0] + basis[:, 6], basis[:, 7]], 1)
    for x, y in ((wide, narrow), (narrow, wide)):
        assert 0 < pwcca(x, y) < 0.8
        assert pwcca(x[:, 1:], y[:, 1:]) == pytest.approx(0, abs=1e-6)


def test_degenerate_input() -> None:
    x = random_layer(20, 3)
    constant = torch.ones(20, 3)
    assert pwcca(constant, x) == pwcca(x, constant) == pwcca(constant, constant) == 0.0
    tiny = x * torch.tensor([1.0, 1e-100, 1e-150], dtype=torch.float64)
    assert pwcca(tiny, x[:, 1:]) == pytest.approx(1, abs=1e-6)
    assert pwcca(tiny[:, 1:], x[:, :1]) == pytest.approx(pwcca(x[:, 1:] * torch.tensor([1, 1e-30]), x[:, :1]), abs=1e-6)
