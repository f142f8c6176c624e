"""Words and numbers that console, figures and page of a uniqueness study share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlalign.report.format import signed

if TYPE_CHECKING:
    from vlalign.stats.correlation import Correlation
    from vlalign.uniqueness import FamilyCurve, Point, UniquenessResult

_WHAT = {
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
    """What is edited, on which side. The side is named where both read the same."""
    reads = result.data.get("reads") or {}
    of = f" of {result.data.get('edited')}" if reads and reads.get("x") == reads.get("y") else ""
    name = str(result.config.get("op", "")).partition(":")[0]
    what = _WHAT.get(name, f"edits of the data by {name or 'an operation that is not named'}")
    return what.format(captions=f"captions{of}", images=f"images{of}")


def metric_name(result: UniquenessResult) -> str:
    """The metric as axes name it."""
    return str(result.config.get("metric", "score")).partition(":")[0].replace("_", "-")


def rate_text(rate: float) -> str:
    """A rate in percent.

    >>> rate_text(12.5)
    '12.5 %'
    """
    return f"{rate:g} %"


def rho_text(rho: Correlation | None, reason: str) -> str:
    """Spearman's ρ with its interval, or why there is none."""
    if rho is None:
        return f"no ρ ({reason})" if reason else "no ρ"
    r, low, high = (signed(v, 3 if 0.995 <= abs(v) < 0.9995 else 2) for v in (rho.r, rho.low, rho.high))
    return f"ρ = {r} ({low} to {high})"


def number(value: float | None, digits: int = 4) -> str:
    """A number, or a dash."""
    return "–" if value is None else signed(value, digits)


def interval_text(low: float | None, high: float | None, digits: int = 3) -> str:
    """An interval, or nothing."""
    return "" if low is None or high is None else f"{signed(low, digits)} – {signed(high, digits)}"


def p_value_text(p: float | None, result: UniquenessResult) -> str:
    """A p-value; with its sign where it is the smallest that the number of permutations allows."""
    if p is None:
        return "–"
    from vlalign.metrics.registry import METRICS, get_metric

    count: int | None = result.config.get("permutations")
    name = str(result.config.get("metric", "")).partition(":")[0]
    if count is None and name in METRICS:
        count = get_metric(name).info.permutations
    least = count and p <= 1 / (count + 1) * (1 + 1e-9)
    return f"{'≤ ' if least else ''}{p:.2g}"


def point_of(result: UniquenessResult, curve: FamilyCurve, i: int) -> Point:
    """The point that is the maximum of a curve at its i-th rate."""
    pair, rate = tuple(curve.best[i]), curve.rates[i]
    return next(point for point in result.points if (point.x, point.y) == pair and point.rate == rate)


def notes_of(result: UniquenessResult) -> list[str]:
    """What points say of themselves, each once, with the number of points that say it."""
    count: dict[str, int] = {}
    for point in result.points:
        if point.note:
            count[point.note] = count.get(point.note, 0) + 1
    return [f"{note} ({times} points)" if times > 1 else note for note, times in count.items()]


def family_side(result: UniquenessResult) -> str:
    """The side, x or y, whose families the curves are of."""
    families = {point.x_family for point in result.points}
    return "x" if all(curve.family in families for curve in result.curves) else "y"


def best_pairs(result: UniquenessResult) -> dict[str, tuple[str, str]]:
    """Per family of the curves the models (x, y) with the largest score at its smallest rate."""
    return {curve.family: curve.best[0] for curve in result.curves}


def chosen_models(points: Sequence[Point], models: Sequence[str], most: int, side: str = "x") -> list[str]:
    """At most ``most`` of the models of a side: where they are more, the best ones of their families come first.

    They keep the order of ``models``. A model is as good as its largest score at the smallest rate.
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
