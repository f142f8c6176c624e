"""Correlation over models with an interval that counts families of models, such as sizes of one architecture.

Models of a family are alike: twelve models of three families are hardly more evidence than three models. The interval
is that of the jackknife over families: with z_f the Fisher transform atanh(ρ) without family f, its standard error is
√((F − 1)/F · Σ (z_f − z̄)²), and the interval z ± t(F − 1) · max(that, 1/√(n − 3)) (Efron and Tibshirani 1993, chapter
11, with clusters as units).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats

LEAST = 5  # models
_LEAST_FAMILIES = 3


@dataclass(frozen=True)
class FamilyCorrelation:
    """A mean of Spearman's ρ over references.

    Attributes:
        rho: of alignment and performance over models, averaged over references; NaN if either is constant.
        slope: of performance against alignment (least squares), averaged over references; NaN as rho.
        low, high: 95 % interval of rho, counting families; None with fewer than three, and where rho is NaN.
        n: number of models.
        families: their number.
    """

    rho: float
    slope: float
    low: float | None
    high: float | None
    n: int
    families: int


def family_correlation(
    alignment: Floats, performance: Sequence[float] | Floats, families: Sequence[str]
) -> FamilyCorrelation:
    """Correlate the alignment of models with their performance, for each reference, and average.

    Args:
        alignment: [R, n] of n models with each of R references.
        performance: [n] of the models.
        families: [n] of the models.

    Raises:
        VlalignError: fewer than five models.

    >>> result = family_correlation(np.array([[1.0, 2, 3, 4, 5, 6]]), [1, 2, 3, 4, 6, 5], list("aabbcc"))
    >>> round(result.rho, 3), result.families
    (0.943, 3)
    """
    from scipy.special import stdtrit

    y = np.asarray(performance, dtype=np.float64)
    if len(y) < LEAST:
        raise VlalignError(f"a correlation needs at least {LEAST} models, got {len(y)}")
    names = list(dict.fromkeys(families))
    if not np.ptp(y) or not np.ptp(alignment, axis=1).any():
        return FamilyCorrelation(math.nan, math.nan, None, None, len(y), len(names))
    rho, slope = _mean_rho(alignment, y)
    low = high = None
    if len(names) >= _LEAST_FAMILIES:
        of = np.array([names.index(name) for name in families])
        left_out = [_fisher(_mean_rho(alignment[:, of != f], y[of != f])[0], len(y)) for f in range(len(names))]
        z = np.array(left_out)
        jackknife = math.sqrt((len(names) - 1) / len(names) * float(((z - z.mean()) ** 2).sum()))
        margin = float(stdtrit(len(names) - 1, 0.975)) * max(jackknife, 1 / math.sqrt(len(y) - 3))
        centre = _fisher(rho, len(y))
        low, high = min(rho, math.tanh(centre - margin)), max(rho, math.tanh(centre + margin))
    return FamilyCorrelation(rho, slope, low, high, len(y), len(names))


def _mean_rho(alignment: Floats, y: Floats) -> tuple[float, float]:
    """Return the means over references of Spearman's ρ and of the slope; a constant side has ρ 0 among several."""
    from scipy.stats import rankdata

    rhos, slopes = [], []
    middle = (len(y) + 1) / 2
    ranked = rankdata(y) - middle
    for x, ranks in zip(alignment, rankdata(alignment, axis=1) - middle, strict=True):
        centred = x - x.mean()
        length = math.sqrt(float((ranks**2).sum() * (ranked**2).sum()))
        rhos.append(float(ranks @ ranked) / length if length else 0.0)
        slopes.append(float(centred @ y / (centred**2).sum()) if centred.any() else 0.0)
    return float(np.mean(rhos)), float(np.mean(slopes))


def _fisher(rho: float, n: int) -> float:
    """Return atanh(ρ), at most that of n ranks of which two neighbours are swapped."""
    most = 1 - 12 / (n * (n * n - 1))  # a swap of neighbours changes Σ d² by 2
    return math.atanh(max(-most, min(most, rho)))
