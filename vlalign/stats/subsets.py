"""Scores of random subsets of the samples, with the work that all subsets share done once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.base import Ints, Metric
from vlalign.metrics.engine.layers import map_layers

_FEW = 192  # rows: below, handing layers to threads takes longer than the work


class Subsets:
    """Layers [N, D] of two models as they are scored, of which subsets of at least ``smallest`` rows are asked for.

    Raises:
        VlalignError: without layers, or if they differ in the number of rows.
    """

    def __init__(self, metric: Metric, x: Sequence[Tensor], y: Sequence[Tensor], smallest: int) -> None:
        common_rows(x, y)
        self.metric = metric
        self._split = len(x)
        self._kept = map_layers(lambda layer: metric.for_subsets(layer, smallest), [*x, *y])

    def prepared(self, rows: Ints) -> tuple[list[Any], list[Any]]:
        """Prepared layers of both sides for the rows ``rows`` (ascending)."""
        run = map if len(rows) < _FEW else map_layers
        done = list(run(lambda kept: self.metric.subset(kept, rows), self._kept))
        return done[: self._split], done[self._split :]


def common_rows(x: Sequence[Tensor], y: Sequence[Tensor]) -> int:
    """The number of rows that all layers of both sides have.

    Raises:
        VlalignError: without layers, or if the numbers differ.
    """
    if not len(x) or not len(y):
        raise VlalignError("each side needs at least one layer [N, D]")
    rows = {len(layer) for layer in [*x, *y]}
    if len(rows) > 1:
        raise VlalignError(f"all layers must have one number of rows, got {sorted(rows)}: pair the samples first")
    return rows.pop()


def widths(layers: Sequence[Tensor]) -> list[int]:
    """Of each layer [N, D]."""
    return [layer.shape[1] for layer in layers]
