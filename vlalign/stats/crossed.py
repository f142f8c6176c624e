"""Interval of a mean over two crossed factors: trained models (seeds) and test samples, each scored by every model.

A difference d_si of seed s and sample i is modelled as μ + a_s + b_i + e_si, all random: other seeds and other samples
would have given another mean. With S seeds, n samples and the usual mean squares,

    Var(mean) = σ_a²/S + σ_b²/n + σ_e²/(Sn) ≤ (E[MS_seed] + E[MS_sample]) / (Sn),

where MS_seed = n·var of the seeds' means and MS_sample = S·var of the samples' means. The right side counts σ_e²
twice: it is the interval of readers × cases of Obuchowski & Rockette (1995, Commun. Stat. Simul. Comput. 24:285)
without the subtracted term, which may be negative, so it is not too short. Degrees of freedom are Satterthwaite's.
"""

from __future__ import annotations

from dataclasses import dataclass

from vlalign.metrics.base import Floats

POWER = 0.8


@dataclass(frozen=True)
class CrossedMean:
    """A mean over seeds and samples.

    Attributes:
        mean: of all values.
        se: its standard error.
        df: degrees of freedom of the standard error.
        low, high: interval.
        detectable: size of a mean that an interval excludes 0 for with a probability of 80 %.
    """

    mean: float
    se: float
    df: float
    low: float
    high: float
    detectable: float


def crossed_mean(values: Floats, comparisons: int = 1, alpha: float = 0.05) -> CrossedMean:
    """Return the mean of values [S, n] with an interval for new seeds and new samples.

    Args:
        values: of S >= 2 seeds and n >= 2 samples, such as differences in correctness.
        comparisons: intervals that are looked at together; all hold at once with probability 1 − alpha (Bonferroni).
        alpha: error rate.

    Values that are all equal show no variation, but do not prove the absence of it: the standard error is then that of
    one sample that differs by 1 at one seed.

    >>> import numpy as np
    >>> result = crossed_mean(np.array([[0.0, 1, 0, 0], [0, 1, 1, 0]]))
    >>> round(result.mean, 3), round(result.se, 3), round(result.df, 1)
    (0.375, 0.27, 4.0)
    """
    from scipy.stats import t

    seeds, n = values.shape
    mean = float(values.mean())
    least = (1 / (seeds * n)) ** 2
    of_seeds = max(float(values.mean(axis=1).var(ddof=1)) / seeds, least)
    of_samples = max(float(values.mean(axis=0).var(ddof=1)) / n, least)
    variance = of_seeds + of_samples
    df = variance**2 / (of_seeds**2 / (seeds - 1) + of_samples**2 / (n - 1))
    se = variance**0.5
    reach = float(t.ppf(1 - alpha / (2 * comparisons), df))
    return CrossedMean(mean, se, df, mean - reach * se, mean + reach * se, (reach + float(t.ppf(POWER, df))) * se)
