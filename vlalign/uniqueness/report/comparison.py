"""Slopes and correlations beside the published ones, where the published models were used."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from vlalign.display.format import DASH, number
from vlalign.models.registry import MODEL_SETS
from vlalign.report.page import Table
from vlalign.stats.correlations import rho_short
from vlalign.uniqueness import published as paper
from vlalign.uniqueness.analysis import LEAST

if TYPE_CHECKING:
    from vlalign.uniqueness import PerformanceFit, UniquenessResult


def published_table(result: UniquenessResult) -> Table | None:
    """Return slopes and correlations of the published families of vision models; None without such results.

    A fit counts if its vision model and all its language models, at least five, are of the published set, and the
    metric is mutual-kNN with k = 10.
    """
    name, _, params = str(result.config.get("metric")).partition(":")
    if name != "mutual_knn" or (params != "k=10" if params else result.config.get("k") not in (None, 10)):
        return None
    families = {point.x: point.x_family for point in result.points}
    used: dict[str, list[PerformanceFit]] = {}
    for fit in result.fits:
        published = fit.x in MODEL_SETS["prh-vision"] and set(fit.y) <= set(MODEL_SETS["prh-text"])
        if published and len(fit.y) >= LEAST and not fit.swapped:
            used.setdefault(families[fit.x], []).append(fit)
    rows = [row for family in paper.PERFORMANCE if family in used for row in _rows(result, family, used[family])]
    columns = ["", "ρ of U and the largest", *(f"U = {rate} %" for rate in paper.RATES)]
    sizes = len({fit.x for fits in used.values() for fit in fits})
    return Table(
        f"Slope of alignment on performance (−bits per byte) / Spearman's ρ, means over vision models of a family "
        f"({sizes} in all), beside those of arXiv 2502.16282: minhuh/prh, N = 1,024, captions edited by a language "
        "model (captions_file); other data and edits differ by more than chance",
        columns,
        rows,
    )


def _rows(result: UniquenessResult, family: str, fits: list[PerformanceFit]) -> list[list[str]]:
    """Return a family's values and the published ones; for DINOv2 the largest alignment, too."""
    (curve,) = (curve for curve in result.curves if curve.family == family)
    known = paper.PERFORMANCE[family]
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
