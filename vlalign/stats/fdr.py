"""Control of the false discovery rate over many p-values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vlalign.errors import VlalignError
from vlalign.stats.correlations import checked_numbers


def benjamini_hochberg(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p-values to q-values [M], in the order given: reject those <= q to keep the false discovery rate at q.

    ``q_(i) = min over j >= i of p_(j) · M / j`` (Benjamini and Hochberg 1995), valid for independent or positively
    dependent p-values. Equal p-values have equal q-values; no p-values give no q-values.

    Raises:
        VlalignError: for p-values outside [0, 1] or NaN, or not one list of them.

    >>> benjamini_hochberg([0.01, 0.5, 0.02]).round(3).tolist()
    [0.03, 0.5, 0.03]
    """
    p = checked_numbers(p_values, "p-values", finite=False)
    wrong = np.flatnonzero(~((p >= 0) & (p <= 1)))
    if len(wrong):
        raise VlalignError(f"p-values must lie in [0, 1], number {wrong[0] + 1} of {len(p)} is {p[wrong[0]]}")
    order = np.argsort(p)[::-1]  # largest first
    q = np.empty_like(p)
    q[order] = np.minimum.accumulate(np.append(1.0, p[order] * (len(p) / np.arange(len(p), 0, -1))))[1:]
    return q
