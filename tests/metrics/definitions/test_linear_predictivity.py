"""Cross-validated ridge R² against explicit fits in every fold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.inputs import KINDS, pair_of, random_layer
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.definitions.linear_predictivity import LinearPredictivity, fold_rows, linear_predictivity

ALPHAS = (0.01, 0.1, 1.0, 10.0)


def reference(x: Tensor, y: Tensor, folds: int = 5, alphas: tuple[float, ...] = ALPHAS) -> float:
    """Fit by augmented least squares in every fold with every penalty, then choose on the other folds."""
    a, b = x.double().numpy(), y.double().numpy()
    eigenvalues = np.linalg.svd(a - a.mean(0), compute_uv=False) ** 2
    mean = eigenvalues.sum() / min(a.shape[1], len(a) - 1)
    errors, totals = np.zeros((folds, len(alphas))), np.zeros(folds)
    for f, held_out in enumerate(fold_rows(len(a), folds)):
        train = np.setdiff1d(np.arange(len(a)), held_out)
        xm, ym = a[train].mean(0), b[train].mean(0)
        totals[f] = ((b[held_out] - ym) ** 2).sum()
        for i, alpha in enumerate(alphas):
            ridge = np.vstack([a[train] - xm, np.sqrt(alpha * mean) * np.eye(a.shape[1])])
            target = np.vstack([b[train] - ym, np.zeros((a.shape[1], b.shape[1]))])
            weights = np.linalg.lstsq(ridge, target, rcond=None)[0]
            errors[f, i] = ((b[held_out] - ym - (a[held_out] - xm) @ weights) ** 2).sum()
    chosen = [errors[f, int((errors.sum(0) - errors[f]).argmin())] for f in range(folds)]
    return float(1 - sum(chosen) / totals.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_equals_explicit_fits(kind: str) -> None:
    x, y = pair_of(kind)
    there, back = reference(x, y), reference(y, x)
    assert linear_predictivity(x, y, "x_to_y") == pytest.approx(there, abs=1e-5)
    assert linear_predictivity(x, y, "y_to_x") == pytest.approx(back, abs=1e-5)
    assert linear_predictivity(x, y) == pytest.approx((there + back) / 2, abs=1e-5)


@pytest.mark.parametrize("alphas", [(1e-6,), (1e6,), (1e-6, 0.3, 1e6)])
@pytest.mark.parametrize("folds", [2, 7, 60])
def test_folds_and_penalties(folds: int, alphas: tuple[float, ...]) -> None:
    x, y = pair_of("random")
    found = linear_predictivity(x, y, "x_to_y", folds, alphas)
    assert found == pytest.approx(reference(x, y, folds, alphas), abs=1e-6)


def test_row_blocks() -> None:
    """More rows than are treated at once, and several layers on both sides."""
    layers = [random_layer(300, 5, seed) for seed in range(4)]
    layers[2] = layers[0] @ random_layer(5, 3, 9) + 0.5 * random_layer(300, 3, 10)
    metric = LinearPredictivity("x_to_y", folds=3)
    prepared = [metric.prepare(layer) for layer in layers]
    expected = [[reference(x, y, 3) for y in layers[2:]] for x in layers[:2]]
    assert np.allclose(metric.grid(prepared[:2], prepared[2:]), expected, rtol=0, atol=1e-9)
    assert expected[0][0] > 0.5
    other = LinearPredictivity("y_to_x", folds=3).grid(prepared[2:], prepared[:2])
    assert np.allclose(other, np.array(expected).T, rtol=0, atol=1e-9)


def test_folds_are_even_and_fixed() -> None:
    folds = fold_rows(23, 5)
    assert sorted(len(rows) for rows in folds) == [4, 4, 5, 5, 5]
    assert sorted(np.concatenate(folds)) == list(range(23))
    assert all(np.array_equal(a, b) for a, b in zip(folds, fold_rows(23, 5), strict=True))


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40))
def test_identities(seed: int, d1: int, d2: int) -> None:
    x, y = random_layer(30, d1, seed), random_layer(30, d2, seed + 1)
    value = linear_predictivity(x, y)
    assert value <= 1
    assert linear_predictivity(y, x) == pytest.approx(value, abs=1e-10)
    turned = 3 * x @ torch.linalg.qr(random_layer(d1, d1, seed)).Q - 2
    for direction in ("x_to_y", "y_to_x"):
        expected = linear_predictivity(x, y, direction)
        assert linear_predictivity(turned, y, direction) == pytest.approx(expected, abs=1e-7)


def test_known_values() -> None:
    x = random_layer(100, 4)
    assert linear_predictivity(x, x @ random_layer(4, 6, 1) + 2, alphas=1e-6) == pytest.approx(1, abs=1e-3)
    noise = linear_predictivity(x, random_layer(100, 4, 5))
    assert -0.3 < noise < 0.02
    assert linear_predictivity(x, random_layer(100, 90, 5), "y_to_x", alphas=1e-6) < -0.5  # overfits; not clipped


def test_degenerate_input() -> None:
    x, constant = random_layer(20, 3), torch.full((20, 30), 0.1)
    for direction in ("mean", "x_to_y", "y_to_x"):
        assert linear_predictivity(constant, x, direction) == pytest.approx(0, abs=1e-12)
        assert linear_predictivity(x, constant, direction) == pytest.approx(0, abs=1e-12)
        assert linear_predictivity(constant, constant, direction) == 0.0
    assert np.isfinite(linear_predictivity(random_layer(4, 2), random_layer(4, 2, 1), folds=4))


def test_what_is_kept() -> None:
    assert LinearPredictivity().holds(1024, [576] * 31) == 31 * 8 * 1024**2


def test_parameters() -> None:
    assert LinearPredictivity(alphas="0.1/1").alphas == (0.1, 1.0)  # type: ignore[arg-type]
    assert LinearPredictivity(alphas=[1, 2]).params["alphas"] == (1.0, 2.0)  # type: ignore[arg-type]
    for wrong in (0, -1.0, float("nan"), 1e7, "many", "", (), True, None, (1.0, "a")):
        with pytest.raises(VlalignError, match="alphas between 1e-06 and 1e"):
            LinearPredictivity(alphas=wrong)  # type: ignore[arg-type]
    for folds in (1, 2.5, True):
        with pytest.raises(VlalignError, match="folds="):
            LinearPredictivity(folds=folds)  # type: ignore[arg-type]
    with pytest.raises(VlalignError, match="direction mean or x_to_y or y_to_x"):
        LinearPredictivity("both")
    with pytest.raises(VlalignError, match="at least 9 samples, got N=8: lower folds"):
        linear_predictivity(random_layer(8, 2), random_layer(8, 2), folds=9)
