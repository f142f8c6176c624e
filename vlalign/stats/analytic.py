"""The null of a largest count over layer pairs without permutations: a Gaussian copula with exact correlations.

Counts of shared neighbours have a known mean and covariance over all permutations
(:func:`vlalign.metrics.engine.covariance.shared_neighbour_moments`). Each is taken as negative-binomial (binomial where
its variance is not above its mean), which is skewed as counts are, and all together as a Gaussian copula with the exact
correlations. It is an approximation: p-values of shared neighbours between .05 and .01 were 1.0 to 1.4 times those of
6,000 to 20,000 permutations, for N from 64 to 1,024, k from 1 to 50 and 1 to 100 layer pairs
(``python benchmarks/analytic_null.py`` compares them).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlalign.metrics.base import Floats, Ints
from vlalign.stats.null import generator

#: p-values of a copula are not known to be right below this one
LEAST_P = 1e-4
DRAWS = 10_000  # of the maximum, for its mean and quantiles
_TAIL_DRAWS = 4_000  # given that a count of one pair is as large as the observed one, for the p-value
_BLOCK = 2**22  # numbers drawn at once
_FAR = 1e-12  # probability of a larger count than those of a table


@dataclass(frozen=True)
class CountNull:
    """Draws of the largest count over layer pairs, and the p-value of the observed one.

    Attributes:
        maxima: [K] draws of the largest count.
        p_value: probability of a largest count at least as large as the observed one.
        p_error: standard error of the p-value, of its Monte Carlo integration alone.
    """

    maxima: NDArray[np.float64]
    p_value: float
    p_error: float

    def threshold(self, alpha: float = 0.05) -> float:
        """Return τ, the smallest count that the largest one exceeds with probability of at most ``alpha``."""
        return float(np.sort(self.maxima)[math.ceil((1 - alpha) * len(self.maxima) - 1e-9) - 1])


def largest_count(
    mean: Floats, covariance: Floats, observed: float, *, draws: int = DRAWS, seed: int = 0, least: float = 0.0
) -> CountNull:
    """Compute the distribution of the largest of several counts, and the probability of at least ``observed``.

    The p-value is estimated from draws in which one of the counts is as large as the observed one, chosen by its
    probability, and divided by the number of counts that are (Adler, Blanchet and Liu 2012, "Efficient Monte Carlo for
    high excursions of Gaussian random fields"): its relative error does not grow as it gets smaller.

    Args:
        mean: exact mean of each count [P].
        covariance: exact covariance [P, P].
        observed: the largest count that was seen.
        draws: of the maximum.
        seed: of the random numbers.
        least: p-values that are certainly below it are not estimated: they are the sum of those of each count, which
            is an upper bound.
    """
    variance = np.diag(covariance)
    varied = variance > 1e-9 * np.maximum(mean, 1)
    fixed = np.where(varied, -np.inf, np.rint(mean)).max(initial=-np.inf)
    if not varied.any():
        return CountNull(np.full(draws, fixed), float(fixed >= observed), 0.0)
    mean, covariance, variance = mean[varied], covariance[np.ix_(varied, varied)], variance[varied]
    sd = np.sqrt(variance)
    values, vectors = np.linalg.eigh(covariance / np.outer(sd, sd))
    root = vectors * np.sqrt(np.maximum(values, 0))  # root @ root.T is the correlation
    borders, tails = _borders(mean, variance, observed)
    random = generator("analytic null", seed, len(mean))
    step = max(1, _BLOCK // len(mean))
    maxima = []
    for start in range(0, draws, step):
        normal = random.standard_normal((min(step, draws - start), len(root))) @ root.T
        maxima.append(_largest(borders, normal))
    largest = np.maximum(np.concatenate(maxima), fixed)
    if fixed >= observed:
        return CountNull(largest, 1.0, 0.0)
    if (bound := float(tails.sum())) <= least:
        return CountNull(largest, bound, 0.0)
    return CountNull(largest, *_tail(root, tails, random))


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


def _borders(mean: Floats, variance: Floats, observed: float) -> tuple[list[tuple[int, Floats]], Floats]:
    """Return the probability of at least ``observed`` of each pair, after a low count and normal values between it, the
    next one, and so on."""
    from scipy.special import ndtri

    borders, tails = [], []
    least = math.ceil(observed - 1e-9)
    for one, spread in zip(mean, variance, strict=True):
        low = max(0, math.floor(one - 8 * math.sqrt(spread)))
        top = math.ceil(one + 8 * math.sqrt(spread)) + 8
        while _upper_tail(one, spread, np.array([top]))[0] > _FAR:
            top += math.ceil(4 * math.sqrt(spread))
        borders.append((low, -ndtri(_upper_tail(one, spread, np.arange(low + 1, top + 1)))))
        tails.append(float(_upper_tail(one, spread, np.array([least]))[0]))
    return borders, np.array(tails)


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
    """Return the probability that one of the counts is as large as the observed one, and its standard error."""
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
