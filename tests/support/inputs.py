"""Inputs that metrics are compared with their references on."""

from __future__ import annotations

import torch
from torch import Tensor

KINDS = ("random", "aligned", "duplicated", "low_rank", "ill_scaled", "shifted")


def pair_of(kind: str, n: int = 60, widths: tuple[int, int] = (12, 9), seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two layers [n, D1] and [n, D2], float32, of one of ``KINDS``."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    x, y = normal(n, widths[0]), normal(n, widths[1])
    if kind == "aligned":
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
    return x, y
