"""Exact partial information decomposition of a table p(x1, x2, y).

Over all q with ``q(x1,y) = p(x1,y)`` and ``q(x2,y) = p(x2,y)``, let ``I_Q`` be the least ``I_q(X1,X2;Y)``. Then
``R = I(X1;Y) + I(X2;Y) − I_Q``, ``U1 = I_Q − I(X2;Y)``, ``U2 = I_Q − I(X1;Y)`` and ``S = I(X1,X2;Y) − I_Q``
(Bertschinger et al. 2014, arXiv 1311.2852). R, U1 and U2 depend on p(x1,y) and p(x2,y) alone.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from vlalign.decomposition.options import Units
from vlalign.decomposition.program import Floats, entropy, least_information
from vlalign.errors import VlalignError

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

_SUM_TOLERANCE = 1e-6  # of a table's sum from 1
# both change an information by less than 1e-7 nats
_DIGITS = 9  # posteriors that agree in these decimals are one state
_NEGLIGIBLE = 1e-10  # a share of the probability of state and class that counts as 0


@dataclass(frozen=True, repr=False)
class Decomposition:
    """Information about a label Y in two variables X1 and X2, decomposed; ``R + U1 + U2 + S = I12``.

    Attributes:
        R: redundancy, information that X1 and X2 both have; depends on p(x1,y) and p(x2,y) alone.
        U1: information that X1 alone has.
        U2: information that X2 alone has.
        S: synergy, information that only both together have.
        I1, I2, I12: I(X1;Y), I(X2;Y) and I(X1,X2;Y).
        gap: largest error of R, U1, U2 and S: difference of the bounds of the convex program.
        units: "nats" or "bits", of all values.
    """

    R: float
    U1: float
    U2: float
    S: float
    I1: float
    I2: float
    I12: float
    gap: float
    units: Units

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name):.4f}" for name in ("R", "U1", "U2", "S", "I1", "I2", "I12"))
        return f"Decomposition({values}, gap={self.gap:.1e}, units={self.units!r})"

    def to_frame(self) -> pd.DataFrame:
        """Return a table of one row, with a column for each value."""
        import pandas as pd

        return pd.DataFrame([asdict(self)])


def broja(p: Any, *, units: Units = "nats", tolerance: float = 1e-5) -> Decomposition:
    """Decompose I(X1,X2;Y) of a table of probabilities.

    Args:
        p: p(x1, x2, y) [X1, X2, Y], an array, tensor or nested list of numbers that sum to 1.
        units: "nats" or "bits".
        tolerance: largest gap, in nats: the computation stops there.

    Raises:
        VlalignError: not such a table, or more distinct states than fit into memory.

    >>> xor = [[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]]
    >>> round(broja(xor, units="bits").S, 4)
    1.0
    """
    table = _checked(p)
    joint = mutual_information(table.reshape(-1, table.shape[2]))
    return decompose(table.sum(axis=1), table.sum(axis=0), joint, units=units, tolerance=tolerance)


def decompose(
    first: Floats, second: Floats, joint: float, *, units: Units = "nats", tolerance: float = 1e-5
) -> Decomposition:
    """Decompose an information from p(x1,y), p(x2,y) and I(X1,X2;Y), on which alone the decomposition depends.

    States of equal p(y|x) are merged first, which changes no value.

    Args:
        first: p(x1, y) [X1, Y], sums to 1.
        second: p(x2, y) [X2, Y], with the same p(y).
        joint: I(X1,X2;Y) in nats; below the least that the tables allow, it counts as that.
        units: "nats" or "bits", of the result.
        tolerance: largest gap, in nats.

    Raises:
        VlalignError: unknown units, a tolerance that is not positive, or too many distinct states.
    """
    if units not in get_args(Units):
        raise VlalignError(f"units: expected nats or bits, got {units!r}")
    if not tolerance > 0:
        raise VlalignError(f"tolerance: expected a positive number, got {tolerance!r}")
    single = mutual_information(first), mutual_information(second)
    present = first.sum(axis=0) > _NEGLIGIBLE
    solved = least_information(_merged(first[:, present]), _merged(second[:, present]), tolerance)
    width = solved.upper - solved.lower
    if width > tolerance:
        log.warning("the decomposition is exact to %.1e nats only, not to %.1e", width, tolerance)
    joint = max(joint, *single)
    least = max(min(solved.upper, joint, sum(single)), *single)  # of a feasible q; R, U1, U2 and S are never negative
    scale = 1.0 if units == "nats" else 1 / np.log(2)
    parts = sum(single) - least, least - single[1], least - single[0], joint - least
    values = (*parts, *single, joint, width)
    R, U1, U2, S, I1, I2, I12, gap = (float(scale * max(0.0, value)) for value in values)
    return Decomposition(R=R, U1=U1, U2=U2, S=S, I1=I1, I2=I2, I12=I12, gap=gap, units=units)


def mutual_information(table: Floats) -> float:
    """Return I(X;Y) in nats of p(x, y) [X, Y].

    >>> round(mutual_information(np.array([[0.5, 0], [0, 0.5]])), 4)
    0.6931
    """
    return max(0.0, entropy(table.sum(axis=0)[None]) - entropy(table))


def _merged(table: Floats) -> Floats:
    """Return p(x, y) with one row for each distinct p(y|x), without negligible entries; p(y) stays as it is."""
    mass, marginal = table.sum(axis=1, keepdims=True), table.sum(axis=0)
    with np.errstate(invalid="ignore"):
        negligible = (table <= _NEGLIGIBLE * mass) | (mass <= _NEGLIGIBLE)
    kept = np.where(negligible & (table <= _NEGLIGIBLE * marginal), 0, table)
    kept = kept[kept.sum(axis=1) > 0]
    posteriors = np.round(kept / kept.sum(axis=1, keepdims=True), _DIGITS)
    distinct, state = np.unique(posteriors, axis=0, return_inverse=True)
    result = np.zeros_like(distinct)
    np.add.at(result, state.ravel(), kept)
    return np.asarray(result * (marginal / result.sum(axis=0)))


def _checked(p: Any) -> Floats:
    from vlalign.arrays import as_tensor

    table = np.asarray(as_tensor(p, "p").double().numpy())
    if table.ndim != 3:
        raise VlalignError(f"p: expected probabilities [X1, X2, Y], got shape {list(table.shape)}")
    if not np.isfinite(table).all():
        raise VlalignError("p: expected finite probabilities, got NaN or infinity")
    if (table < 0).any():
        raise VlalignError(f"p: expected probabilities of at least 0, got {table.min():g}")
    if abs(table.sum() - 1) > _SUM_TOLERANCE:
        raise VlalignError(f"p: expected probabilities that sum to 1, got {table.sum():g}: divide by the sum")
    return table / table.sum()
