"""Procrustes against an explicit best rotation, and the identities of shape distances."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.inputs import KINDS, pair_of, random_layer
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.definitions.procrustes import (
    angular_shape,
    angular_shape_distance,
    procrustes,
    procrustes_distance,
)


def reference_distance(x: Tensor, y: Tensor) -> float:
    """Pad to equal width, centre, scale, rotate y onto x as well as possible, and measure what is left."""
    width = max(x.shape[1], y.shape[1])
    sides = []
    for layer in (x, y):
        a = np.pad(layer.double().numpy(), ((0, 0), (0, width - layer.shape[1])))
        a = a - a.mean(0)
        sides.append(a / np.linalg.norm(a))
    rotation, _ = scipy.linalg.orthogonal_procrustes(sides[1], sides[0])
    return float(np.linalg.norm(sides[0] - sides[1] @ rotation))


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_best_rotation(kind: str) -> None:
    x, y = pair_of(kind)
    distance = reference_distance(x, y)
    assert procrustes_distance(x, y) == pytest.approx(distance, abs=1e-5)
    assert procrustes(x, y) == pytest.approx(1 - distance**2 / 2, abs=1e-5)
    angle = math.acos(1 - distance**2 / 2)
    assert angular_shape_distance(x, y) == pytest.approx(angle, abs=1e-5)
    assert angular_shape(x, y) == pytest.approx(1 - 2 * angle / math.pi, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_self_similarity_is_exact(kind: str) -> None:
    x, _ = pair_of(kind)
    turned = 5 * x.double() @ torch.linalg.qr(random_layer(x.shape[1], x.shape[1])).Q
    for other in (x, turned):
        assert procrustes(x, other) == pytest.approx(1, abs=1e-12)
        assert angular_shape(x, other) == pytest.approx(1, abs=1e-6)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_identities(seed: int, d1: int, d2: int, d3: int) -> None:
    x, y, z = (random_layer(30, d, seed + i) for i, d in enumerate((d1, d2, d3)))
    value = procrustes(x, y)
    assert 0 <= value <= 1
    assert procrustes(y, x) == pytest.approx(value, abs=1e-12)
    turned = 3 * x @ torch.linalg.qr(random_layer(d1, d1, seed)).Q - 2
    assert procrustes(turned, y) == pytest.approx(value, abs=1e-10)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(seed))
    assert procrustes(x[order], y[order]) == pytest.approx(value, abs=1e-12)
    for distance in (procrustes_distance, angular_shape_distance):  # the triangle inequality
        assert distance(x, z) <= distance(x, y) + distance(y, z) + 1e-7


def test_degenerate_input() -> None:
    x, constant = random_layer(20, 3), torch.full((20, 30), 0.1)
    assert procrustes(constant, x) == procrustes(x, constant) == procrustes(constant, constant) == 0.0
    assert angular_shape(constant, x) == 0.0
    assert procrustes_distance(constant, x) == math.sqrt(2)
    assert angular_shape_distance(constant, x) == math.pi / 2


def test_errors_of_the_distances() -> None:
    for distance in (procrustes_distance, angular_shape_distance):
        for rows, message in ((29, "30 rows and y has 29"), (30, "not finite")):
            with pytest.raises(VlalignError, match=message):
                distance(random_layer(30, 3), torch.full((rows, 3), torch.nan))


def test_chance_level_by_simulation() -> None:
    values = [procrustes(random_layer(500, 20, seed), random_layer(500, 20, -1 - seed)) for seed in range(20)]
    assert np.mean(values) == pytest.approx(0.85 * (20 / 500) ** 0.5, rel=0.03)
