"""Words and numbers that console, figures and page of a uniqueness study share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlalign.display.format import interval, metric_title, number, p_text
from vlalign.display.result import Texts
from vlalign.stats.correlations import rho_text
from vlalign.uniqueness.analysis import LEAST

if TYPE_CHECKING:
    from vlalign.uniqueness import FamilyCurve, PerformanceFit, Point, UniquenessResult

_EDITS = {
    "char_delete": "characters deleted from {captions}",
    "char_replace": "characters replaced in {captions}",
    "word_delete": "words deleted from {captions}",
    "word_shuffle": "words moved within {captions}",
    "caption_swap": "{captions} given to other images",
    "captions_file": "edits of {captions}, from a file",
    "pixel_delete": "pixels of {images} set to the mean colour",
    "pixel_noise": "pixels of {images} replaced by noise",
    "patch_delete": "patches of {images} set to the mean colour",
}


def edits_text(result: UniquenessResult) -> str:
    """Return what is edited, with the side where both have one modality."""
    reads = result.data.get("reads") or {}
    of = f" of {result.data.get('edited')}" if reads and reads.get("x") == reads.get("y") else ""
    name = str(result.config.get("op", "")).partition(":")[0]
    text = _EDITS.get(name, f"edits of the data by {name or 'an unnamed operation'}")
    return text.format(captions=f"captions{of}", images=f"images{of}")


def similarity_source(result: UniquenessResult) -> str:
    """Return where measured similarities come from."""
    encoder = result.config.get("encoder")
    return f"in the last layer of {encoder}" if encoder else "as stated in the file of edited captions"


def metric_name(result: UniquenessResult) -> str:
    """Return the metric as axes name it."""
    return metric_title(str(result.config.get("metric", "score")).partition(":")[0])


def rate_text(rate: float) -> str:
    """Return a rate in percent.

    >>> rate_text(12.5)
    '12.5 %'
    """
    return f"{rate:g} %"


def title_of(result: UniquenessResult) -> str:
    """Return what is edited, the metric, and the number of samples."""
    return f"{edits_text(result)}: {metric_name(result)}, N = {result.data.get('n')}"


def findings_of(result: UniquenessResult, metric: str | None = None) -> list[str]:
    """Return the findings; a study has one metric."""
    return result.findings


def main_table(result: UniquenessResult, metric: str | None = None) -> Texts:
    """Return for each family and rate the largest score over pairs of models, its interval, p-value, null and pair."""
    rows = []
    for curve in result.curves:
        for i, rate in enumerate(curve.rates):
            point = point_of(result, curve, i)
            spread, p = interval(point.low, point.high, 3), p_value_text(point.p_value, result)
            largest, threshold = number(curve.maxima[i]), number(point.threshold)
            rows.append([curve.family, rate_text(rate), largest, spread, p, threshold, point.title])
    columns = ["family", "U", "largest", "95 % interval", "p", "null's 95 %", "pair"]
    return Texts(columns, rows, left=["pair"])


def p_value_text(p: float | None, result: UniquenessResult) -> str:
    """Return a p-value; with its sign where it is the smallest that the number of permutations allows."""
    from vlalign.metrics.registry import METRICS, get_metric

    count: int | None = result.config.get("permutations")
    name = str(result.config.get("metric", "")).partition(":")[0]
    if count is None and name in METRICS:
        count = get_metric(name).info.permutations
    return p_text(p, 1 / (count + 1) if count else 0.0)


def curve_rho(curve: FamilyCurve) -> str:
    """Return ρ of U and the maximum, or why it is undefined; empty for too few rates."""
    return rho_text(curve.rho, curve.reason) if len(curve.rates) >= LEAST else ""


def readable_fits(result: UniquenessResult) -> list[PerformanceFit]:
    """Return the fits over enough language models for a line and a correlation."""
    return [fit for fit in result.fits if len(fit.y) >= LEAST]


def point_of(result: UniquenessResult, curve: FamilyCurve, i: int) -> Point:
    """Return the point that is the maximum of a curve at its i-th rate."""
    pair, rate = tuple(curve.best[i]), curve.rates[i]
    return next(point for point in result.points if (point.x, point.y) == pair and point.rate == rate)


def notes_of(result: UniquenessResult) -> list[str]:
    """Return the notes of the points, each once, with the number of points that have it."""
    counts = Counter(point.note for point in result.points if point.note)
    return [f"{note} ({times} points)" if times > 1 else note for note, times in counts.items()]


def chosen_models(points: Sequence[Point], models: Sequence[str], most: int, side: str = "x") -> list[str]:
    """Return at most ``most`` of the models of a side, in the order of ``models``; the best of each family come first.

    A model's quality is its largest score at the smallest rate.
    """
    if len(models) <= most:
        return list(models)
    first = min(point.rate for point in points)
    score, family = dict.fromkeys(models, 0.0), dict.fromkeys(models, "")
    for point in points:
        name = getattr(point, side)
        family[name] = getattr(point, f"{side}_family")
        if point.rate == first and point.score is not None:
            score[name] = max(score.get(name, 0.0), point.score)
    ranked = sorted(models, key=lambda name: -score[name])
    leaders = list({family[name]: name for name in reversed(ranked)}.values())
    kept = sorted(ranked, key=lambda name: name not in leaders)[:most]
    return [name for name in models if name in kept]
