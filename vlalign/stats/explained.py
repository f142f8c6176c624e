"""How much of a score is explained by a category of the samples, or by a number such as the length of a caption.

Pair each sample of x with *another* sample of y of the same category: what is left of the score above chance is what
the category explains,

``share = (s_within − c) / (s − c)``,

with ``s`` the score, ``c`` its mean over random pairings, and ``s_within`` its mean over random pairings with another
sample of the same category (one random cycle through each category). A sample paired with itself is left out because
in small categories a plain permutation leaves many pairs as they are, which no category explains. Numbers are cut into
strata of similar values first (:func:`strata`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats, Ints, Metric
from vlalign.stats.checks import near_counts
from vlalign.stats.null import generator
from vlalign.stats.subsets import Subsets, widths

if TYPE_CHECKING:
    from torch import Tensor

STRATA = 32  # at most, of numbers
_LEAST = 10  # samples of a stratum
_PAIRINGS = 200  # at most, of a mean over all samples
_SUBSETS = 20  # of random samples, as many as are no near-duplicates
_PAIRINGS_OF_PART = 40  # at most, of a mean over a part of them: their noise makes an interval wider
_SHARE_OF_PART = 25  # permutations asked for, for each pairing of a part
_GROUPS, _CUTS = 10, 4  # of the jackknife


@dataclass(frozen=True)
class Explained:
    """Part of a score that categories explain.

    Attributes:
        score: mean score when each sample is paired with another one of its category.
        share: of the score above chance; may lie a little outside 0 to 1 by chance.
        low: end of the interval of the share; None without.
        high: the other end.
    """

    score: float
    share: float
    low: float | None = None
    high: float | None = None


def strata(values: Floats) -> Ints:
    """Cut samples into strata of similar values, by halving at the median along the direction of largest variance.

    A stratum is cut while both parts have at least 10 samples, and there are at most 32. Equal numbers are in one
    stratum.

    Args:
        values: numbers of each sample [N, D], finite, on comparable scales.

    Returns:
        Labels 0, 1, … [N].

    >>> strata(np.arange(40.0)[:, None]).tolist() == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 10
    True
    """
    parts = [np.arange(len(values))]
    while len(parts) <= STRATA // 2:
        cut = [half for part in parts for half in _halves(values, part)]
        if len(cut) == len(parts):
            break
        parts = cut
    labels = np.empty(len(values), dtype=np.int64)
    for label, part in enumerate(parts):
        labels[part] = label
    return labels


def _halves(values: Floats, rows: Ints) -> list[Ints]:
    """Cut a stratum in two where both parts are large enough."""
    direction = int(values[rows].var(axis=0).argmax())
    along = values[rows, direction]
    middle = np.median(along)
    cuts = [rows[along <= middle], rows[along > middle]], [rows[along < middle], rows[along >= middle]]
    low, high = min(cuts, key=lambda cut: abs(len(cut[0]) - len(cut[1])))
    return [low, high] if min(len(low), len(high)) >= _LEAST else [rows]


def other_samples(labels: Ints, count: int, seed: int) -> Ints:
    """Draw permutations [count, N] that put another sample of its category in the place of each sample.

    Each category is passed through in one cycle of random order; a sample that is the only one of its category stays.

    Args:
        labels: categories 0, 1, … [N].
        count: number of permutations.
        seed: of the random numbers.
    """
    n = len(labels)
    sizes = np.bincount(labels)
    ends = np.cumsum(sizes)[sizes > 0]
    following = np.arange(1, n + 1)
    following[ends - 1] = ends - sizes[sizes > 0]
    random = generator("other samples", seed, n)
    result = np.empty((count, n), dtype=np.int64)
    for order in result:
        drawn = np.lexsort((random.random(n), labels))  # by category, at random inside it
        order[drawn] = drawn[following]
    return result


def explained(
    metric: Metric,
    x: Any,
    y: Any,
    categories: Sequence[Ints],
    chance: float,
    *,
    permutations: int = 1000,
    level: float | None = 0.95,
    seed: int = 0,
) -> list[Explained | None]:
    """Compute which share of the score of one layer pair each of several categories explains.

    The interval is the share ± a multiple of its standard deviation by the delete-a-group jackknife: the samples are
    cut at random into 10 groups, the share is computed without each of them, and ``sd² = 9/10 Σ (share_g − mean)²``,
    averaged over 4 cuts. It leaves out a tenth of the samples rather than a half as
    :func:`vlalign.stats.interval.half_sampling` does, because the k neighbours of half a small category would be all of
    it. Both are too wide, by up to √2, for the part of the variance that is made of pairs of samples: in simulations
    (Gaussian features in 5 to 20 categories, N = 120 and 200, nominal 95 %) it covers 98 to 100 %.

    Args:
        metric: a metric that depends on the pairing.
        x: layer [N, D1] as it is scored, and ``y``: the other one [N, D2], rows paired.
        categories: labels 0, 1, … [N] of each.
        chance: mean score over random pairings.
        permutations: of the null of the metric, which limit the pairings of each mean: to 200, and to a 25th of them,
            40 at most, for the interval.
        level: nominal coverage of the intervals; None for none.
        seed: of pairings and groups.

    Returns:
        One result for each of ``categories``; None where the score is not above chance, so that it has no parts. No
        interval where nine tenths of the samples are too few or not above chance, or the permutations are under 25.
    """
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    n = len(x)
    smallest = n - -(-n // _GROUPS)
    score, *means = _above_chance(
        metric, Subsets(metric, [x], [y], n), np.arange(n), categories, min(permutations, _PAIRINGS), seed, chance
    )
    if score <= 0:
        return [None] * len(categories)
    try:
        metric.check(smallest, widths([x, y]))
    except VlalignError:
        level = None
    few = min(permutations // _SHARE_OF_PART, _PAIRINGS_OF_PART)
    parts = Subsets(metric, [x], [y], smallest) if level is not None and few else None
    sd = None if parts is None else _sd(metric, parts, n, categories, few, seed)
    results: list[Explained | None] = []
    for i, mean in enumerate(means):
        share = mean / score
        margin = None if sd is None or level is None else float(stdtrit(_GROUPS - 1, (1 + level) / 2) * sd[i])
        ends = (None, None) if margin is None else (share - margin, share + margin)
        results.append(Explained(chance + mean, share, *ends))
    return results


def _sd(
    metric: Metric, subsets: Subsets, n: int, categories: Sequence[Ints], pairings: int, seed: int
) -> Floats | None:
    """Return the standard deviation of each share; None where the samples without a group are not above chance."""
    random = generator("groups of a jackknife", seed, n)
    variances = []
    for _ in range(_CUTS):
        shares = []
        for group in np.array_split(random.permutation(n), _GROUPS):
            rows = np.delete(np.arange(n), group)
            score, *means = _above_chance(metric, subsets, rows, categories, pairings, seed)
            if score <= 0:
                return None
            shares.append(np.array(means) / score)
        variances.append((_GROUPS - 1) * np.var(shares, axis=0))
    return np.sqrt(np.mean(variances, axis=0))


def explained_by_duplicates(
    metric: Metric, x: Any, y: Any, *, near: Sequence[Tensor] | None = None, permutations: int = 1000, seed: int = 0
) -> tuple[int, Explained | None]:
    """Compute which share of the score of one layer pair near-duplicates explain.

    Samples that have a near-duplicate on either side are left out. The share is ``1 − (s' − c') / (s'' − c')``, with
    ``s'`` the score of the others, ``s''`` the mean score of as many random samples, which may be near-duplicates, and
    ``c'`` the chance level of that number of samples.

    Args:
        metric: a metric that depends on the pairing.
        x: layer [N, D1] as it is scored, and ``y``: the other one [N, D2], rows paired.
        near: number of near-duplicates [N] of each sample of x, and of y (default: counted).
        permutations: as for :func:`explained`.
        seed: of random samples and pairings.

    Returns:
        The number of samples left out, and the result, whose score is ``s'`` and which has no interval; None where too
        few samples are left, or random ones are not above chance.
    """
    n = len(x)
    of_x, of_y = (near_counts(x), near_counts(y)) if near is None else near
    rows = np.flatnonzero(((of_x == 0) & (of_y == 0)).numpy())
    try:
        metric.check(len(rows), widths([x, y]))
    except VlalignError:
        return n - len(rows), None
    subsets = Subsets(metric, [x], [y], len(rows))
    few = max(1, min(permutations // _SHARE_OF_PART, _PAIRINGS_OF_PART))
    (distinct,) = _above_chance(metric, subsets, rows, [], min(permutations, _PAIRINGS), seed)
    random = generator("random samples", seed, n, len(rows))
    drawn = [np.sort(random.choice(n, len(rows), replace=False)) for _ in range(_SUBSETS)] if len(rows) < n else [rows]
    usual = float(np.mean([_above_chance(metric, subsets, one, [], few, seed) for one in drawn]))
    if usual <= 0:
        return n - len(rows), None
    score = float(metric.grid(*subsets.prepared(rows))[0, 0])
    return n - len(rows), Explained(score, 1 - distinct / usual)


def _above_chance(
    metric: Metric,
    subsets: Subsets,
    rows: Ints,
    categories: Sequence[Ints],
    pairings: int,
    seed: int,
    chance: float | None = None,
) -> list[float]:
    """Return the score of the rows and its means within each of the categories, above chance (None computes it)."""
    x, y = subsets.prepared(rows)

    def mean(labels: Ints) -> float:
        return float(metric.permuted(x, y, other_samples(labels, pairings, seed)).mean())

    if chance is None:
        exact = metric.moments(x, y)
        chance = mean(np.zeros(len(rows), dtype=np.int64)) if exact is None else float(exact.mean[0, 0])
    scores = [float(metric.grid(x, y)[0, 0]), *(mean(labels[rows]) for labels in categories)]
    return [score - chance for score in scores]
