"""Estimated time and disk of scores, from a trial on random features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch

from vlalign.metrics.base import Metric
from vlalign.scoring.batch import Planned
from vlalign.scoring.categories import columns_of
from vlalign.scoring.inputs import Arrays, Side
from vlalign.scoring.layers import find_device
from vlalign.scoring.options import ScoreOptions
from vlalign.scoring.scorer import Scorer

_ROWS, _WIDTH, _DRAWS = 1024, 1024, 20  # of a trial, at most
_PER_LAYER = ("load", "clip", "neighbours", "layers")  # stages
_FIGURE_BYTES, _RECORD_BYTES, _NUMBER_BYTES, _SAMPLE_BYTES = 100_000, 10_000, 22, 15


@dataclass(frozen=True)
class Estimate:
    """Rough cost of the scores with one metric.

    Attributes:
        metric: with its parameters.
        pairs: number of pairs.
        layer_pairs: number of layer pairs of all pairs.
        seconds: of all pairs, on this machine as it is now.
        bytes: of records, scores of samples and figures.
    """

    metric: str
    pairs: int
    layer_pairs: int
    seconds: float
    bytes: int


class _Times(NamedTuple):
    """Seconds of one pair: of the grid and all its permutations, of one layer, and of what is done once."""

    grid: float
    layer: float
    rest: float


def _trial(metric: Metric, options: ScoreOptions, width: int, rows: int, x_layers: int, y_layers: int) -> _Times:
    """Score aligned random features, so that no null stops early; scale to all permutations and half-samples."""
    draws, halves = options.draws(metric), options.halves(metric)
    tried = replace(
        options,
        groups=None,
        within=None,
        positives=None,
        permutations=min(draws, _DRAWS),
        half_samples=min(halves, _DRAWS),
        null="analytic" if options.is_analytic(metric) else "permutation",
    )
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 1, width, generator=draw).expand(rows, x_layers, width)
    y = x[:, :1] + 0.5 * torch.randn(rows, y_layers, width, generator=draw)
    x = x + 0.5 * torch.randn(x.shape, generator=draw)
    scorer = Scorer(tried, find_device(options.device))
    seconds = scorer.pair(metric, Arrays(x), Arrays(y, label="y")).seconds
    null = seconds.get("null", 0.0)
    if not options.is_analytic(metric):
        null *= draws / max(1, min(draws, _DRAWS)) * (1 + len(columns_of(options.within)))
    interval = seconds.get("interval", 0.0) * halves / max(1, min(halves, _DRAWS))
    layers = sum(seconds.get(stage, 0.0) for stage in _PER_LAYER)
    return _Times(seconds["grid"] + null, layers / (x_layers + y_layers), interval + seconds.get("curves", 0.0))


def estimate_scores(planned: Sequence[Planned], options: ScoreOptions, figures: bool = True) -> list[Estimate]:
    """Estimate time and disk of scores, one estimate for each metric.

    Two by two and four by eight layers of random features, of up to 1,024 rows, are scored with a few permutations and
    half-samples. Their times are scaled to all layers, layer pairs, permutations and half-samples, and beyond 1,024
    rows by N (comparisons of neighbour lists) or N² (everything else).

    Args:
        planned: the scores, such as those without a record.
        options: of the scores.
        figures: whether a figure is drawn for each.
    """
    estimates = []
    for metric in dict.fromkeys(one.metric for one in planned):
        pairs = [tuple(Side(side, "x") for side in one.sides) for one in planned if one.metric is metric]
        sides = {id(given): Side(given, "x") for one in planned if one.metric is metric for given in one.sides}
        n = max(side.n for side in sides.values())
        width = min(_WIDTH, max(int(entry["width"]) for side in sides.values() for entry in side.axis))
        rows = min(_ROWS, n)
        trial = partial(_trial, metric, options, width)
        trial(min(rows, 64), 2, 2)  # warms up
        few, many = trial(rows, 2, 2), trial(rows, 4, 8)
        layer_pairs = [len(x.axis) * len(y.axis) for x, y in pairs]
        layers = sum(len(side.axis) for side in sides.values())
        slope = max(0.0, (many.grid - few.grid) / (4 * 8 - 2 * 2))
        grid = sum(layer_pairs) * slope + len(pairs) * max(0.0, few.grid - 2 * 2 * slope)
        growth = (n / rows) ** 2
        seconds = grid * (n / rows if "k" in metric.params else growth)
        seconds += growth * (layers * many.layer + len(pairs) * few.rest)
        numbers = sum(layer_pairs) + len(pairs) * options.draws(metric)
        samples = 0 if type(metric).per_sample is Metric.per_sample else sum(x.n for x, _ in pairs)
        estimates.append(
            Estimate(
                metric.label,
                len(pairs),
                sum(layer_pairs),
                seconds,
                _NUMBER_BYTES * numbers
                + _SAMPLE_BYTES * samples
                + len(pairs) * (_RECORD_BYTES + _FIGURE_BYTES * figures),
            )
        )
    return estimates
