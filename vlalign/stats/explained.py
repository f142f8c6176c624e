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

import numpy as np
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats, Ints, Metric
from vlalign.stats.null import generator
from vlalign.stats.subsets import Halves, Subsets, widths

STRATA = 32  # at most, of numbers
_LEAST = 10  # samples of a stratum
_PAIRINGS = 200  # of a mean over all samples
_PAIRINGS_OF_HALF = 16  # of a mean over a half: their noise makes an interval wider, by a few percent


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
    x: Tensor,
    y: Tensor,
    categories: Sequence[Ints],
    chance: float,
    *,
    halves: int = 100,
    level: float = 0.95,
    seed: int = 0,
) -> list[Explained | None]:
    """Compute which share of the score of one layer pair each of several categories explains.

    The interval is that of :func:`vlalign.stats.interval.half_sampling`, of the ratio by the delta method: with the
    ratio r of the means over all halves let ``d = (s_within − c) − r (s − c)`` of a half; the sd of the share is that
    of d, from the differences between both halves of the cuts, divided by ``s − c`` of all samples.

    Args:
        metric: a metric that depends on the pairing.
        x: layer [N, D1] as it is scored, and ``y``: the other one [N, D2], rows paired.
        categories: labels 0, 1, … [N] of each.
        chance: mean score over random pairings.
        halves: half-samples of the intervals; 0 for none.
        level: nominal coverage of the intervals.
        seed: of pairings and half-samples.

    Returns:
        One result for each of ``categories``; None where the score is not above chance, so that it has no parts. No
        interval where half of the samples are too few or not above chance.
    """
    n = len(x)
    cut = _cut(metric, n, halves, [x, y])
    subsets = Subsets(metric, [x], [y], n if cut is None else cut.smallest)
    score, *means = _above_chance(metric, subsets, np.arange(n), categories, _PAIRINGS, seed, chance)
    if score <= 0:
        return [None] * len(categories)
    spread = None if cut is None else _spread(metric, subsets, cut, categories, level, seed)
    results: list[Explained | None] = []
    for i, mean in enumerate(means):
        share = mean / score
        ends = (None, None) if spread is None else (share - spread[i] / score, share + spread[i] / score)
        results.append(Explained(chance + mean, share, *ends))
    return results


def _cut(metric: Metric, n: int, halves: int, layers: list[Tensor]) -> Halves | None:
    """Return the cuts of the interval; None where it was not asked for, or half of the samples are too few."""
    if not halves:
        return None
    try:
        cut = Halves.of(n, halves)
        cut.check(metric, widths(layers))
    except VlalignError:
        return None
    return cut


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


def _spread(
    metric: Metric, subsets: Subsets, cut: Halves, categories: Sequence[Ints], level: float, seed: int
) -> list[float] | None:
    """Return half the width of the interval of each share, times the score; None where halves are not above chance."""
    values = np.array(
        [
            [_above_chance(metric, subsets, rows, categories, _PAIRINGS_OF_HALF, seed) for rows in both]
            for both in cut.rows(seed)
        ]
    )
    scores, parts = values[:, :, 0], values[:, :, 1:]  # [cuts, 2], [cuts, 2, categories]
    if scores.mean() <= 0:
        return None
    ratio = parts.mean(axis=(0, 1)) / scores.mean()
    rest = parts - ratio * scores[:, :, None]
    spread: Floats = cut.quantile(level) * cut.sd(rest[:, 0] - rest[:, 1])
    return spread.tolist()
