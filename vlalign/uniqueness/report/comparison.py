"""Slopes and correlations beside the published ones, where the published models were used."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from vlalign.display.format import DASH, number
from vlalign.models.registry import MODEL_SETS
from vlalign.report.page import Table
from vlalign.stats.correlations import rho_short
from vlalign.uniqueness import published as paper
from vlalign.uniqueness.analysis import LEAST, family_curves, performance_fits

if TYPE_CHECKING:
    from vlalign.uniqueness import FamilyCurve, PerformanceFit, UniquenessResult


def published_table(result: UniquenessResult) -> Table | None:
    """Return slopes and correlations of the published families of vision models; None without such results.

    Ours are of the points of published models and rates alone, of vision models with at least five language models;
    the metric must be mutual-kNN with k = 10.
    """
    name, _, params = str(result.config.get("metric")).partition(":")
    if name != "mutual_knn" or (params != "k=10" if params else result.config.get("k") not in (None, 10)):
        return None
    vision, text = (set(MODEL_SETS[name]) for name in ("prh-vision", "prh-text"))
    points = [
        point
        for point in result.points
        if point.x in vision and point.y in text and point.performance_of == "y" and point.rate in paper.EDITED
    ]
    families = {point.x: point.x_family for point in points}
    used: dict[str, list[PerformanceFit]] = {}
    for fit in performance_fits(points):
        if len(fit.y) >= LEAST:
            used.setdefault(families[fit.x], []).append(fit)
    curves = {curve.family: curve for curve in family_curves(points)}
    rows = [row for family in paper.PERFORMANCE if family in used for row in _rows(curves[family], used[family])]
    if not rows:
        return None
    sizes, languages = len({fit.x for fits in used.values() for fit in fits}), len({point.y for point in points})
    return Table(
        "Slope of alignment on performance (−bits per byte) / Spearman's ρ, means over vision models of a family, "
        "beside those of arXiv 2502.16282: minhuh/prh, N = 1,024, captions edited by a language model (captions_file); "
        f"other data and edits differ by more than chance. Ours: {sizes} of {len(vision)} vision models and "
        f"{languages} of {len(text)} language models of the paper, its U of 10 to 100 %, ρ of U from one value for "
        "each U. The published ρ of U is not (no ten or eleven ranks have a ρ of −0.950), so ours may be nearer to −1",
        ["", "ρ of U and the largest", *(f"U = {rate} %" for rate in paper.RATES)],
        rows,
    )


def _rows(curve: FamilyCurve, fits: list[PerformanceFit]) -> list[list[str]]:
    """Return a family's values and the published ones; for DINOv2 the largest alignment, too."""
    family, known = curve.family, paper.PERFORMANCE[curve.family]
    rows = [
        [f"{family}: ours", rho_short(curve.rho), *(_means(fits, rate) for rate in paper.RATES)],
        [f"{family}: published", number(paper.RHO[family], 3), *(_pair(*values) for values in known)],
    ]
    if family == "dinov2":
        ours = dict(zip(curve.rates, curve.maxima, strict=True))
        rows += [
            [f"{family}, largest: {whose}", DASH, *(number(values.get(rate), 3) for rate in paper.RATES)]
            for whose, values in (("ours", ours), ("published", paper.MAXIMA))
        ]
    return rows


def _means(fits: list[PerformanceFit], rate: float) -> str:
    """Return the mean slope and mean ρ of the fits at a rate."""
    slopes = [fit.slope for fit in fits if fit.rate == rate and fit.slope is not None]
    rhos = [fit.rho.r for fit in fits if fit.rate == rate and fit.rho is not None]
    return _pair(fmean(slopes) if slopes else None, fmean(rhos) if rhos else None)


def _pair(slope: float | None, rho: float | None) -> str:
    return DASH if slope is None and rho is None else f"{number(slope, 3)} / {number(rho, 3)}"
