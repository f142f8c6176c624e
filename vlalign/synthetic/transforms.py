"""φ: the fixed random networks that make a modality's features unlike its bits (heterogeneity)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vlalign.errors import VlalignError

PHI_NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
}


@dataclass(frozen=True)
class Phi:
    """Linear, then as many times [nonlinearity, Linear] as it is deep; all of one width."""

    weights: tuple[Tensor, ...]  # [width, width] each
    biases: tuple[Tensor, ...]
    nonlinearity: str

    def __call__(self, x: Tensor) -> Tensor:
        """[N, width] → [N, width]."""
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.nn.functional.linear(PHI_NONLINEARITIES[self.nonlinearity](x) if i else x, weight, bias)
        return x


def linear_init(rows: int, columns: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Weight [rows, columns] and bias [rows] as :class:`torch.nn.Linear` draws them, in the same order.

    >>> _ = torch.manual_seed(3)
    >>> layer = torch.nn.Linear(4, 2)
    >>> weight, bias = linear_init(2, 4, torch.Generator().manual_seed(3))
    >>> bool((weight == layer.weight).all() and (bias == layer.bias).all())
    True
    """
    weight, bias = torch.empty(rows, columns), torch.empty(rows)
    torch.nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    torch.nn.init.uniform_(bias, -1 / math.sqrt(columns), 1 / math.sqrt(columns), generator=generator)
    return weight, bias


def make_phi(width: int, depth: int, modalities: int, nonlinearity: str = "tanh", seed: int = 0) -> list[Phi]:
    """Return the φ of each of ``modalities`` transformed modalities at one depth.

    Depths are drawn one after the other from one generator, so that φ of a depth is the same whatever other depths a
    grid has, and the same for every U (as in the released code, whose draws these are).

    Raises:
        VlalignError: an unknown nonlinearity or a depth below 1.
    """
    if nonlinearity not in PHI_NONLINEARITIES:
        raise VlalignError(f"phi_nonlinearity is {nonlinearity!r}: allowed is {', '.join(PHI_NONLINEARITIES)}")
    if depth < 1:
        raise VlalignError(f"phi_depths has {depth}: allowed is 1 or more")
    generator = torch.Generator().manual_seed(seed)
    made: list[Phi] = []
    for current in range(1, depth + 1):
        made = []
        for _ in range(modalities):
            layers = [linear_init(width, width, generator) for _ in range(current + 1)]
            made.append(Phi(tuple(w for w, _ in layers), tuple(b for _, b in layers), nonlinearity))
    return made
