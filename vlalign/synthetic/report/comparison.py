"""Correlations of the largest alignment with U and with D_φ beside the published ones, for every metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from vlalign.display.format import metric_title, number
from vlalign.report.page import Table
from vlalign.stats.correlations import rho_short
from vlalign.synthetic import published as paper
from vlalign.synthetic.results import rho_of_maxima, rho_of_phi

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.stats import Correlation
    from vlalign.synthetic import SyntheticResult

_Rhos = Callable[["pd.DataFrame", str], dict[tuple[int, int], "Correlation | None"]]


def published_tables(result: SyntheticResult) -> list[Table]:
    """Return correlations of modality 2 with U and, for the paper's D_φ, with D_φ, beside the published ones."""
    caption = "Spearman's correlation of {} and the largest alignment over encoders and seeds, for all metrics"
    tables = [_table(result, caption.format("U"), "D_φ", rho_of_maxima, paper.RHO)]
    if set(result.config["phi_depths"]) == set(range(1, 11)):
        tables.append(_table(result, caption.format("D_φ"), "U", rho_of_phi, paper.RHO_OF_PHI))
    return tables


def _table(
    result: SyntheticResult, caption: str, axis: str, rhos: _Rhos, known: Mapping[tuple[str, int], Mapping[int, float]]
) -> Table:
    """Return our correlations and the published ones, a column for each published value of ``axis``."""
    table = result.table[result.table["modality"] == 2]
    columns = list(next(iter(known.values())))
    rows = []
    for metric in result.metrics:
        for depth in sorted(table["reference_depth"].unique()):
            published = known.get((paper.published_metric(metric) or "", depth))
            if published is None:
                continue
            name = metric_title(metric) + (f", encoder of modality 1 of depth {depth}" if depth > 1 else "")
            ours = rhos(table[table["reference_depth"] == depth], metric)
            rows.append([f"{name}: ours", *(rho_short(ours.get((2, value))) for value in columns)])
            rows.append([f"{name}: published", *(number(published[value], 3) for value in columns)])
    return Table(caption, ["", *(f"{axis} = {value}" for value in columns)], rows)
