"""Words and numbers that console, figures and pages of a MultiBench study share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from vlalign.multibench import MultibenchConfig, correlate
from vlalign.multibench.published import TABLE, TITLES, Published, epochs_of, settings_of
from vlalign.report.format import DASH, interval, p_equation, p_text, plural, signed, span

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


def directions(result: MultibenchResult, metric: str) -> list[Direction]:
    """Return all comparisons of a study with their correlations."""
    comparisons = []
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
            few = f"{plural(len(rows), 'encoder')}, at least {_LEAST} are needed"
            why = f"{constant[0]} is the same for all encoders" if constant and len(rows) >= _LEAST else few
        published = TABLE.get((result.data["name"], modality, reference)) if metric == METRIC else None
        best = result.best(reference)
        comparisons.append(
            Direction(modality, reference, best, rows, pearson, depths, spearman, ranks, why, published)
        )  # fmt: skip
    return comparisons


def data_title(result: MultibenchResult) -> str:
    """Return the data set's name as the paper writes it, or as it is."""
    return TITLES.get(result.data["name"], result.data["name"])


def grid_text(result: MultibenchResult) -> str:
    """Return such as "10 depths × 3 seeds"."""
    return f"{plural(len(result.config['depths']), 'depth')} × {plural(len(result.config['seeds']), 'seed')}"


#: columns of the table of the best encoders
BEST = ("modality", "depth", "seed", "epoch", "train", "valid", "test", "test of all")


def best_rows(result: MultibenchResult) -> list[list[str]]:
    """Return the best encoder of each modality with its performance, and that of all its encoders on test."""
    rows = []
    for name in result.config["modalities"]:
        best, test = result.best(name), result.encoders[result.encoders["modality"] == name]["test"]
        shown = [*(str(best[key]) for key in BEST[1:4]), *(signed(best[key], 3) for key in BEST[4:7])]
        rows.append([name, *shown, span(list(test), 3)])
    return rows


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
    """Return whole numbers, consecutive ones as a range.

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


def findings(result: MultibenchResult, metric: str, comparisons: Sequence[Direction] | None = None) -> list[str]:
    """Return the results, a sentence for each direction: numbers, no verdict."""
    sentences, measure = [], result.performance
    for one in comparisons or directions(result, metric):
        start = f"{one.modality} encoders, alignment with the best {one.reference} encoder and test {measure}"
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
    name, config, data = result.data["name"], result.config, result.data
    if name not in TITLES:
        return []
    plain: dict[str, Any] = {entry.name: entry.default for entry in fields(MultibenchConfig)}
    differences = []
    for key in ("depths", "seeds"):
        if tuple(config[key]) != plain[key]:
            differences.append(f"{key} {numbers(config[key])} ({numbers(plain[key])} in the paper)")
    samples = data["samples"]
    if config["train_samples"] != samples["train"]:
        differences.append(f"{config['train_samples']} of {samples['train']} train samples")
    theirs: dict[str, Any] = {"epochs": epochs_of(name), "align_split": "test"}
    theirs |= {key: plain[key] for key in ("batch", "clip", "dropout", "clip_quantile")}
    differences += [
        f"{key} {config[key]} ({value} in the paper)" for key, value in theirs.items() if config[key] != value
    ]
    for i, key in enumerate(("learning_rate", "weight_decay")):
        rates = [settings_of(name, one)[i] for one in config["modalities"]]
        if list(config[key]) != rates:
            ours, known = (", ".join(f"{value:g}" for value in values) for values in (config[key], rates))
            differences.append(f"{key} {ours} ({known} in the paper)")
    if config["width"] is not None:
        differences.append(f"width {config['width']} (that of the features in the paper)")
    pool = data.get("pool")
    if pool and config["pool"] != pool and (pool, config["pool"]) != ("mean", "mean-padded"):
        differences.append(f"pool {config['pool']} ({pool} in the paper)")
    most = min(plain["align_samples"], samples.get(config["align_split"], plain["align_samples"]))
    if config["align_samples"] != most:
        differences.append(f"alignment over {config['align_samples']} samples ({most} in the paper)")
    if metric != METRIC:
        differences.append(f"alignment by {metric} ({METRIC} in the paper)")
    train, widths = _DATA[name]
    if train is not None and samples["train"] != train:
        differences.append(f"data with {samples['train']} train samples ({train} in the paper)")
    for modality, shape in data["shapes"].items():
        if modality in widths and shape[-1] != widths[modality]:
            differences.append(f"{modality} features {shape[-1]} wide ({widths[modality]} in the paper)")
    return differences


def data_notes(result: MultibenchResult) -> list[str]:
    """Return the notes in the data set's description."""
    return [str(note) for note in result.data.get("notes") or ()]
