"""Metrics by name. A new metric is one file with a class of this shape, and one line in ``METRICS``."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.mutual_knn import MutualKnn


class Metric(Protocol):
    """What the scorer asks of a metric: work per layer done once (``prepare``), then the grid of all layer pairs."""

    @property
    def name(self) -> str:
        """Name in the registry and in records."""

    @property
    def params(self) -> dict[str, Any]:
        """Parameters, as they stand in records."""

    def check(self, n: int) -> None:
        """Raise VlalignError if the metric is not defined for ``n`` samples."""

    def chance(self, n: int) -> float | None:
        """Expected value under a random pairing of ``n`` samples, if it depends on nothing else."""

    def prepare(self, layer: Tensor) -> Any:
        """Everything that one layer [N, D] needs to be compared with any other."""

    def grid(self, x: Sequence[Any], y: Sequence[Any]) -> NDArray[np.float64]:
        """Values [Lx, Ly] of prepared layers; larger is more aligned."""

    def permuted(self, x: Sequence[Any], y: Sequence[Any], permutations: NDArray[np.int64]) -> NDArray[np.float64]:
        """Values [P, Lx, Ly] after the rows of y are permuted by each of ``permutations`` [P, N]."""


#: Name of every metric and what makes it from its parameters.
METRICS: dict[str, Callable[..., Metric]] = {"mutual_knn": MutualKnn}


def metric_names() -> list[str]:
    """Names that :func:`get_metric` knows."""
    return sorted(METRICS)


def get_metric(name: str, **params: Any) -> Metric:
    """The metric of that name with its parameters.

    Raises:
        VlalignError: for an unknown name (with close matches) or a parameter out of range.

    >>> get_metric("mutual_knn", k=5).chance(101)
    0.05
    """
    if name not in METRICS:
        close = difflib.get_close_matches(name, METRICS)
        raise VlalignError(f"unknown metric {name!r}: use one of {', '.join(close or metric_names())}")
    return METRICS[name](**params)
