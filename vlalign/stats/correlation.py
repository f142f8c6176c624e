"""Correlation of two lists of numbers, such as alignment and performance over models, with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlalign.errors import VlalignError
from vlalign.metrics.base import choice

METHODS = ("spearman", "pearson", "kendall")
_LEAST = 5  # the standard error of Kendall's tau needs n > 4
_EXACT = 8  # up to so many values all 8! orders are tried


@dataclass(frozen=True)
class Correlation:
    """A correlation coefficient, its two-sided p-value, and its interval ``low`` to ``high``."""

    r: float
    p_value: float
    low: float
    high: float
    n: int
    method: str
    level: float
    p_from: str  # "all permutations" or "scipy"

    def summary(self) -> dict[str, Any]:
        """JSON-able, all fields."""
        return asdict(self)


def correlation(
    x: Sequence[float] | NDArray[np.float64],
    y: Sequence[float] | NDArray[np.float64],
    method: str = "spearman",
    level: float = 0.95,
) -> Correlation:
    """Correlation of paired numbers.

    Interval: ``tanh(atanh(r) ± z · se)`` with the standard errors of Bonett and Wright (2000, "Sample size requirements
    for estimating Pearson, Kendall and Spearman correlations"): Spearman √((1 + r²/2)/(n − 3)), Kendall
    √(0.437/(n − 4)), Pearson 1/√(n − 3). Pearson's asks for normal values. At |r| = 1 it ends there; its other end is
    r for Pearson, and for the rank correlations that of the next smaller |r| (two neighbours swapped), since perfect
    agreement of a few ranks leaves room.

    p-value: for Pearson and Spearman with n <= 8 the share of all n! orders of y with |r| at least as large; else, and
    for Kendall always, scipy's (t distribution; Kendall exact without ties up to n = 33, else normal), for Spearman at
    least 2 / n!: no order of n ranks is rarer, and the t distribution knows no end.

    Args:
        x, y: finite numbers [n], n >= 5, neither side constant.
        method: spearman, pearson or kendall (tau-b).
        level: nominal coverage of the interval.

    Raises:
        VlalignError: for anything else.

    >>> found = correlation([1, 2, 3, 4, 5, 6], [1, 2, 4, 3, 5, 6])
    >>> round(found.r, 3), round(found.p_value, 4)
    (0.943, 0.0167)
    """
    from scipy import stats

    choice(method, "method", "correlation", METHODS)
    if not 0 < level < 1:
        raise VlalignError(f"the level of an interval must lie between 0 and 1, got {level}")
    a, b = _checked(x, "x"), _checked(y, "y")
    n = len(a)
    if n != len(b):
        raise VlalignError(f"a correlation needs paired values, got {n} of x and {len(b)} of y")
    if n < _LEAST:
        raise VlalignError(f"a correlation needs at least {_LEAST} pairs of values, got {n}")
    for side, name in ((a, "x"), (b, "y")):
        if side.min() == side.max():
            raise VlalignError(f"{name} is constant (all {n} values are {side[0]:g}): it has no correlation")
    if method == "kendall":
        found = stats.kendalltau(a, b)
    else:
        if method == "spearman":
            a, b = stats.rankdata(a), stats.rankdata(b)
        found = stats.pearsonr(_unit(a), _unit(b))
    r = min(1.0, max(-1.0, float(found.statistic)))
    exact = n <= _EXACT and method != "kendall"
    least = 2 / math.factorial(n) if method == "spearman" and n < 100 else 0.0
    low, high = _interval(r, n, method, float(stats.norm.ppf((1 + level) / 2)))
    return Correlation(
        r=r,
        p_value=_share(a, b, r) if exact else max(least, float(found.pvalue)),
        low=low,
        high=high,
        n=n,
        method=method,
        level=level,
        p_from="all permutations" if exact else "scipy",
    )


def _checked(values: Any, name: str) -> NDArray[np.float64]:
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise VlalignError(f"{name} must be a list of numbers: {error}") from error
    if found.ndim != 1:
        raise VlalignError(f"{name} must be one list of numbers, got shape {list(found.shape)}")
    if not np.isfinite(found).all():
        where = int(np.flatnonzero(~np.isfinite(found))[0])
        raise VlalignError(f"{name} holds {found[where]} at position {where}: leave that pair out")
    return found


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred and of length 1, without overflow."""
    centred = values / np.abs(values).max()
    centred = centred - centred.mean()
    return np.asarray(centred / np.linalg.norm(centred), dtype=np.float64)


def _share(a: NDArray[np.float64], b: NDArray[np.float64], r: float) -> float:
    """Share of all orders of b whose |r| is at least as large."""
    orders = np.array(list(permutations(range(len(b)))))
    return float(np.mean(np.abs(_unit(b)[orders] @ _unit(a)) >= abs(r) - 1e-12))


def _interval(r: float, n: int, method: str, z: float) -> tuple[float, float]:
    # by how much |r| falls below 1 when two neighbours are swapped; for Pearson, rounding
    step = {"spearman": 12 / (n * (n * n - 1)), "kendall": 4 / (n * (n - 1)), "pearson": 1e-15}[method]
    inner = min(abs(r), 1 - step)
    perfect = abs(r) > inner
    if perfect and method == "pearson":
        return r, r
    variance = {"spearman": (1 + inner**2 / 2) / (n - 3), "kendall": 0.437 / (n - 4), "pearson": 1 / (n - 3)}[method]
    margin = z * math.sqrt(variance)
    low, high = math.tanh(math.atanh(inner) - margin), 1.0 if perfect else math.tanh(math.atanh(inner) + margin)
    return (low, high) if r >= 0 else (-high, -low)
