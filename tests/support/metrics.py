"""Tiny metrics for tests of what works with any metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from vlalign.metrics.base import Floats, Info, Ints, Metric


@dataclass(frozen=True)
class GramCorrelation(Metric):
    """Pearson correlation of the inner products of all pairs of samples: smooth, without k."""

    name: ClassVar[str] = "gram_correlation"
    info: ClassVar[Info] = Info("correlation of inner products", "[-1, 1]", "rotation", "N²·D", "test")

    def prepare(self, layer: Tensor) -> Tensor:
        gram = layer.double() @ layer.double().T
        off = ~torch.eye(len(gram), dtype=torch.bool)
        gram = torch.where(off, gram - gram[off].mean(), 0.0)
        return gram / gram.norm()

    def grid(self, x: Sequence[Tensor], y: Sequence[Tensor]) -> Floats:
        return np.array([[float((a * b).sum()) for b in y] for a in x])

    def reorder(self, prepared: Tensor, order: Ints) -> Tensor:
        rows = torch.from_numpy(order)
        return prepared[rows][:, rows]


@dataclass(frozen=True)
class Unpaired(GramCorrelation):
    """Says of itself that it does not depend on the pairing."""

    name: ClassVar[str] = "unpaired"

    @property
    def paired(self) -> bool:
        return False
