"""Findings of a study as plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from vlalign.display.format import coefficient, plural, signed

if TYPE_CHECKING:
    from vlalign.stats.correlations import Correlation
    from vlalign.uniqueness.analysis import FamilyCurve, PerformanceFit
    from vlalign.uniqueness.points import Point

_SHOWN = 3
_CLEAR = 0.8  # a rank correlation over rates that a trend on the whole has
_LEAST = 5  # models or rates that make a correlation or a line worth reading


def about_curve(curve: FamilyCurve) -> list[str]:
    """Describe how the maximum of one family changes with the rate U, and whether it reaches chance."""
    texts = [_trend(curve), *_rises(curve), *_chance(curve)]
    if curve.slope is not None and curve.r2 is not None and len(curve.rates) >= _LEAST:
        slope = f"{curve.slope:.2g}".replace("-", "−")
        texts.append(f"a straight line of {slope} per % has r² = {curve.r2:.3f}")
    if curve.missing:
        texts.append(f"no score at {_percents(curve.missing)}, so {_these(curve.missing)} left out")
    if min(curve.pairs) < max(curve.pairs):
        fewer = [rate for rate, pairs in zip(curve.rates, curve.pairs, strict=True) if pairs < max(curve.pairs)]
        texts.append(
            f"the maximum is over fewer pairs of models at {_percents(fewer)} ({min(curve.pairs)} instead of "
            f"{max(curve.pairs)} at the least), which may lower it"
        )
    return [f"{curve.family}: {sentence}" for sentence in texts]


def about_fits(fits: Sequence[PerformanceFit]) -> list[str]:
    """Describe how alignment and performance correlate: for every model, at the first and the last rate."""
    most = max((len(fit.y) for fit in fits), default=0)
    if not most:
        return []
    if most < _LEAST:
        return [
            f"alignment against performance is left out: {plural(most, 'language model')}, a correlation needs at "
            f"least {_LEAST}"
        ]
    texts = []
    for model in dict.fromkeys(fit.x for fit in fits):
        own = [fit for fit in fits if fit.x == model]
        ends = [own[0], own[-1]] if len(own) > 1 else own
        parts = []
        for fit in ends:
            what = f"no ρ ({fit.reason})" if fit.rho is None else _rho(fit.rho, "language models")
            parts.append(f"{what} at {fit.rate:g} %")
        texts.append(f"{model}: alignment against performance: {'; '.join(parts)}")
    return texts


def about_points(curves: Sequence[FamilyCurve], points: Sequence[Point]) -> list[str]:
    """Describe what was left out, and limits of the curves."""
    texts = []
    without = [point for point in points if point.score is None]
    if without:
        first = without[0]
        why = f": {first.note}" if first.note else ""
        texts.append(
            f"{len(without)} of {len(points)} points have no score and are left out, first {first.title} at "
            f"{first.rate:g} %{why}"
        )
    sizes = {point.n for point in points if point.score is not None}
    if len(sizes) > 1:
        texts.append(f"points differ in their number of samples, {min(sizes)} to {max(sizes)}, and scores depend on it")
    rates = max((len(curve.rates) for curve in curves), default=0)
    if 1 < rates < _LEAST:
        texts.append(f"ρ of U and the maximum is left out: {rates} rates, a correlation needs at least {_LEAST}")
    pairs = max((max(curve.pairs) for curve in curves), default=0)
    if pairs > 1 and any(threshold is not None for curve in curves for threshold in curve.thresholds):
        texts.append(
            f"the null accounts for selecting the best layers, not for selecting the best of up to {pairs} pairs of "
            "models: a maximum just above its 95 % point may still be chance"
        )
    return texts


def _trend(curve: FamilyCurve) -> str:
    first, last = curve.maxima[0], curve.maxima[-1]
    if len(curve.rates) == 1:
        return f"only {curve.rates[0]:g} % has a score, so no trend over rates is known"
    if min(curve.maxima) == max(curve.maxima):
        return f"the maximum is {_pair(first)[0]} at all {len(curve.rates)} rates"
    start, end = _pair(first, last)
    steps = [b - a for a, b in pairwise(curve.maxima)]
    if curve.falls:
        verb = "falls with U" if max(steps) < 0 else "never rises with U"
    elif min(steps) >= 0:
        verb = "rises with U" if min(steps) > 0 else "never falls with U"
    elif curve.rho is None:
        verb = "goes up and down with U"
    elif curve.rho.r <= -_CLEAR:
        verb = "falls with U on the whole"
    elif curve.rho.r >= _CLEAR:
        verb = "rises with U on the whole"
    else:
        verb = "shows no clear trend with U"
    ends = f"from {start} at {curve.rates[0]:g} % to {end} at {curve.rates[-1]:g} %"
    rho = "" if curve.rho is None else f", {_rho(curve.rho, 'rates')}"
    return f"the maximum {verb}, {ends}{rho}"


def _rises(curve: FamilyCurve) -> list[str]:
    """Describe where a curve that falls on the whole rises."""
    rows = [i for i, (a, b) in enumerate(pairwise(curve.maxima)) if b > a]
    if not rows or len(rows) == len(curve.maxima) - 1:
        return []
    rises = []
    for i in rows[:_SHOWN]:
        start, end = _pair(curve.maxima[i], curve.maxima[i + 1])
        high, low = curve.high[i], curve.low[i + 1]
        within = " (95 % intervals overlap)" if high is not None and low is not None and low <= high else ""
        rises.append(f"from {curve.rates[i]:g} to {curve.rates[i + 1]:g} %: {start} to {end}{within}")
    more = f", and {len(rows) - _SHOWN} more times" if len(rows) > _SHOWN else ""
    return [f"rises {', '.join(rises)}{more}"]


def _chance(curve: FamilyCurve) -> list[str]:
    """Describe whether and where the maximum is no longer above the null's 95 % point."""
    known = list(zip(curve.rates, curve.maxima, curve.thresholds, strict=True))
    without = [rate for rate, _, threshold in known if threshold is None]
    if len(without) == len(known):
        return ["not compared with chance: there is no permutation null"]
    texts = [f"no permutation null at {_percents(without)}"] if without else []
    below = [rate for rate, value, threshold in known if threshold is not None and value <= threshold]
    rate, value, threshold = known[-1]
    if curve.reaches_chance is not None:
        if len(below) == len(known):
            return ["indistinguishable from chance (not above the null's 95 % point) at any rate"]
        texts.insert(
            0,
            f"indistinguishable from chance (not above the null's 95 % point) from {curve.reaches_chance:g} % on; "
            "more samples may decide",
        )
        below = [rate for rate in below if rate < curve.reaches_chance]
    elif threshold is not None:
        texts.insert(0, "is still above chance at {:g} %: {} against {}".format(rate, *_pair(value, threshold)))
    if below:
        texts.append(f"is not above chance at {_percents(below)} {'either' if curve.reaches_chance else ''}".strip())
    return texts


def _rho(rho: Correlation, things: str) -> str:
    r, low, high = (coefficient(value) for value in (rho.r, rho.low, rho.high))
    free = ", were they independent" if things == "rates" else ""
    return f"ρ = {r} ({100 * rho.level:g} % interval {low} to {high} for {rho.n} {things}{free})"


def _pair(*values: float) -> list[str]:
    """Return values with three digits after the point, or more if they would look equal.

    >>> _pair(0.081, 0.083), _pair(0.0211, 0.0212)
    (['0.081', '0.083'], ['0.0211', '0.0212'])
    """
    digits = 3
    while digits < 12 and len({f"{value:.{digits}f}" for value in values}) < len(set(values)):
        digits += 1
    return [signed(value, digits) for value in values]


def _percents(rates: Sequence[float]) -> str:
    """
    >>> _percents([10.0]), _percents([10, 20, 30])
    ('10 %', '10, 20 and 30 %')
    """
    texts = [f"{rate:g}" for rate in rates]
    return (f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else texts[0]) + " %"


def _these(things: Sequence[object]) -> str:
    return "these rates are" if len(things) > 1 else "this rate is"
