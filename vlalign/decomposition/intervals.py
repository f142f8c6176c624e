"""Intervals, nulls and detection of values that are functions of means over held-out samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vlalign.decomposition.options import InformationOptions
from vlalign.decomposition.program import Floats
from vlalign.decomposition.result import Estimate
from vlalign.decomposition.sample_groups import Ints, SampleGroups
from vlalign.decomposition.scores import RESOLUTION

#: values that no part of an information exceeds
_AT_MOST = {"R": ("I1", "I2"), "U1": ("I1",), "U2": ("I2",), "S": ("I12",), "C": ("I1", "I2")}


def scale_of(options: InformationOptions) -> float:
    """Return the units of a nat."""
    return 1.0 if options.units == "nats" else float(1 / np.log(2))


def estimates(
    names: Sequence[str],
    scores: Callable[[Ints], Floats],
    fold: Ints,
    missed: Callable[[Ints], tuple[Floats, Floats]],
    most: float,
    options: InformationOptions,
    of_means: Callable[[Floats], Floats] = lambda means: means,
    apart: Floats | None = None,
    units: SampleGroups | None = None,
) -> dict[str, Estimate]:
    """Return values with 95 % intervals from resampled samples and nulls of labels shuffled within folds.

    The interval of a part ends where that of the information that it is a part of does: R ≤ I1, I2.

    Args:
        names: of the values.
        scores: for the order [N] in which labels are given to samples, scores [M, N] whose means make the values.
        fold: of each sample [N].
        missed: for rows of samples, by how much each value may be too large, and too small; widens the intervals.
        most: largest possible value, in nats.
        options: of the estimate.
        of_means: from means [M] to values, in nats.
        apart: values of S with x2 shuffled within classes; a further null, if given.
        units: of the samples, which are resampled and shuffled whole, with one label and fold each; None for samples
            that stand alone.
    """
    everyone = np.arange(len(fold))
    units = units or SampleGroups(everyone)
    draw = np.random.default_rng(options.seed)
    each = scores(everyone)
    observed = np.maximum(of_means(each.mean(axis=1)), 0)
    lows, highs = [], []
    for _ in range(options.bootstraps):
        some = units.resample(draw)
        value, (less, more) = of_means(each[:, some].mean(axis=1)), missed(some)
        lows.append(value - less)
        highs.append(value + more)
    shuffled = []
    for _ in range(options.permutations):
        shuffled.append(of_means(scores(units.shuffle(draw, fold)).mean(axis=1)))
    null = np.maximum(shuffled, 0)
    p = (1 + (null >= observed).sum(axis=0)) / (1 + len(null))
    level = np.quantile(null, 0.95, axis=0)
    if apart is not None:
        s = names.index("S")
        p[s] = max(p[s], (1 + (np.maximum(apart, 0) >= observed[s]).sum()) / (1 + len(apart)))
        level[s] = max(level[s], np.quantile(apart, 0.95))
    low, high = np.clip([np.quantile(lows, 0.025, axis=0), np.quantile(highs, 0.975, axis=0)], 0, most)
    for i, name in enumerate(names):
        if wholes := [high[names.index(one)] for one in _AT_MOST.get(name, ())]:
            high[i] = min(high[i], max(observed[i], min(wholes)))
    scale = scale_of(options)
    return {
        name: Estimate(
            value=float(scale * observed[i]),
            low=float(scale * low[i]),
            high=float(scale * high[i]),
            null=float(scale * level[i]),
            p=float(p[i]),
            detected=bool(p[i] <= 0.05 and low[i] > RESOLUTION),
        )
        for i, name in enumerate(names)
    }
