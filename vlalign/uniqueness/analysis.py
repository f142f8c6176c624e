"""Analysis of the points of a study: curves of families over rates, and alignment against performance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.uniqueness.points import Point
from vlalign.uniqueness.sentences import about_curve, about_fits, about_points

if TYPE_CHECKING:
    from vlalign.stats.correlations import Correlation

LEAST = 5  # values that a correlation needs


@dataclass(frozen=True)
class FamilyCurve:
    """The largest score over all pairs of one family, at every rate [R] that has one.

    Attributes:
        family: name.
        rates: percent, ascending; rates at which no pair has a score are not among them.
        maxima: largest score at each rate.
        best: models (x, y) of the pair with that score.
        low, high: 95 % interval of that pair's score; None where it has none.
        chance: that pair's mean score under a random pairing; None where it is not known.
        thresholds: 95 % point of that pair's null, the maximum over layers inside; None where there is no null. It
            accounts for the choice of layers, not for that of the pair.
        pairs: how many pairs have a score at each rate.
        missing: rates that have points of the family, but no score.
        rho: Spearman correlation of rate and maximum; None where undefined. The rates are set by design, and
            scores at neighbouring rates come from the same samples and nested edits. So its p-value tests that all
            orders of the maxima over the rates are equally likely, and shows nothing about other models or data; the
            interval takes the values for independent draws: read both as descriptions.
        reason: why rho is undefined, else "".
        slope, intercept: of the least-squares line, score per percent and score at 0 %; None below two rates.
        r2: share of the variance of the maxima that the line explains; None below three rates or for equal maxima.
        falls: two rates or more, and the maximum never rises from one to the next; it may stay the same.
        reaches_chance: smallest rate from which on no maximum is above its threshold; None if the last one is, or has
            no threshold. A rate without threshold ends the search.
    """

    family: str
    rates: list[float]
    maxima: list[float]
    best: list[tuple[str, str]]
    low: list[float | None]
    high: list[float | None]
    chance: list[float | None]
    thresholds: list[float | None]
    pairs: list[int]
    missing: list[float]
    rho: Correlation | None
    reason: str
    slope: float | None
    intercept: float | None
    r2: float | None
    falls: bool
    reaches_chance: float | None


@dataclass(frozen=True)
class PerformanceFit:
    """Alignment of one model with several language models, against their performance, at one rate.

    Attributes:
        x: the model that stays (of side x, or of side y where ``swapped``).
        rate: percent.
        y: the language models, sorted by performance.
        performances: −bits per byte on the captions of this rate.
        scores: alignment with ``x``.
        slope, intercept: of the least-squares line of score on performance, score per bit per byte; None below two
            distinct performances.
        performance_slope, performance_intercept: of the least-squares line of performance on score, which figures show:
            bits per byte per unit of score, and bits per byte at a score of 0; None below two distinct scores.
        rho: Spearman correlation of performance and score; None where undefined.
        reason: why rho is undefined, else "".
        swapped: the language models are those of side x.
    """

    x: str
    rate: float
    y: list[str]
    performances: list[float]
    scores: list[float]
    slope: float | None
    intercept: float | None
    rho: Correlation | None
    reason: str
    swapped: bool = False
    performance_slope: float | None = None
    performance_intercept: float | None = None


def family_curves(points: Sequence[Point], by: str = "x") -> list[FamilyCurve]:
    """Return the curve of every family of side ``by`` (x or y) that has a score, in the order of names.

    Equal scores: the pair that comes first by name is the best.
    """
    if by not in ("x", "y"):
        raise VlalignError(f"families are those of side x or y, not {by!r}")
    grouped = _grouped(points, lambda point: getattr(point, f"{by}_family"))
    curves = (_curve(family, grouped[family]) for family in sorted(grouped))
    return [curve for curve in curves if curve.rates]


def performance_fits(points: Sequence[Point]) -> list[PerformanceFit]:
    """Return one fit for every model of side x and every rate, over the language models of side y; sorted by both.

    Where only language models of side x have a performance, the roles swap. Points without score or performance are
    left out.
    """
    usable = [point for point in points if point.score is not None and point.performance is not None]
    side = "y" if any(point.performance_of == "y" for point in usable) else "x"
    usable = [point for point in usable if point.performance_of == side]
    stays = "x" if side == "y" else "y"
    grouped = _grouped(usable, lambda point: (getattr(point, stays), point.rate))
    return [_fit(model, rate, grouped[model, rate], side) for model, rate in sorted(grouped)]


def findings(curves: Sequence[FamilyCurve], fits: Sequence[PerformanceFit], points: Sequence[Point]) -> list[str]:
    """Return the findings of a study, one sentence each."""
    sentences = [sentence for curve in curves for sentence in about_curve(curve)]
    return [*sentences, *about_fits(fits), *about_points(curves, points)]


def _grouped(points: Sequence[Point], key: Callable[[Point], Any]) -> dict[Any, list[Point]]:
    groups: dict[Any, list[Point]] = {}
    for point in points:
        groups.setdefault(key(point), []).append(point)
    return groups


def _curve(family: str, points: Sequence[Point]) -> FamilyCurve:
    by_rate = _grouped(points, lambda point: point.rate)
    scored = {rate: [point for point in by_rate[rate] if point.score is not None] for rate in sorted(by_rate)}
    rates = [rate for rate, entries in scored.items() if entries]
    best = [min(scored[rate], key=lambda point: (-(point.score or 0.0), point.x, point.y)) for rate in rates]
    maxima = [point.score or 0.0 for point in best]
    rho, reason = _spearman(rates, maxima, "rates", "all maxima are equal")
    slope, intercept, r2 = least_squares(rates, maxima)
    thresholds = [point.threshold for point in best]
    return FamilyCurve(
        family=family,
        rates=rates,
        maxima=maxima,
        best=[(point.x, point.y) for point in best],
        low=[point.low for point in best],
        high=[point.high for point in best],
        chance=[point.chance for point in best],
        thresholds=thresholds,
        pairs=[len(scored[rate]) for rate in rates],
        missing=[rate for rate, entries in scored.items() if not entries],
        rho=rho,
        reason=reason,
        slope=slope,
        intercept=intercept,
        r2=r2,
        falls=len(maxima) > 1 and all(b <= a for a, b in pairwise(maxima)),
        reaches_chance=_reached(rates, maxima, thresholds),
    )


def _reached(rates: Sequence[float], maxima: Sequence[float], thresholds: Sequence[float | None]) -> float | None:
    reached = None
    for rate, value, threshold in zip(reversed(rates), reversed(maxima), reversed(thresholds), strict=True):
        if threshold is None or value > threshold:
            break
        reached = rate
    return reached


def _fit(model: str, rate: float, points: Sequence[Point], side: str) -> PerformanceFit:
    entries = sorted((point.performance or 0.0, getattr(point, side), point.score or 0.0) for point in points)
    performances, names, scores = (list(values) for values in zip(*entries, strict=True))
    constant = "all performances are equal" if len(set(performances)) == 1 else "all scores are equal"
    rho, reason = _spearman(performances, scores, "language models", constant)
    slope, intercept, _ = least_squares(performances, scores)
    predicted = least_squares(scores, performances)[:2]
    return PerformanceFit(
        model, rate, names, performances, scores, slope, intercept, rho, reason, side == "x", *predicted
    )


def _spearman(x: Sequence[float], y: Sequence[float], things: str, constant: str) -> tuple[Correlation | None, str]:
    """Return Spearman's rho and "", or None and why it is undefined."""
    if len(x) < LEAST:
        thing = things.removesuffix("s") if len(x) == 1 else things
        return None, f"{len(x)} {thing}: a correlation needs at least {LEAST}"
    if min(x) == max(x) or min(y) == max(y):
        return None, constant
    from vlalign.stats.correlations import correlation

    return correlation(x, y), ""


def least_squares(x: Sequence[float], y: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Return slope, intercept and r² of the least-squares line of y [N] on x [N]; None where undefined."""
    import numpy as np

    if len(set(x)) < 2:
        return None, None, None
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    da, db = a - a.mean(), b - b.mean()
    if not da @ da:  # differences so small that their squares are 0
        return None, None, None
    slope = float(da @ db / (da @ da))
    residual = db - slope * da
    enough = len(set(x)) > 2 and min(y) < max(y) and db @ db > 0
    r2 = max(0.0, 1.0 - float(residual @ residual) / float(db @ db)) if enough else None
    return slope, float(b.mean() - slope * a.mean()), r2
