"""Inputs that metrics are compared with their references on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

KINDS = ("random", "aligned", "duplicated", "low_rank", "ill_scaled", "shifted", "wide")


def pair_of(kind: str, n: int = 60, widths: tuple[int, int] = (12, 9), seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two layers [n, D1] and [n, D2], float32, of one of ``KINDS``; "constant": all rows of the first are alike."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    x, y = normal(n, widths[0]), normal(n, widths[1])
    if kind in ("aligned", "wide"):
        y = y + 2 * x @ normal(widths[0], widths[1])
    if kind == "duplicated":
        x[n // 2 :] = x[: n - n // 2]
        y[: n // 3] = y[n - n // 3 :]
    if kind == "low_rank":
        shared = normal(n, 3)
        x, y = shared @ normal(3, widths[0]), shared @ normal(3, widths[1]) + 0.3 * normal(n, 2) @ normal(2, widths[1])
    if kind == "ill_scaled":
        x = x * torch.logspace(-4, 4, widths[0])
        y = y * 1e-6
    if kind == "shifted":
        x = x + 100.0
        y = y + x[:, :1] - 3
    if kind == "wide":  # more columns than rows
        x, y = torch.cat([x, 0.3 * normal(n, n)], 1), torch.cat([y, 0.5 * normal(n, n)], 1)
    if kind == "constant":
        x = torch.ones_like(x)
    return x, y


def random_layer(n: int, d: int, seed: int = 0) -> Tensor:
    """Standard normal float64 [n, d]."""
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def orders(n: int, count: int = 4) -> np.ndarray:
    """Permutations [count, n]."""
    return np.stack([np.random.default_rng(seed).permutation(n) for seed in range(count)])
