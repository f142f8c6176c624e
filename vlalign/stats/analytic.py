"""The null of the largest score over layer pairs without permutations: a Gaussian copula with exact correlations.

Mean and covariance of the scores of layer pairs over all permutations are known
(:meth:`vlalign.metrics.base.Metric.null_moments`). Counts of shared neighbours are taken as negative-binomial (binomial
where their variance is not above their mean), inner products of kernels or dissimilarities as Pearson type III of the
exact skewness (Mielke and Berry 2007, "Permutation Methods"), and all layer pairs together as a Gaussian copula with
the exact correlations. It is an approximation: ``python benchmarks/analytic_null.py`` compares its p-values with those
of permutations, and docs/method.md has the results.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Ints, NullMoments
from vlalign.metrics.engine.threads import one_thread
from vlalign.stats.null import generator

#: p-values of a copula are not known to be right below this one
LEAST_P = 1e-4
DRAWS = 10_000  # of the maximum, for its mean and quantiles
_TAIL_DRAWS = 4_000  # given that the value of one pair is as large as the observed one, for the p-value
_BLOCK = 2**22  # numbers drawn at once
_FAR = 1e-12  # probability of a larger count than those of a table
_LEAST_SKEW = 1e-4  # of a value; Pearson type III with less is normal up to rounding
#: normal values between whose quantiles those of a continuous distribution are interpolated
_NORMAL = np.linspace(-9, 9, 241)


@dataclass(frozen=True)
class LargestNull:
    """Draws of the largest value over layer pairs, and the p-value of the observed one.

    Attributes:
        means: [P], exact, of each value.
        maxima: [K] draws of the largest value.
        p_value: probability of a largest value at least as large as the observed one.
        p_error: standard error of the p-value, of its Monte Carlo integration alone.
    """

    means: Floats
    maxima: NDArray[np.float64]
    p_value: float
    p_error: float

    def threshold(self, alpha: float = 0.05) -> float:
        """Return τ, the smallest draw that the largest value exceeds with probability of at most ``alpha``."""
        return float(np.sort(self.maxima)[math.ceil((1 - alpha) * len(self.maxima) - 1e-9) - 1])


def largest_value(
    moments: NullMoments, observed: float, *, draws: int = DRAWS, seed: int = 0, least_p: float = 0.0
) -> LargestNull:
    """Compute the distribution of the largest of several values, and the probability of at least ``observed``.

    The p-value is estimated from draws in which one of the values is as large as the observed one, chosen by its
    probability, and divided by the number of values that are (Adler, Blanchet and Liu 2012, "Efficient Monte Carlo for
    high excursions of Gaussian random fields"): its relative error does not grow as it gets smaller.

    Args:
        moments: of the values.
        observed: the largest value that was seen.
        draws: of the maximum.
        seed: of the random numbers.
        least_p: p-values that are certainly below it are not estimated: they are the sum of those of each value, which
            is an upper bound.
    """
    return prepare_largest(moments, observed, draws=draws, seed=seed, least_p=least_p)()


def prepare_largest(
    moments: NullMoments, observed: float, *, draws: int = DRAWS, seed: int = 0, least_p: float = 0.0
) -> Callable[[], LargestNull]:
    """Return what computes :func:`largest_value`: NumPy alone, which another thread may do beside torch."""
    mean, covariance, is_count = moments.mean, moments.covariance, moments.skewness is None
    variance = np.diag(covariance)
    varied = variance > (1e-9 * np.maximum(mean, 1) if is_count else 1e-24)
    sd = np.sqrt(variance[varied])
    root = _square_root(covariance[np.ix_(varied, varied)] / np.outer(sd, sd)) if varied.any() else np.empty((0, 0))
    return partial(_largest_value, moments, observed, varied, root, draws, seed, least_p)


def _largest_value(
    moments: NullMoments, observed: float, varied: NDArray[np.bool_], root: Floats, draws: int, seed: int,
    least_p: float,
) -> LargestNull:  # fmt: skip
    """Compute :func:`largest_value` with the square root of the correlations of the values that vary."""
    mean, is_count = moments.mean, moments.skewness is None
    least = float(round((observed - moments.zero) / moments.unit)) if is_count else observed
    fixed = np.where(varied, -np.inf, np.rint(mean) if is_count else mean).max(initial=-np.inf)
    means = moments.values(mean)
    if not varied.any():
        return LargestNull(means, moments.values(np.full(draws, fixed)), float(fixed >= least), 0.0)
    sd = np.sqrt(np.diag(moments.covariance)[varied])
    largest_of: Callable[[Floats], Floats]
    if moments.skewness is None:
        borders, tails = _borders(mean[varied], sd**2, least)
        largest_of = partial(_largest, borders)
    else:
        table, tails = _quantiles(mean[varied], sd, moments.skewness[varied], least)
        largest_of = partial(_interpolated, table)
    random = generator("analytic null", seed, len(sd))
    step = max(1, _BLOCK // len(sd))
    maxima = []
    for start in range(0, draws, step):
        normal = random.standard_normal((min(step, draws - start), len(root))) @ root.T
        maxima.append(largest_of(normal))
    largest = moments.values(np.maximum(np.concatenate(maxima), fixed))
    if fixed >= least:
        return LargestNull(means, largest, 1.0, 0.0)
    if (bound := float(tails.sum())) <= least_p:
        return LargestNull(means, largest, bound, 0.0)
    return LargestNull(means, largest, *_tail(root, tails, random))


def _square_root(correlation: Floats) -> Floats:
    """Return the symmetric square root [P, P], on one thread: several take up to 80 times as long on a busy machine."""
    with one_thread():
        values, vectors = torch.linalg.eigh(torch.from_numpy(correlation))
        root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return np.asarray(root.numpy(), dtype=np.float64)


def _largest(borders: list[tuple[int, Floats]], normal: Floats) -> Floats:
    """Return the largest count [K] of each row of normal values [K, P].

    That of the largest normal value is a lower bound, which few counts exceed.
    """
    low = min(first for first, _ in borders)
    next_above = np.full((max(first + len(border) for first, border in borders) - low + 1, len(borders)), np.inf)
    for pair, (first, border) in enumerate(borders):
        next_above[: first - low, pair] = -np.inf
        next_above[first - low : first - low + len(border), pair] = border
    largest = _counts(borders, normal, np.arange(len(normal)), normal.argmax(axis=1))
    rows, pairs = np.nonzero(normal > next_above[largest.astype(np.int64) - low])
    np.maximum.at(largest, rows, _counts(borders, normal, rows, pairs))
    return largest


def _counts(borders: list[tuple[int, Floats]], normal: Floats, rows: Ints, pairs: Ints) -> Floats:
    """Return the counts of some entries of normal values [K, P]."""
    counts = np.empty(len(rows))
    by_pair = np.argsort(pairs, kind="stable")
    shown, firsts = np.unique(pairs[by_pair], return_index=True)
    for pair, chosen in zip(shown, np.split(by_pair, firsts[1:]), strict=False):  # without entries, one empty part
        low, border = borders[pair]
        counts[chosen] = low + np.searchsorted(border, normal[rows[chosen], pair])
    return counts


def _borders(mean: Floats, variance: Floats, least: float) -> tuple[list[tuple[int, Floats]], Floats]:
    """Return the probability of at least ``least`` of each count, after a low count and normal values between it, the
    next one, and so on."""
    from scipy.special import ndtri

    borders, tails = [], []
    for one, spread in zip(mean, variance, strict=True):
        low = max(0, math.floor(one - 8 * math.sqrt(spread)))
        top = math.ceil(one + 8 * math.sqrt(spread)) + 8
        while _upper_tail(one, spread, np.array([top]))[0] > _FAR:
            top += math.ceil(4 * math.sqrt(spread))
        borders.append((low, -ndtri(_upper_tail(one, spread, np.arange(low + 1, top + 1)))))
        tails.append(float(_upper_tail(one, spread, np.array([math.ceil(least - 1e-9)]))[0]))
    return borders, np.array(tails)


def _interpolated(table: Floats, normal: Floats) -> Floats:
    """Return the largest value [K] of each row of normal values [K, P], from a table of :func:`_quantiles`."""
    return np.max([np.interp(column, _NORMAL, one) for column, one in zip(normal.T, table, strict=True)], axis=0)


def _quantiles(mean: Floats, sd: Floats, skewness: Floats, least: float) -> tuple[Floats, Floats]:
    """Return quantiles [P, T] of Pearson type III distributions at ``_NORMAL``, and the probabilities of ``least``."""
    from scipy.special import gammainc, gammaincc, gammainccinv, gammaincinv, ndtr

    side = np.where(skewness < 0, -1.0, 1.0)  # the distribution of a gamma variable, or of its negative
    shape = 4 / np.maximum(np.abs(skewness), _LEAST_SKEW) ** 2
    below, above = (ndtr(sign * np.outer(side, _NORMAL)) for sign in (1, -1))
    column = shape[:, None]
    gamma = np.where(below < 0.5, gammaincinv(column, below), gammainccinv(column, above))
    table = mean[:, None] + (side * sd)[:, None] * (gamma - column) / np.sqrt(column)
    place = np.maximum(0.0, shape + side * np.sqrt(shape) * (least - mean) / sd)
    return table, np.where(side > 0, gammaincc(shape, place), gammainc(shape, place))


def _upper_tail(mean: float, variance: float, counts: NDArray[Any]) -> Floats:
    """Return the probability of at least each of ``counts``, by the law of this mean and variance.

    A binomial law has that variance as nearly as a whole number of trials allows.
    """
    from scipy.special import betainc

    least = np.maximum(counts, 1).astype(np.float64)
    if variance > mean * (1 + 1e-9):  # negative-binomial
        tails = betainc(least, mean**2 / (variance - mean), 1 - mean / variance)
    else:
        trials = max(math.ceil(mean), round(mean**2 / (mean - variance))) if variance < mean else 10**9
        inside = np.minimum(least, trials)
        tails = np.where(least <= trials, betainc(inside, trials - inside + 1, min(1.0, mean / trials)), 0.0)
    return np.where(counts > 0, tails, 1.0)


def _tail(root: Floats, tails: Floats, random: np.random.Generator) -> tuple[float, float]:
    """Return the probability that one of the values is as large as the observed one, and its standard error."""
    from scipy.special import ndtri

    whole = float(tails.sum())
    limits = -ndtri(tails)
    weights = []
    step = max(1, _BLOCK // len(tails))
    for start in range(0, _TAIL_DRAWS, step):
        count = min(step, _TAIL_DRAWS - start)
        chosen = random.choice(len(tails), count, p=tails / whole)
        above = -ndtri(tails[chosen] * (1 - random.random(count)))
        normal = random.standard_normal((count, len(root))) @ root.T
        move = above - normal[np.arange(count), chosen]
        normal += move[:, None] * (root[chosen] @ root.T)
        large = normal >= limits
        large[np.arange(count), chosen] = True
        weights.append(1 / large.sum(axis=1))
    share = np.concatenate(weights)
    return min(1.0, whole * float(share.mean())), whole * float(share.std(ddof=1)) / len(share) ** 0.5
