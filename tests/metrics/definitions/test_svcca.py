"""SVCCA against a plain definition, its identities, and degenerate input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.inputs import KINDS, pair_of, random_layer
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.definitions.svcca import Svcca, svcca


def reference(x: Tensor, y: Tensor, dim: int) -> float:
    """Standardise, SVD, and CCA by whitening the covariances, step by step."""
    sides = []
    for layer in (x, y):
        a = layer.double().numpy()
        a = (a - a.mean(0)) / a.std(0, ddof=1)
        u, s, _ = np.linalg.svd(a, full_matrices=False)
        sides.append(u[:, : min(dim, int((s > 1e-5 * s[0]).sum()))])
    white = []
    for u in sides:
        u = u - u.mean(0)
        values, vectors = np.linalg.eigh(np.cov(u.T).reshape(u.shape[1], -1))
        white.append(u @ vectors / np.sqrt(values))
    cross = white[0].T @ white[1] / (len(x) - 1)
    return float(np.linalg.svd(cross, compute_uv=False).mean())


@pytest.mark.parametrize("dim", [1, 4, 10])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_definition(kind: str, dim: int) -> None:
    x, y = pair_of(kind)
    assert svcca(x, y, dim) == pytest.approx(reference(x, y, dim), abs=1e-5)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8), st.integers(1, 6))
def test_identities(seed: int, d1: int, d2: int, dim: int) -> None:
    x, y = random_layer(30, d1, seed), random_layer(30, d2, seed + 1)
    value = svcca(x, y, dim)
    assert 0 <= value <= 1
    assert svcca(x, x, dim) == pytest.approx(1, abs=1e-9)
    assert svcca(y, x, dim) == pytest.approx(value, abs=1e-9)
    assert svcca(x * torch.linspace(0.5, 3, d1) - 4, y, dim) == pytest.approx(value, abs=1e-7)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(seed))
    assert svcca(x[order], y[order], dim) == pytest.approx(value, abs=1e-7)


def test_degenerate_input() -> None:
    x = random_layer(30, 12)
    constant = torch.ones(30, 3)
    assert svcca(constant, x) == svcca(x, constant) == svcca(constant, constant) == 0.0
    line = x[:, :1] @ torch.ones(1, 4).double()  # one direction only: the mean is over that one
    assert svcca(line, line) == pytest.approx(1, abs=1e-9)
    standard = (x - x.mean(0)) / x.std(0)
    share = torch.linalg.svd(standard, full_matrices=False).U[:, :10].mT @ (line[:, 0] - line[:, 0].mean())
    expected = share.norm() / (line[:, 0] - line[:, 0].mean()).norm()
    assert svcca(line, x) == pytest.approx(float(expected), abs=1e-9)


def test_errors() -> None:
    for dim in (0, -1, 2.5, True):
        with pytest.raises(VlalignError, match="dim="):
            Svcca(dim)  # type: ignore[arg-type]
    with pytest.raises(VlalignError, match="more than 11 samples, got N=11: lower dim"):
        svcca(random_layer(11, 20), random_layer(11, 20))


def test_chance_level_by_simulation() -> None:
    values = [svcca(random_layer(500, 30, seed), random_layer(500, 30, -1 - seed), 20) for seed in range(20)]
    assert np.mean(values) == pytest.approx(0.85 * (20 / 500) ** 0.5, rel=0.03)
