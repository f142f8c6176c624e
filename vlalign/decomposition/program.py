"""The convex program of BROJA: the least I(X1,X2;Y) of all distributions with given p(x1,y) and p(x2,y).

Its dual is the largest ``H(Y) + Σ p(x1,y) a(x1,y) + Σ p(x2,y) b(x2,y)`` with ``Σ_y exp(a(x1,y) + b(x2,y)) ≤ 1`` for
every pair of states. A primal-dual interior-point method (Mehrotra's predictor and corrector) on it takes some 10 to 40
Newton steps where alternating minimisation (arXiv 1709.07487) converges sublinearly. Each step yields a feasible point
of the dual, a lower bound, and the multipliers of the constraints a feasible q, an upper bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from vlalign.errors import VlalignError

Floats = NDArray[np.float64]

MOST_ENTRIES = 60_000_000  # of a matrix of pairs of states and of classes: 480 MB
_MOST_STEPS = 200
_LONGEST = 5.0  # change of a logarithm in one step


def entropy(table: Floats) -> float:
    """Return ``H(Y | X)`` in nats of a table [..., Y] that sums to 1."""
    given = table.sum(axis=-1, keepdims=True)
    ratio = np.divide(table, given, out=np.ones_like(table), where=table > 0)
    return float(-(table * np.log(ratio)).sum())


@dataclass(frozen=True)
class Least:
    """The least I(X1,X2;Y), in nats.

    Attributes:
        lower, upper: bounds; the upper one is of a q with the given p(x1,y) and p(x2,y).
        a, b: feasible point of the dual, [n1, K] and [n2, K], whose value is the lower bound; −inf where p(x1,y) or
            p(x2,y) is 0.
    """

    lower: float
    upper: float
    a: Floats
    b: Floats


def least_information(first: Floats, second: Floats, tolerance: float) -> Least:
    """Solve the program to a tolerance.

    Args:
        first: p(x1,y) [n1, K]; every row and every column has a positive sum.
        second: p(x2,y) [n2, K], with the same p(y).
        tolerance: largest difference of the bounds; larger after 200 steps, which the caller should report.

    Raises:
        VlalignError: too many states for the memory.
    """
    entries = len(first) * len(second) * first.shape[1] ** 2
    if entries > MOST_ENTRIES:
        raise VlalignError(
            f"the decomposition of {len(first)} × {len(second)} distinct states and {first.shape[1]} classes is too "
            "large: merge similar states or classes"
        )
    if len(second) > len(first):  # the larger side is eliminated in blocks
        swapped = least_information(second, first, tolerance)
        return Least(swapped.lower, swapped.upper, swapped.b, swapped.a)
    marginal = entropy(first.sum(axis=0)[None])
    upper = np.inf
    point = _start(first, second)
    damping, best, a, b = 1e-8, -np.inf, point.a, point.b
    for _ in range(_MOST_STEPS):
        value, lowered = _dual(point, first, second)
        if value > best:
            best, a, b = value, lowered, point.b
        upper = min(upper, marginal - entropy(_feasible(point.masses, first, second)))
        if upper - marginal - best <= tolerance:
            break
        point, length = _step(point, first, second, damping)
        damping = min(damping * 10, 1.0) if length < 0.3 else max(damping / 10, 1e-10)
    lower = marginal + best
    return Least(lower, max(lower, upper), a, b)


@dataclass(frozen=True)
class _Point:
    """Iterate: logarithms of the dual's factors, and per pair of states a multiplier and a slack, both positive.

    ``possible`` marks the pairs [n1, n2] of states that have a class in common; the others have no constraint.
    """

    a: Floats
    b: Floats
    multiplier: Floats
    slack: Floats
    possible: NDArray[np.bool_]
    given: Floats = field(init=False)  # q(y | x1, x2) [n1, n2, K]
    excess: Floats = field(init=False)  # left side of the constraints, at most 0 where they hold [n1, n2]

    def __post_init__(self) -> None:
        weights = np.exp(self.a)[:, None] * np.exp(self.b)[None]
        total = np.where(self.possible, weights.sum(axis=2), 1.0)
        object.__setattr__(self, "given", weights / total[..., None])
        object.__setattr__(self, "excess", np.log(total))

    @property
    def masses(self) -> Floats:
        return np.asarray(self.multiplier[..., None] * self.given)

    @property
    def complementarity(self) -> float:
        return float((self.multiplier * self.slack).sum() / self.possible.sum())


def _start(first: Floats, second: Floats) -> _Point:
    with np.errstate(divide="ignore"):
        a = np.log(first / first.sum(axis=1, keepdims=True)) / 2
        b = np.log(second / second.sum(axis=1, keepdims=True)) / 2 - 1
    possible = (first > 0).astype(float) @ (second > 0).T.astype(float) > 0
    multiplier = np.where(possible, np.outer(first.sum(axis=1), second.sum(axis=1)), 0.0)
    excess = _Point(a, b, multiplier, multiplier, possible).excess
    return _Point(a, b, multiplier, np.maximum(-excess, 0.1), possible)


def _dual(point: _Point, first: Floats, second: Floats) -> tuple[float, Floats]:
    """Return the dual's value and a after making the point feasible: rows of a are lowered by their largest excess."""
    a = point.a - np.where(point.possible, point.excess, -np.inf).max(axis=1)[:, None]
    value = (first * np.where(first > 0, a, 0)).sum() + (second * np.where(second > 0, point.b, 0)).sum()
    return float(value), a


def _feasible(masses: Floats, first: Floats, second: Floats) -> Floats:
    """Return a table near ``masses`` with the given p(x1,y) and p(x2,y): what exceeds is cut, what lacks is added."""
    for axis, wanted in ((1, first), (0, second)):
        has = masses.sum(axis=axis)
        scale = np.minimum(1.0, np.divide(wanted, has, out=np.ones_like(has), where=has > 0))
        masses = masses * np.expand_dims(scale, axis)
    lacks = np.maximum(first - masses.sum(axis=1), 0), np.maximum(second - masses.sum(axis=0), 0)
    return np.asarray(masses + lacks[0][:, None] * lacks[1][None] / np.maximum(lacks[0].sum(axis=0), 1e-300))


def _step(point: _Point, first: Floats, second: Floats, damping: float) -> tuple[_Point, float]:
    """Return the next point and the length of the step to it, at most 1."""
    direction = _newton(point, first, second, damping)
    now = point.complementarity
    _, _, multiplier, slack = direction(np.zeros_like(point.slack))
    ahead = _Point(
        point.a, point.b, point.multiplier + _room(point.multiplier, multiplier) * multiplier,
        point.slack + _room(point.slack, slack) * slack, point.possible,
    ).complementarity  # fmt: skip
    target = now * min(1.0, max(0.0, ahead / now) ** 3) - np.clip(multiplier * slack, -now, now)
    a, b, multiplier, slack = direction(np.where(point.possible, target, 0))
    longest = max(np.abs(a).max(), np.abs(b).max(), 1e-300)
    length = min(1.0, 0.99 * _room(point.slack, slack), 0.99 * _room(point.multiplier, multiplier), _LONGEST / longest)
    return _Point(
        point.a + length * a, point.b + length * b, point.multiplier + length * multiplier,
        point.slack + length * slack, point.possible,
    ), length  # fmt: skip


def _room(value: Floats, change: Floats) -> float:
    """Return the largest step of at most 1 that keeps the values positive."""
    falls = (change < 0) & (value > 0)
    return float(min(1.0, np.min(-value[falls] / change[falls], initial=np.inf)))


def _newton(
    point: _Point, first: Floats, second: Floats, damping: float
) -> Callable[[Floats], tuple[Floats, Floats, Floats, Floats]]:
    """Return the function that solves the linearised conditions for a target of multiplier × slack.

    The side of ``first`` is eliminated (its block of the matrix is block diagonal), and the Schur complement factored.
    A constant per class may move between a and b, so one entry of b per class is fixed. ``damping`` adds a multiple of
    the diagonal, which bounds steps along flat directions (Levenberg–Marquardt).
    """
    (n1, classes), n2 = first.shape, len(second)
    given, masses = point.given, point.masses
    weighted = (point.multiplier * (1 / point.slack - 1))[..., None] * given
    diagonal = np.arange(classes)
    blocks1 = np.einsum("ijy,ijz->iyz", weighted, given)
    blocks2 = np.einsum("ijy,ijz->jyz", weighted, given)
    blocks1[:, diagonal, diagonal] += masses.sum(axis=1) * (1 + damping) + (first == 0)
    blocks2[:, diagonal, diagonal] += masses.sum(axis=0) * (1 + damping) + (second == 0)
    cross = weighted.transpose(0, 2, 1)[..., None] * given[:, None]  # [n1, K, n2, K]
    cross[:, diagonal, :, diagonal] += masses.transpose(2, 0, 1)
    cross = cross.reshape(n1, classes, n2 * classes)
    eliminated = np.linalg.solve(blocks1, cross)
    schur = -(cross.reshape(n1 * classes, -1).T @ eliminated.reshape(n1 * classes, -1))
    schur.reshape(n2, classes, n2, classes)[np.arange(n2), :, np.arange(n2), :] += blocks2
    free = second > 0
    free[second.argmax(axis=0), diagonal] = False
    free = free.ravel()
    scale = 1 / np.sqrt(blocks2[:, diagonal, diagonal].ravel()[free])
    factor = _factor(schur[np.ix_(free, free)] * scale[:, None] * scale)

    def direction(target: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        constant = (target + point.multiplier * (point.excess + point.slack)) / point.slack  # multiplier for no change
        reached = constant[..., None] * given
        rest1 = np.where(first > 0, first - reached.sum(axis=1), 0)
        rest2 = np.where(second > 0, second - reached.sum(axis=0), 0)
        a = np.linalg.solve(blocks1, rest1[..., None])[..., 0]
        right = rest2.ravel() - np.tensordot(a, cross, axes=2)
        b = np.zeros(n2 * classes)
        b[free] = scale * cho_solve(factor, scale * right[free], check_finite=False)
        a, b = a - eliminated @ b, b.reshape(n2, classes)
        change = np.einsum("ijy,iy->ij", given, a) + np.einsum("ijy,jy->ij", given, b)
        multiplier = constant - point.multiplier + point.multiplier / point.slack * change
        return a, b, multiplier, -point.excess - point.slack - change

    return direction


def _factor(matrix: Floats) -> tuple[Floats, bool]:
    """Return the Cholesky factor of a positive matrix with a diagonal near 1, or of one near it."""
    for jitter in (0.0, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2):
        try:
            return cho_factor(matrix + jitter * np.eye(len(matrix)), check_finite=False)
        except np.linalg.LinAlgError:
            continue
    raise ArithmeticError("the matrix of a Newton step is not positive")
