"""Thin bases: span, rank and orthonormality against numpy's SVD, on inputs of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.inputs import KINDS, pair_of, random_layer

from vlalign.metrics.engine.basis import centred, standardised, thin_basis, unit_configuration


@pytest.mark.parametrize("kind", KINDS)
def test_basis_is_that_of_the_svd(kind: str) -> None:
    for layer in pair_of(kind):
        raw = layer.double().numpy()
        plain = (raw - raw.mean(0)) / raw.std(0, ddof=1)
        u, s, _ = np.linalg.svd(plain, full_matrices=False)
        rank = int((s > 1e-5 * s[0]).sum())
        left, values = thin_basis(standardised(centred(layer)[0]))
        assert values.numpy() == pytest.approx(s[:rank], rel=1e-6)
        assert np.allclose(left.numpy() @ left.numpy().T, u[:, :rank] @ u[:, :rank].T, atol=1e-7)
        first, top = thin_basis(standardised(centred(layer)[0]), keep=2)
        assert torch.allclose(first, left[:, :2])
        assert torch.allclose(top, values[:2])


@pytest.mark.parametrize("smallest", [1e-2, 1e-3, 3e-5])
def test_orthonormal_down_to_the_tolerance(smallest: float) -> None:
    left = torch.linalg.qr(random_layer(80, 12)).Q
    x = left * torch.logspace(0, float(np.log10(smallest)), 12) @ torch.linalg.qr(random_layer(12, 12, 1)).Q
    found, values = thin_basis(x)
    assert len(values) == 12
    assert torch.allclose(found.mT @ found, torch.eye(12).double(), rtol=0, atol=1e-10)
    assert torch.allclose(found @ found.mT, left @ left.mT, atol=1e-6)
    assert len(thin_basis(left * torch.tensor([1.0] * 11 + [1e-6]))[1]) == 11  # below the tolerance: noise


def test_constant_columns_and_extreme_magnitudes() -> None:
    x = random_layer(20, 4)
    x[:, 1] = 0.1
    x[:, 2] *= 1e-200
    x[:, 3] *= 1e150
    columns, magnitudes = centred(x)
    assert (columns[:, 1] == 0).all()
    assert magnitudes.min() == 1e-30
    assert torch.allclose(columns.mean(0), torch.zeros(4).double(), atol=1e-14)
    assert torch.allclose(standardised(columns).std(0), torch.tensor([1.0, 0.0, 1.0, 1.0]).double())
    assert float(torch.linalg.matrix_norm(unit_configuration(x))) == pytest.approx(1)
    zero = unit_configuration(torch.full((5, 2), 7.3))
    assert (zero == 0).all()
    left, values = thin_basis(zero)
    assert left.shape == (5, 0)
    assert len(values) == 0
    assert (unit_configuration(torch.zeros(5, 2)) == 0).all()
