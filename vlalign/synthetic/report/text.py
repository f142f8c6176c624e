"""Words and numbers that console, figures and page of a synthetic study share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlalign.display.figures import evenly
from vlalign.display.format import interval, metric_title, number, p_text, plural, signed
from vlalign.display.result import Texts
from vlalign.metrics import parse_metric
from vlalign.stats.correlations import rho_short
from vlalign.synthetic.results import KEYS, LEAST, headline, maxima, medians, rank_correlations, rho_of_maxima

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.synthetic import Information, SyntheticResult


def chance_of(metric: str, n: int) -> float | None:
    """Return the mean under a random pairing, for metrics where it does not depend on the features; else None.

    >>> chance_of("unbiased_cka", 512), round(chance_of("mutual_knn:k=100", 512), 3), chance_of("cka", 512)
    (0.0, 0.196, None)
    """
    parsed = parse_metric(metric)
    if parsed.name == "mutual_knn":
        return float(parsed.params["k"]) / (n - 1)
    return 0.0 if parsed.name in ("unbiased_cka", "rnx") else None


def title_of(result: SyntheticResult) -> str:
    """Return the study, its number of encoders and the samples that alignment is computed on."""
    encoders = len(result.table.drop_duplicates(KEYS[:-1]))
    return f"synthetic study: {plural(encoders, 'encoder')}, N = {result.config['align_samples']}"


def findings_of(result: SyntheticResult, metric: str | None = None) -> list[str]:
    """Return the results in sentences; ``metric``: one of the study's (default: the first)."""
    return findings(result, result.chosen_metric(metric))


def main_table(result: SyntheticResult, metric: str | None = None) -> Texts:
    """Return for each modality and depth of φ the largest alignment at every U, and its rank correlation with U."""
    metric = result.chosen_metric(metric)
    most, rhos = maxima(result.table, metric), rho_of_maxima(result.table, metric)
    rows = []
    for (modality, phi), values in most.iterrows():
        rho = rhos[modality, phi]
        p = p_text(None if rho is None else rho.p_value)
        rows.append([str(modality), str(phi), *(number(value, 3) for value in values), rho_short(rho), p])
    columns = ["modality", "D_φ", *(f"U = {u}" for u in most.columns), "ρ (95 % interval)", "p"]
    return Texts(columns, rows)


def median_text(values: pd.Series) -> str:
    """Return the median with its 95 % interval from order statistics, for at least six values.

    >>> import pandas as pd
    >>> median_text(pd.Series(range(11)))
    '5.00 (1.00 to 9.00)'
    """
    from scipy.stats import quantile_test

    values = values.dropna()
    text = number(values.median() if len(values) else None, 2)
    if len(values) < 6:  # the smallest and largest of five hold the median in 94 % of draws
        return text
    low, high = quantile_test(values, p=0.5).confidence_interval(0.95)
    return f"{text} ({interval(low, high, 2, ' to ')})"


def bits_text(one: Information) -> str:
    """Return the relevant bits in words, such as "5 shared, 1 + 2 unique"."""
    text = f"{one.shared} shared, {' + '.join(map(str, one.unique))} unique"
    return text + (f", {one.synergy} synergy" if one.synergy else "")


def findings(result: SyntheticResult, metric: str) -> list[str]:
    """Return the results in sentences, by modality."""
    sentences = []
    encoders = headline(result.table).groupby(["modality", "phi_depth", "uniqueness", "seed"]).size()
    rhos = rho_of_maxima(result.table, metric)
    modalities = sorted({modality for modality, _ in rhos})
    for modality in modalities:
        of_phis = [rho for (m, _), rho in rhos.items() if m == modality and rho is not None]
        prefix = f"modality {modality}: " if len(modalities) > 1 else ""
        if of_phis:
            least, most = min(rho.r for rho in of_phis), max(rho.r for rho in of_phis)
            verb = "falls with U" if max(rho.high for rho in of_phis) < 0 else "against U"  # clear for every φ, or not
            sentences.append(
                f"{prefix}the largest {metric_title(metric)} over encoders {verb}: Spearman's ρ from {signed(least)} "
                f"to {signed(most)} over {len(of_phis)} D_φ"
            )
        elif result.table["uniqueness"].nunique() < LEAST:
            largest = maxima(result.table, metric).loc[modality].max()
            ends = " and ".join(f"{signed(largest[u])} at U = {u}" for u in evenly(list(largest.index), 2))
            sentences.append(
                f"{prefix}the largest {metric_title(metric)} over encoders is {ends}; a correlation needs at least "
                f"{LEAST} U"
            )
        values = medians(result.table, metric).loc[modality]["alignment/performance"].dropna()
        if len(values) > 1:
            cells = rank_correlations(result.table, metric)
            count = int((cells["modality"] == modality).sum() / cells["uniqueness"].nunique())
            low, high = values.index.min(), values.index.max()
            sentences.append(
                f"{prefix}alignment against performance over encoders of one φ and seed: median ρ "
                f"{signed(values[low])} at U = {low}, {signed(values[high])} at U = {high}, over {count} values each"
            )
        elif (count := encoders.loc[modality].max()) < LEAST:
            sentences.append(
                f"{prefix}correlations of alignment and performance are left out: {plural(count, 'encoder')} of one φ "
                f"and seed, at least {LEAST} are needed"
            )
    return sentences
