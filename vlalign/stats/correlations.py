"""Correlation of two lists of numbers, such as alignment and performance over models, with an interval."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlalign.display.format import DASH, coefficient, interval, signed
from vlalign.errors import VlalignError
from vlalign.metrics.base import choice

METHODS = ("spearman", "pearson", "kendall")
_LEAST = 5  # the standard error of Kendall's tau needs n > 4
_EXACT = 8  # values up to which all orders (8!) are tried


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
    p_from: str  # "all permutations", "9999 permutations", "all permutations of 5 blocks" or "scipy"


def correlation(
    x: Sequence[float] | NDArray[np.float64],
    y: Sequence[float] | NDArray[np.float64],
    method: str = "spearman",
    level: float = 0.95,
    *,
    permutations: int = 0,
    blocks: Sequence[Any] | None = None,
    seed: int = 0,
) -> Correlation:
    """Correlate paired numbers.

    Interval: ``tanh(atanh(r) ± z · se)`` with the standard errors of Bonett and Wright (2000, "Sample size requirements
    for estimating Pearson, Kendall and Spearman correlations"): Spearman √((1 + r²/2)/(n − 3)), Kendall
    √(0.437/(n − 4)), Pearson 1/√(n − 3). Pearson's asks for normal values. At |r| = 1 it ends there; its other end is
    r for Pearson, and for the rank correlations that of the next smaller |r| (two neighbours swapped), since perfect
    agreement of a few ranks leaves room.

    p-value: for Pearson and Spearman with n <= 8 the share of all n! orders of y with |r| at least as large; else, and
    for Kendall always, scipy's (t distribution; Kendall exact without ties up to n = 33, else normal), for Spearman at
    least 2 / n!: no order of n ranks is rarer, but the t distribution has no smallest p-value.

    With ``permutations`` = K and n > 8: (1 + number of K random orders of y with |r| at least as large) / (K + 1)
    (Phipson & Smyth 2010). ``blocks`` are for values that are alike within a block, such as encoders of one depth:
    whole blocks of y change places (up to 8 in all orders) and keep their values together in their order; and the
    interval counts blocks, not values, which is wide where values differ within a block.

    Args:
        x, y: finite numbers [n], n >= 5, neither side constant.
        method: spearman, pearson or kendall (tau-b).
        level: nominal coverage of the interval.
        permutations: of the p-value of Pearson and Spearman; 0 for those above.
        blocks: the block of each value [n]; at least 5 blocks of one size.
        seed: of the orders.

    Raises:
        VlalignError: for anything else.

    >>> result = correlation([1, 2, 3, 4, 5, 6], [1, 2, 4, 3, 5, 6])
    >>> round(result.r, 3), round(result.p_value, 4)
    (0.943, 0.0167)
    """
    from scipy import stats

    choice(method, "method", "correlation", METHODS)
    if not 0 < level < 1:
        raise VlalignError(f"the level of an interval must lie between 0 and 1, got {level}")
    a, b = checked_numbers(x, "x"), checked_numbers(y, "y")
    n = len(a)
    if n != len(b):
        raise VlalignError(f"a correlation needs paired values, got {n} of x and {len(b)} of y")
    if n < _LEAST:
        raise VlalignError(f"a correlation needs at least {_LEAST} pairs of values, got {n}")
    for side, name in ((a, "x"), (b, "y")):
        if side.min() == side.max():
            raise VlalignError(f"{name} is constant (all {n} values are {side[0]:g}): it has no correlation")
    if method == "kendall":
        result = stats.kendalltau(a, b)
    else:
        if method == "spearman":
            a, b = stats.rankdata(a), stats.rankdata(b)
        result = stats.pearsonr(_unit(a), _unit(b))
    r = min(1.0, max(-1.0, float(result.statistic)))
    exact = n <= _EXACT and method != "kendall" and blocks is None
    p_value, p_from = float(result.pvalue), "scipy"
    if exact:
        p_value, p_from = _share(a, b, r, _orders(np.arange(n)[:, None])), "all permutations"
    elif permutations or blocks is not None:
        if method == "kendall":
            raise VlalignError("permutations are for Pearson and Spearman: choose one of these, or permutations=0")
        p_value, p_from = _permuted(a, b, r, permutations, blocks, seed)
    least = 2 / math.factorial(n) if method == "spearman" and n < 100 else 0.0
    draws = n if blocks is None else len(set(blocks))
    low, high = _interval(r, draws, method, float(stats.norm.ppf((1 + level) / 2)))
    p_value = max(least, p_value) if p_from == "scipy" else p_value
    return Correlation(r, p_value, low, high, n, method, level, p_from)


def checked_numbers(values: Any, name: str, finite: bool = True) -> NDArray[np.float64]:
    """Return one list of numbers as an array [n], by default of finite ones.

    Raises:
        VlalignError: for anything else; ``name`` begins the message.
    """
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise VlalignError(f"{name} must be a list of numbers: {error}") from error
    if numbers.ndim != 1:
        raise VlalignError(f"{name} must be one list of numbers, got shape {list(numbers.shape)}")
    if finite and not np.isfinite(numbers).all():
        where = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise VlalignError(f"{name} holds {numbers[where]} at position {where}: leave that pair out")
    return numbers


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre values and scale them to length 1, without overflow."""
    centred = values / np.abs(values).max()
    centred = centred - centred.mean()
    return np.asarray(centred / np.linalg.norm(centred), dtype=np.float64)


def _permuted(
    a: NDArray[np.float64], b: NDArray[np.float64], r: float, count: int, blocks: Sequence[Any] | None, seed: int
) -> tuple[float, str]:
    """Compute the p-value of random orders of b, or of its blocks, and name its source."""
    rows = [[i] for i in range(len(b))]
    if blocks is not None:
        if len(blocks) != len(b):
            raise VlalignError(f"a block is needed for each of {len(b)} values, got {len(blocks)}")
        if len(set(blocks)) < _LEAST:
            raise VlalignError(f"a correlation of blocks needs at least {_LEAST} of them, got {len(set(blocks))}")
        rows = [[i for i, name in enumerate(blocks) if name == block] for block in dict.fromkeys(blocks)]
        if len({len(one) for one in rows}) > 1:
            sizes = ", ".join(str(len(one)) for one in rows)
            raise VlalignError(f"blocks that change places must be of one size, got {sizes}")
    places = np.array(rows)
    kind = "" if blocks is None else f" of {len(places)} blocks"
    a = a[places.ravel()]
    if blocks is not None and len(places) <= _EXACT:
        return _share(a, b, r, _orders(places)), f"all permutations{kind}"
    if count < 1:
        raise VlalignError(f"permutations is {count}: at least 1 is needed for {len(places)} blocks")
    random, reached = np.random.default_rng(seed), 0
    for start in range(0, count, 1000):
        keys = random.random((min(1000, count - start), len(places)))
        orders = places[keys.argsort(axis=1)].reshape(len(keys), -1)
        reached += round(len(orders) * _share(a, b, r, orders))
    return (1 + reached) / (1 + count), f"{count} permutations{kind}"


def _orders(places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return all orders [P, n] of blocks [B, size]."""
    return places[_permutations(len(places))].reshape(-1, places.size)


@functools.lru_cache(maxsize=_EXACT)
def _permutations(n: int) -> NDArray[np.int64]:
    """Return all orders [n!, n] of n numbers; listing those of 8 takes longer than a correlation."""
    return np.array(list(itertools.permutations(range(n))))


def _share(a: NDArray[np.float64], b: NDArray[np.float64], r: float, orders: NDArray[np.int64]) -> float:
    """Compute the share of orders [P, n] of b whose |r| with a is at least as large."""
    return float(np.mean(np.abs(_unit(b)[orders] @ _unit(a)) >= abs(r) - 1e-12))


def _interval(r: float, n: int, method: str, z: float) -> tuple[float, float]:
    # the fall of |r| below 1 when two neighbours are swapped; for Pearson, rounding
    step = {"spearman": 12 / (n * (n * n - 1)), "kendall": 4 / (n * (n - 1)), "pearson": 1e-15}[method]
    inner = min(abs(r), 1 - step)
    perfect = abs(r) > inner
    if perfect and method == "pearson":
        return r, r
    variance = {"spearman": (1 + inner**2 / 2) / (n - 3), "kendall": 0.437 / (n - 4), "pearson": 1 / (n - 3)}[method]
    margin = z * math.sqrt(variance)
    low, high = math.tanh(math.atanh(inner) - margin), 1.0 if perfect else math.tanh(math.atanh(inner) + margin)
    return (low, high) if r >= 0 else (-high, -low)


def rho_text(rho: Correlation | None, reason: str = "") -> str:
    """Return Spearman's ρ with its interval as an equation, or why it is missing."""
    if rho is None:
        return f"no ρ ({reason})" if reason else "no ρ"
    return f"ρ = {coefficient(rho.r)} ({coefficient(rho.low)} to {coefficient(rho.high)})"


def rho_short(rho: Correlation | None) -> str:
    """Return ρ with its interval, or a dash."""
    return DASH if rho is None else f"{signed(rho.r)} ({interval(rho.low, rho.high, 2, ' to ')})"
