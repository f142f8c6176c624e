"""Words and numbers that console, figures and pages of a MultiBench study share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.multibench import MultibenchConfig, correlate
from vlalign.multibench.published import TABLE, TITLES, Published, epochs_of, settings_of
from vlalign.report.format import signed

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.multibench import MultibenchResult
    from vlalign.stats import Correlation

METRIC = "unbiased_cka"  # of the published correlations
_LEAST = 5  # values, or depths, that have a correlation
#: data set: samples to train on, and width of the features of each modality
_DATA: dict[str, tuple[int | None, dict[str, int]]] = {
    "avmnist": (55_000, {"image": 16, "audio": 36}),
    "mosi": (None, {"vision": 20, "audio": 5, "text": 300}),
    "mosei": (None, {"vision": 35, "audio": 74, "text": 300}),
    "urfunny": (None, {"vision": 371, "audio": 81, "text": 300}),
    "mustard": (None, {"vision": 371, "audio": 81, "text": 300}),
}


@dataclass(frozen=True)
class Direction:
    """Alignment of the encoders of one modality with the best one of another, against their test performance.

    Attributes:
        modality: whose encoders are correlated.
        reference: whose best encoder they are aligned with.
        best: the row of that encoder.
        rows: of the alignment table.
        pearson, spearman: over encoders as if they were independent; None where not defined.
        depths, spearman_depths: the same values with p and interval that count depths; None for fewer than five.
        why: there is no correlation; empty where there is one.
        published: what the paper has for it, if anything.
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


def chosen_metric(result: MultibenchResult, metric: str | None) -> str:
    """``metric``, or the first one of the study.

    Raises:
        VlalignError: the study has no such metric.
    """
    if metric not in (None, *result.metrics):
        raise VlalignError(f"there is no metric {metric}: the study has {', '.join(result.metrics)}")
    return metric or result.metrics[0]


def directions(result: MultibenchResult, metric: str) -> list[Direction]:
    """All comparisons of a study with their correlations."""
    found = []
    for modality, reference in result.directions:
        rows = result.rows(modality, reference)
        pearson, depths, spearman, ranks = (
            correlate(result, modality, reference, metric, method, by_depth)
            for method in ("pearson", "spearman")
            for by_depth in (False, True)
        )
        why = ""
        if pearson is None:
            constant = [n for n, c in ((result.performance, "test"), ("alignment", metric)) if rows[c].nunique() < 2]
            few = f"{many(len(rows), 'encoder')}, at least {_LEAST} are needed"
            why = f"{constant[0]} is the same for all encoders" if constant and len(rows) >= _LEAST else few
        published = TABLE.get((result.data["name"], modality, reference)) if metric == METRIC else None
        found.append(
            Direction(
                modality, reference, result.best(reference), rows, pearson, depths, spearman, ranks, why, published
            )
        )
    return found


def data_title(result: MultibenchResult) -> str:
    """The data set's name as the paper writes it, or as it is."""
    return TITLES.get(result.data["name"], result.data["name"])


def many(count: int, what: str) -> str:
    """A number of things.

    >>> many(1, "seed"), many(3, "seed")
    ('1 seed', '3 seeds')
    """
    return f"{count} {what}{'s'[: count != 1]}"


def grid_text(result: MultibenchResult) -> str:
    """Such as "10 depths × 3 seeds"."""
    return f"{many(len(result.config['depths']), 'depth')} × {many(len(result.config['seeds']), 'seed')}"


#: columns of the table of the best encoders
BEST = ("modality", "depth", "seed", "epoch", "train", "valid", "test", "test of all")


def best_rows(result: MultibenchResult) -> list[list[str]]:
    """The best encoder of each modality with its performance, and that of all its encoders on test."""
    rows = []
    for name in result.config["modalities"]:
        best, test = result.best(name), result.encoders[result.encoders["modality"] == name]["test"]
        shown = [*(str(best[key]) for key in BEST[1:4]), *(signed(best[key], 3) for key in BEST[4:7])]
        rows.append([name, *shown, span(list(test), 3)])
    return rows


def interval(found: Correlation | None) -> str:
    """The interval, or a dash."""
    return "–" if found is None else f"{signed(found.low)} to {signed(found.high)}"


def r_text(found: Correlation | None) -> str:
    """The coefficient, or a dash."""
    return "–" if found is None else signed(found.r, 3)


def p_value(found: Correlation | None, result: MultibenchResult) -> str:
    """The p-value, or a dash; with its sign where no random permutation reached the coefficient."""
    if found is None:
        return "–"
    least = found.p_from.split()[0].isdigit() and found.p_value <= 1.000001 / (int(result.config["permutations"]) + 1)
    return f"{'≤ ' if least else ''}{found.p_value:.2g}"


def p_said(found: Correlation | None, result: MultibenchResult) -> str:
    """The p-value in a sentence: "p = 0.02" or "p ≤ 0.001"."""
    text = p_value(found, result)
    return f"p {text}" if text.startswith("≤") else f"p = {text}"


def span(values: Sequence[float], digits: int) -> str:
    """From the smallest to the largest, with a true minus."""
    return f"{signed(min(values), digits)} to {signed(max(values), digits)}"


def numbers(values: Sequence[int]) -> str:
    """Whole numbers, runs of them as a range.

    >>> numbers([1, 2, 3, 4, 10]), numbers([2, 22, 42])
    ('1–4, 10', '2, 22, 42')
    """
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(f"{one[0]}–{one[-1]}" if len(one) > 2 else ", ".join(map(str, one)) for one in runs)


def findings(result: MultibenchResult, metric: str, found: Sequence[Direction] | None = None) -> list[str]:
    """What came out, a sentence for each direction: numbers, no verdict."""
    told, measure = [], result.performance
    for one in found or directions(result, metric):
        start = f"{one.modality} encoders, alignment with the best {one.reference} encoder and test {measure}"
        if one.pearson is None:
            told.append(f"{start}: no correlation ({one.why})")
        elif one.depths is None:
            told.append(
                f"{start}: r = {r_text(one.pearson)} ({interval(one.pearson)}), {p_said(one.pearson, result)} over "
                f"{grid_text(result)}, taking encoders for independent; fewer than {_LEAST} depths to count"
            )
        else:
            told.append(
                f"{start}: r = {r_text(one.depths)} ({interval(one.depths)}), {p_said(one.depths, result)} over "
                f"{grid_text(result)}, counting depths"
            )
    return told


def unlike_paper(result: MultibenchResult, metric: str) -> list[str]:
    """How a study of one of the paper's data sets differs from the paper: settings, data. Empty for other data sets."""
    name, config, data = result.data["name"], result.config, result.data
    if name not in TITLES:
        return []
    plain: dict[str, Any] = {entry.name: entry.default for entry in fields(MultibenchConfig)}
    told = []
    for key in ("depths", "seeds"):
        if tuple(config[key]) != plain[key]:
            told.append(f"{key} {numbers(config[key])} ({numbers(plain[key])} in the paper)")
    samples = data["samples"]
    if config["train_samples"] != samples["train"]:
        told.append(f"{config['train_samples']} of {samples['train']} train samples")
    theirs: dict[str, Any] = {"epochs": epochs_of(name), "align_split": "test"}
    theirs |= {key: plain[key] for key in ("batch", "clip", "dropout", "clip_quantile")}
    told += [f"{key} {config[key]} ({value} in the paper)" for key, value in theirs.items() if config[key] != value]
    for i, key in enumerate(("learning_rate", "weight_decay")):
        rates = [settings_of(name, one)[i] for one in config["modalities"]]
        if list(config[key]) != rates:
            ours, known = (", ".join(f"{value:g}" for value in values) for values in (config[key], rates))
            told.append(f"{key} {ours} ({known} in the paper)")
    if config["width"] is not None:
        told.append(f"width {config['width']} (that of the features in the paper)")
    pool = data.get("pool")
    if pool and config["pool"] != pool and (pool, config["pool"]) != ("mean", "mean-padded"):
        told.append(f"pool {config['pool']} ({pool} in the paper)")
    most = min(plain["align_samples"], samples.get(config["align_split"], plain["align_samples"]))
    if config["align_samples"] != most:
        told.append(f"alignment over {config['align_samples']} samples ({most} in the paper)")
    if metric != METRIC:
        told.append(f"alignment by {metric} ({METRIC} in the paper)")
    train, widths = _DATA[name]
    if train is not None and samples["train"] != train:
        told.append(f"data with {samples['train']} train samples ({train} in the paper)")
    for modality, shape in data["shapes"].items():
        if modality in widths and shape[-1] != widths[modality]:
            told.append(f"{modality} features {shape[-1]} wide ({widths[modality]} in the paper)")
    return told


def data_notes(result: MultibenchResult) -> list[str]:
    """What the data set's maker says of it."""
    return [str(note) for note in result.data.get("notes") or ()]
