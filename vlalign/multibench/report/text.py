"""Words and numbers that console, figures and pages of a MultiBench study share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from vlalign.display.format import DASH, interval, metric_title, p_equation, p_text, plural, ranges, signed, span
from vlalign.display.result import Texts
from vlalign.multibench import MultibenchConfig, correlate
from vlalign.multibench.data.affect import CONVENTIONS, MODALITIES
from vlalign.multibench.published import TABLE, TITLES, Published, epochs_of, rates_of_data
from vlalign.report.page import Table

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.multibench import MultibenchResult
    from vlalign.stats import Correlation

METRIC = "unbiased_cka"  # of the published correlations
_LEAST = 5  # values, or depths, that have a correlation


@dataclass(frozen=True)
class Direction:
    """Alignment of the encoders of one modality with the best encoder of another, against their test performance.

    Attributes:
        modality: whose encoders are correlated.
        reference: whose best encoder they are aligned with.
        best: the row of that encoder.
        rows: of the alignment table.
        pearson, spearman: over encoders, treated as independent; None where not defined.
        depths, spearman_depths: the same values with p and interval that count depths; None for fewer than five.
        why: the reason for a missing correlation, else empty.
        published: the paper's values, if any.
    """

    modality: str
    reference: str
    best: dict[str, Any]
    rows: pd.DataFrame
    pearson: Correlation | None
    depths: Correlation | None
    spearman: Correlation | None
    spearman_depths: Correlation | None
    why: str
    published: Published | None

    @property
    def title(self) -> str:
        """Such as "image with audio"."""
        return f"{self.modality} with {self.reference}"


class Shown:
    """A study and the metric that is shown of it.

    Args:
        result: of the study.
        metric: one of its metrics; None for the first.

    Attributes:
        result: of the study.
        metric: that is shown.
        directions: all comparisons with their correlations.
        published: whether the paper has values for one of them.
        enough: whether there are enough encoders for correlations.

    Raises:
        VlalignError: the study has no such metric.
    """

    def __init__(self, result: MultibenchResult, metric: str | None = None) -> None:
        self.result, self.metric = result, result.chosen_metric(metric)
        self.directions = [self._direction(modality, reference) for modality, reference in result.directions]
        self.published = any(one.published for one in self.directions)
        self.enough = any(len(one.rows) >= _LEAST for one in self.directions)

    def _direction(self, modality: str, reference: str) -> Direction:
        result, metric, rows = self.result, self.metric, self.result.rows(modality, reference)
        pearson, depths, spearman, ranks = (
            correlate(result, modality, reference, metric, method, by_depth)
            for method in ("pearson", "spearman")
            for by_depth in (False, True)
        )
        why = ""
        if pearson is None:
            constant = [n for n, c in ((result.performance, "test"), ("alignment", metric)) if rows[c].nunique() < 2]
            few = f"{plural(len(rows), 'encoder')} of a modality, at least {_LEAST} are needed"
            why = f"{constant[0]} is the same for all encoders" if constant and len(rows) >= _LEAST else few
        published = TABLE.get((result.data["name"], modality, reference)) if metric == METRIC else None
        best = result.best(reference)
        return Direction(modality, reference, best, rows, pearson, depths, spearman, ranks, why, published)


def title_of(result: MultibenchResult) -> str:
    """Return data set, number of encoders, and the samples that alignment is computed on."""
    encoders = plural(len(result.encoders), "encoder")
    return f"{data_title(result)}: {encoders} of {grid_text(result)}, N = {result.config['align_samples']}"


def findings_of(result: MultibenchResult, metric: str | None = None) -> list[str]:
    """Return the results, a sentence for each direction; ``metric``: one of the study's (default: the first)."""
    return findings(Shown(result, metric))


def main_table(result: MultibenchResult, metric: str | None = None) -> Texts:
    """Return the correlation of alignment and performance of each direction, over encoders and counting depths."""
    shown = Shown(result, metric)
    known = ["published", "later"] if shown.published else []
    columns = ["encoders", "with", "r", "95 % interval", "p", "by depths", "p (depths)", "ρ", *known]
    rows = []
    for one in shown.directions:
        pearson, depths = ([r_interval(rho), p_value(rho, result)] for rho in (one.pearson, one.depths))
        published = [DASH, DASH] if one.published is None else [signed(v, 3) for v in vars(one.published).values()]
        row = [one.modality, one.reference, r_text(one.pearson), *pearson, *depths, r_text(one.spearman)]
        rows.append(row + (published if known else []))
    return Texts(columns, rows, left=["with"])


def data_title(result: MultibenchResult) -> str:
    """Return the data set's name as the paper writes it, or as it is."""
    return TITLES.get(result.data["name"], result.data["name"])


def grid_text(result: MultibenchResult) -> str:
    """Return such as "10 depths × 3 seeds"."""
    return f"{plural(len(result.config['depths']), 'depth')} × {plural(len(result.config['seeds']), 'seed')}"


def best_table(result: MultibenchResult) -> Table:
    """Return the best encoder of each modality with its performance, and that of all its encoders on test."""
    columns, rows = ("modality", "depth", "seed", "epoch", "train", "valid", "test", "test of all"), []
    for name in result.config["modalities"]:
        best, test = result.best(name), result.encoders[result.encoders["modality"] == name]["test"]
        cells = [*(str(best[key]) for key in columns[1:4]), *(signed(best[key], 3) for key in columns[4:7])]
        rows.append([name, *cells, span(list(test), 3)])
    caption = f"{data_title(result)}: the best encoder of each modality by valid {result.performance}"
    return Table(caption, columns, rows)


def r_interval(rho: Correlation | None) -> str:
    """Return the interval, or a dash."""
    return DASH if rho is None else interval(rho.low, rho.high, 2, " to ")


def r_text(rho: Correlation | None) -> str:
    """Return the coefficient, or a dash."""
    return DASH if rho is None else signed(rho.r, 3)


def p_value(rho: Correlation | None, result: MultibenchResult) -> str:
    """Return the p-value, or a dash; with its sign where no random permutation reached the coefficient."""
    if rho is None:
        return DASH
    random = rho.p_from.split()[0].isdigit()
    return p_text(rho.p_value, 1 / (int(result.config["permutations"]) + 1) if random else 0.0)


def p_equal(rho: Correlation | None, result: MultibenchResult) -> str:
    """Return the p-value as an equation: "p = 0.02" or "p ≤ 0.001"."""
    return p_equation(p_value(rho, result))


def numbers(values: Sequence[int]) -> str:
    """Return whole numbers, three or more consecutive ones as a range."""
    return ranges(values, "–")


def findings(shown: Shown) -> list[str]:
    """Return the results, a sentence for each direction: numbers, no verdict."""
    sentences, result = [], shown.result
    if not shown.enough:
        return [f"correlations are left out: {shown.directions[0].why}"]
    for one in shown.directions:
        start = (
            f"{one.modality} encoders, alignment with the best {one.reference} encoder and test {result.performance}"
        )
        rho = one.depths or one.pearson
        if rho is None:
            sentences.append(f"{start}: no correlation ({one.why})")
            continue
        how = "counting depths" if one.depths else f"encoders treated as independent, as fewer than {_LEAST} depths"
        sentences.append(
            f"{start}: r = {r_text(rho)} ({r_interval(rho)}), {p_equal(rho, result)} over {grid_text(result)}, {how}"
        )
    return sentences


def unlike_paper(result: MultibenchResult, metric: str) -> list[str]:
    """Return how settings and data differ from the paper's; empty for data sets that the paper does not have."""
    name, config, data, samples = result.data["name"], result.config, result.data, result.data["samples"]
    if name not in TITLES:
        return []
    plain: dict[str, Any] = {entry.name: entry.default for entry in fields(MultibenchConfig)}
    theirs: dict[str, Any] = {"epochs": epochs_of(name), "align_split": "test"}
    theirs |= {key: plain[key] for key in ("batch", "clip", "dropout", "clip_quantile")}
    rates = rates_of_data(name, config["modalities"])
    pool = data.get("pool") or config["pool"]
    most = min(plain["align_samples"], samples.get(config["align_split"], plain["align_samples"]))
    train, widths = 55_000, {"image": 16, "audio": 36}
    if name in CONVENTIONS:
        train, widths = samples["train"], dict(zip(MODALITIES, CONVENTIONS[name].widths[0], strict=True))

    def listed(values: Sequence[float]) -> str:
        return ", ".join(f"{value:g}" for value in values)

    compared: list[tuple[str, Any, Any, str]] = [  # words, value, that of the paper, words
        *((f"{key} ", numbers(config[key]), numbers(plain[key]), "") for key in ("depths", "seeds")),
        *((f"{key} ", config[key], value, "") for key, value in theirs.items()),
        *((f"{key} ", listed(config[key]), listed(rates[key]), "") for key in rates),
        ("width ", config["width"] or "that of the features", "that of the features", ""),
        ("pool ", pool if (pool, config["pool"]) == ("mean", "mean-padded") else config["pool"], pool, ""),
        ("alignment over ", config["align_samples"], most, " samples"),
        ("alignment by ", metric_title(metric), metric_title(METRIC), ""),
        ("data with ", samples["train"], train, " train samples"),
        *(
            (f"{modality} features ", shape[-1], widths.get(modality, shape[-1]), " wide")
            for modality, shape in data["shapes"].items()
        ),
    ]
    some = [f"{config['train_samples']} of {samples['train']} train samples"]
    return (some if config["train_samples"] != samples["train"] else []) + [
        f"{before}{ours}{after} ({known} in the paper)" for before, ours, known, after in compared if ours != known
    ]


def data_notes(result: MultibenchResult) -> list[str]:
    """Return the notes in the data set's description."""
    return [str(note) for note in result.data.get("notes") or ()]
