"""Words and numbers that console, figures and page of a synthetic study share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vlalign.metrics import parse_metric
from vlalign.report.format import metric_title, signed
from vlalign.synthetic.results import OF_DEPTHS, headline, medians, rank_correlations, rho_of_maxima

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.synthetic import Information, SyntheticResult


def chance_of(metric: str, n: int) -> float | None:
    """Mean under a random pairing, for metrics where it does not depend on the features; else None.

    >>> chance_of("unbiased_cka", 512), round(chance_of("mutual_knn:k=100", 512), 3), chance_of("cka", 512)
    (0.0, 0.196, None)
    """
    found = parse_metric(metric)
    if found.name == "mutual_knn":
        return float(found.params["k"]) / (n - 1)
    return 0.0 if found.name in ("unbiased_cka", "rnx") else None


def bits_text(one: Information) -> str:
    """Relevant bits in words, such as "5 shared, 1 + 2 unique"."""
    text = f"{one.shared} shared, {' + '.join(map(str, one.unique))} unique"
    return text + (f", {one.synergy} synergy" if one.synergy else "")


def number(value: float, digits: int = 2) -> str:
    """A number with a true minus; a dash for NaN."""
    return "–" if np.isnan(value) else signed(value, digits)


def summary_rows(table: pd.DataFrame, metric: str, modality: int) -> tuple[list[str], list[list[str]]]:
    """Column names and cells of the medians of one modality by U, with its test accuracies."""
    found = medians(table, metric).loc[modality]
    test = headline(table)[lambda rows: rows["modality"] == modality].groupby("uniqueness")["test"]
    names = ["U", *OF_DEPTHS, "test accuracy"]
    cells = [
        [str(u), *(number(row[name]) for name in OF_DEPTHS), f"{test.min()[u]:.3f} to {test.max()[u]:.3f}"]
        for u, row in found.iterrows()
    ]
    return names, cells


def findings(result: SyntheticResult, metric: str) -> list[str]:
    """What the table shows, in sentences, by modality."""
    told = []
    rhos = rho_of_maxima(result.table, metric)
    for modality in sorted({m for m, _ in rhos}):
        of = [rho for (m, _), rho in rhos.items() if m == modality and rho is not None]
        whose = f"modality {modality}: " if len({m for m, _ in rhos}) > 1 else ""
        if of:
            least, most = min(rho.r for rho in of), max(rho.r for rho in of)
            verb = (
                "falls with U" if max(rho.high for rho in of) < 0 else "against U"
            )  # beyond doubt for every φ, or not
            told.append(
                f"{whose}the largest {metric_title(metric)} over encoders {verb}: Spearman's ρ from {signed(least)} to "
                f"{signed(most)} over {len(of)} D_φ"
            )
        found = medians(result.table, metric).loc[modality]["alignment/performance"].dropna()
        if len(found) > 1:
            cells = rank_correlations(result.table, metric)
            count = int((cells["modality"] == modality).sum() / cells["uniqueness"].nunique())
            low, high = found.index.min(), found.index.max()
            told.append(
                f"{whose}alignment against performance over encoders of one φ and seed: median ρ {signed(found[low])} "
                f"at U = {low}, {signed(found[high])} at U = {high}, over {count} of them each"
            )
    return told
