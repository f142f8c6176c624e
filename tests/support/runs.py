"""A stand-in for a run of the store, and made-up models; tests/conftest.py makes fixtures of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor


@dataclass
class FakeRun:
    """The attributes of a run that scoring uses; counts how often layers are read."""

    name: str
    tensors: list[Tensor]
    ids: list[str]
    data: dict[str, Any] = field(default_factory=dict)
    bits: float | None = None
    truncated: int = 0
    reads: int = 0
    path: Path = Path("not stored")
    layer_norms: Any = None

    def __post_init__(self) -> None:
        key = {"model": {"name": self.name, "modality": "text"}, "data": self.data}
        digest = hashlib.sha256(f"{self.name} {self.data}".encode()).hexdigest()
        self.key = SimpleNamespace(
            data=key, hash=digest, short=digest[:16], model=self.name, modality="text", title=self.name, edits=""
        )
        self.n = len(self.ids)
        self.facts: dict[str, Any] = {}
        self.layers = [
            SimpleNamespace(index=i, name=f"block_{i}", width=t.shape[1], convention="residual")
            for i, t in enumerate(self.tensors)
        ]

    def load(self, layer: int) -> Tensor:
        self.reads += 1
        return self.tensors[layer]

    def features(self) -> list[Tensor]:
        self.reads += len(self.tensors)
        return list(self.tensors)

    def check(self) -> None:
        pass

    def bits_per_byte(self) -> float | None:
        return self.bits


def made_up_pair() -> tuple[list[Tensor], list[Tensor]]:
    """Two made-up models of 60 samples that share a signal; layers of different widths."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(60, 4, generator=generator)

    def layer(width: int, share: float) -> Tensor:
        noise = torch.randn(60, width, generator=generator)
        return share * shared @ torch.randn(4, width, generator=generator) + noise

    return [layer(6, 0.0), layer(8, 1.5), layer(5, 0.5)], [layer(7, 0.5), layer(9, 1.5)]
