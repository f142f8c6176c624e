"""Inputs of every awkward kind, and checks that hold for every metric of two layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.base import Metric

KINDS = ("random", "duplicated rows", "low rank", "ill-scaled", "wide", "float32 far from zero")


def random_layer(n: int, d: int, seed: int = 0) -> Tensor:
    """Standard normal float64 [n, d]."""
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def two_layers(kind: str, n: int = 60) -> tuple[Tensor, Tensor]:
    """Two layers that share some structure, of one of :data:`KINDS`."""
    shared = random_layer(n, 4, 1)
    x = torch.cat([shared, random_layer(n, 5, 2)], 1) @ random_layer(9, 9, 3)
    y = (torch.cat([shared, 2 * random_layer(n, 3, 4)], 1) @ random_layer(7, 7, 5)) + 1.0
    if kind == "duplicated rows":
        again = torch.arange(n) // 2
        return x[again], y[again]
    if kind == "low rank":
        return x[:, :3] @ random_layer(3, 12, 6), y[:, :5] @ random_layer(5, 8, 7)
    if kind == "ill-scaled":
        return x * torch.logspace(-6, 6, 9), y * torch.logspace(5, -7, 7)
    if kind == "wide":
        return torch.cat([x, 0.3 * random_layer(n, n + 9, 8)], 1), torch.cat([y, 0.5 * random_layer(n, n, 9)], 1)
    if kind == "float32 far from zero":
        return (x + 20.0).float(), (y - 30.0).float()
    return x, y


def check_rows(metric: Metric, pairs: int = 2) -> None:
    """Reordering a prepared layer is preparing the reordered rows; ``permuted`` is the grid of such layers."""
    xs, ys = ([random_layer(40, 4 + 3 * i, side + i) for i in range(pairs)] for side in (10, 20))
    xs[0][:, 0] = ys[0][:, 0]
    orders = np.stack([np.random.default_rng(seed).permutation(40) for seed in range(3)])
    moved = [[metric.prepare(y[torch.from_numpy(order)]) for y in ys] for order in orders]
    expected = np.stack([metric.grid([metric.prepare(x) for x in xs], layers) for layers in moved])
    x, y = [metric.prepare(layer) for layer in xs], [metric.prepare(layer) for layer in ys]
    assert np.allclose(metric.permuted(x, y, orders), expected, rtol=0, atol=1e-9)
    assert np.allclose(metric.grid(x, [metric.reorder(b, orders[0]) for b in y]), expected[0], rtol=0, atol=1e-9)
    assert not np.allclose(expected[0], expected[1], rtol=0, atol=1e-3)
    singles = [[metric.grid([a], [b])[0, 0] for b in y] for a in x]
    assert np.allclose(metric.grid(x, y), singles, rtol=0, atol=1e-12)


def check_refusals(function: Callable[[Tensor, Tensor], float]) -> None:
    """One clear error for each kind of wrong input."""
    x = random_layer(30, 3)
    spoilt = x.clone()
    spoilt[4, 1] = torch.nan
    for a, b, message in (
        (x, x[:29], "30 rows and y has 29"),
        (x, spoilt, r"y hold a value that is not finite \(first in row 4\)"),
        (x[:, 0], x[:, 0], r"x must be a tensor \[N, D\]"),
        (x.long(), x, "floating point"),
        (x[:3], x[:3], "at least 4 samples"),
    ):
        with pytest.raises(VlalignError, match=message):
            function(a, b)


def check_threads(metric: Metric) -> None:
    """The grid does not depend on the number of threads beyond rounding."""
    layers = [random_layer(50, 6, seed) for seed in range(3)]
    before = torch.get_num_threads()
    grids = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            prepared = [metric.prepare(layer) for layer in layers]
            grids.append(metric.grid(prepared, prepared))
    finally:
        torch.set_num_threads(before)
    assert np.allclose(*grids, rtol=0, atol=1e-12)
