"""The permutation null of a score that was picked as the largest over layer pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlalign.errors import VlalignError
from vlalign.metrics.registry import Metric

_CHUNK_BYTES = 32 * 2**20  # of permutations held at once


@dataclass(frozen=True)
class Null:
    """Maxima over all layer pairs, one for each permutation, and the p-value of the observed maximum."""

    maxima: NDArray[np.float64]
    observed: float
    seed: int

    @property
    def p_value(self) -> float:
        """``(1 + #{null maximum >= observed maximum}) / (K + 1)``: valid although the layers were picked by looking."""
        return (1 + int((self.maxima >= self.observed).sum())) / (len(self.maxima) + 1)

    def summary(self) -> dict[str, Any]:
        """JSON-able: number of permutations, seed, mean, sd, quantiles and maximum of the null maxima, p-value."""
        maxima = self.maxima
        quantiles = {f"q{q}": float(np.quantile(maxima, q / 100)) for q in (5, 50, 95, 99)}
        return {
            "permutations": len(maxima),
            "seed": self.seed,
            "statistic": "maximum over all layer pairs",
            "mean": float(maxima.mean()),
            "sd": float(maxima.std(ddof=1)) if len(maxima) > 1 else 0.0,
            **quantiles,
            "max": float(maxima.max()),
            "p_value": self.p_value,
        }


def permutations(n: int, count: int, seed: int, chunk: int) -> Iterator[NDArray[np.int64]]:
    """``count`` random permutations of 0..n-1 in arrays [<= chunk, n]; they depend on ``n`` and ``seed`` only."""
    digest = hashlib.sha256(f"vlalign permutation null {seed} {n}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    for start in range(0, count, chunk):
        yield np.stack([generator.permutation(n) for _ in range(min(chunk, count - start))])


def permutation_null(
    metric: Metric, x: Sequence[Any], y: Sequence[Any], *, n: int, observed: float, count: int = 1000, seed: int = 0
) -> Null:
    """Distribution of the largest value over all layer pairs when the rows of y are paired at random.

    Each permutation is applied to all layers of y at once and the maximum taken inside it (as in arXiv 2602.14486), so
    that picking the best layer pair is paid for.

    Args:
        metric: the metric, and ``x``, ``y``: its prepared layers.
        n: number of samples.
        observed: the largest value of the actual pairing.
        count: number of permutations K; the smallest possible p-value is 1/(K+1).
        seed: seed of the permutations.
    """
    if count < 1:
        raise VlalignError(f"a permutation null needs at least 1 permutation, got {count}")
    chunk = max(1, min(count, _CHUNK_BYTES // (8 * n)))
    maxima = [metric.permuted(x, y, part).max(axis=(1, 2)) for part in permutations(n, count, seed, chunk)]
    return Null(np.concatenate(maxima), observed, seed)
