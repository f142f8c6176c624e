"""Page of a MultiBench study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.display.format import last_run, metric_title, number, signed, span
from vlalign.multibench import MultibenchConfig
from vlalign.multibench.published import TITLES, epochs_of, rates_of_data
from vlalign.multibench.report.table1 import INTERVALS, about_published, cells_of, columns_of, how_to_read
from vlalign.multibench.report.text import (
    Shown,
    best_table,
    data_notes,
    data_title,
    findings,
    grid_text,
    numbers,
    r_text,
    unlike_paper,
)
from vlalign.report.commands import changed, command_line
from vlalign.report.page import Bullets, Details, Figure, Page, Paragraph, Section, Table
from vlalign.report.study import study_page

if TYPE_CHECKING:
    from vlalign.multibench import MultibenchResult


def multibench_page(shown: Shown, figures: Mapping[str, Path]) -> Page:
    """Return the page, with PNG files by name: see :func:`vlalign.multibench.report.figures.save_figures`."""
    result, metric = shown.result, shown.metric
    table = Table(
        f"Alignment of a modality's encoders with the best encoder of another, against their test "
        f"{result.performance}; {INTERVALS}",
        columns_of(shown.published),
        [cells_of(one, shown, shown.published) for one in shown.directions],
    )
    published = Paragraph(about_published(), "dim") if shown.published else None
    correlations = [
        Section("Alignment against performance", [_scatter(shown, figures.get("scatter"))]),
        Section("Correlations", [table, published]),
        Section("How to read this", [Bullets(how_to_read())]),
    ]
    notes = [*_unlike(result, metric), *(f"Data: {note}" for note in data_notes(result))]
    encoders = [best_table(result), Bullets(_noise(result)), Details("All encoders", [_encoders(shown)])]
    return study_page(
        f"Does alignment predict performance? {data_title(result)}",
        _facts(result, metric),
        [finding[0].upper() + finding[1:] for finding in findings(shown)],
        [
            *(correlations if shown.enough else []),
            Section("Depth", [_depth(shown, figures["depth"])]),
            Section("Layers", [_layers(metric, figures["layers"])]),
            Section("Notes", [Bullets(notes)]),
            Section("Encoders", encoders),
        ],
        command=command(result),
        config=result.config,
        environment=result.environment,
    )


def given_settings(result: MultibenchResult) -> dict[str, Any]:
    """Return the settings without those that follow from the data set."""
    config, data = dict(result.config), result.data
    filled: dict[str, Any] = {
        "modalities": list(data["shapes"]), "train_samples": data["samples"]["train"], "pool": data.get("pool"),
        "epochs": epochs_of(data["name"]), **rates_of_data(data["name"], config["modalities"]),
    }  # fmt: skip
    config |= {name: None for name, value in filled.items() if config[name] == value}
    if config["align_samples"] == data["samples"].get(config["align_split"]):  # all samples of the split
        config["align_samples"] = max(config["align_samples"], MultibenchConfig.align_samples)
    if config["out"] == MultibenchConfig(data=config["data"]).out:
        config["out"] = ""
    return config


def command(result: MultibenchResult) -> str:
    """Return the command that reproduces the study."""
    return command_line("multibench", "run", **changed(MultibenchConfig, given_settings(result)))


def _facts(result: MultibenchResult, metric: str) -> dict[str, str]:
    config, data, environment = result.config, result.data, result.environment
    samples = ", ".join(f"{count} {title}" for title, count in data["samples"].items())
    kind = data["task"] + (f" of {data['classes']} classes" if data.get("classes") else "")
    settings = [
        f"{name} {', '.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in changed(MultibenchConfig, given_settings(result)).items()
        if name not in (*MultibenchConfig.RUNNING, "depths", "seeds", "metrics")
    ]
    shapes = [f"{name} {' × '.join(map(str, data['shapes'][name]))}" for name in config["modalities"]]
    return {
        "data": f"{data_title(result)}, {kind}; {samples} samples; fingerprint {data['fingerprint'][:16]}",
        "modalities": f"{', '.join(shapes)} (frames × features)",
        "encoders": f"{grid_text(result)} of each modality: depths {numbers(config['depths'])}, seeds "
        f"{numbers(config['seeds'])}; {config['epochs']} epochs on {config['train_samples']} samples",
        "alignment": f"{metric_title(metric)}, largest over pairs of layers, on {config['align_samples']} samples of "
        f"the {config['align_split']} split, with the best encoder of the other modality by valid {result.performance}",
        "other settings": "; ".join(settings) or "defaults",
        "last run": f"{last_run(result.trained, result.seconds, environment)}, device: {environment.get('device')}",
    }


def _unlike(result: MultibenchResult, metric: str) -> list[str]:
    """Return what limits a comparison of these values with the published ones."""
    if result.data["name"] not in TITLES:
        return []
    unlike = unlike_paper(result, metric)
    return [f"Not as in the paper: {'; '.join(unlike)}."] if unlike else ["Grid and settings are those of the paper."]


def _noise(result: MultibenchResult) -> list[str]:
    """Return how much of the differences in performance is chance of the test samples, where that is known."""
    if result.data["task"] == "regression":
        return []
    count, sentences = result.data["samples"]["test"], []
    for name in result.config["modalities"]:
        test = result.encoders[result.encoders["modality"] == name]["test"]
        mean = float(test.mean())
        error = float(np.sqrt(mean * (1 - mean) / count))
        sentences.append(
            f"{name}: test {result.performance} from {span(list(test), 3)}; one value of {signed(mean, 3)} over "
            f"{count} test samples has a standard error of {error:.3f}, those of the encoders differ by a standard "
            f"deviation of {test.std():.3f}."
        )
    return sentences


def _scatter(shown: Shown, path: Path | None) -> Figure | None:
    if path is None:
        return None
    values = (f"{one.title}: {f'r = {r_text(one.pearson)}' if one.pearson else one.why}" for one in shown.directions)
    return Figure(
        path,
        f"Scatter plots of {metric_title(shown.metric)} against test {shown.result.performance}, a panel for each "
        f"direction. {'; '.join(values)}.",
        "A dot is an encoder: its alignment with the best encoder of the other modality, and its performance. Colour: "
        "its depth; shape: its seed; line: least squares. In brackets: 95 % interval.",
    )


def _depth(shown: Shown, path: Path) -> Figure:
    depths = shown.result.config["depths"]
    low, high = min(depths), max(depths)
    values = []
    for one in shown.directions:
        means = one.rows.groupby("depth")[["test", shown.metric]].mean()
        changes = [f"{signed(column[low])} to {signed(column[high])}" for _, column in means.items()]
        values.append(f"{one.title}: {shown.result.performance} {changes[0]}, alignment {changes[1]}")
    return Figure(
        path,
        f"Performance and alignment against depth, a panel for each direction. Means at depths {low} and {high}: "
        f"{'; '.join(values)}.",
        "Lines: means over seeds. Where both follow depth they correlate through it, whatever else they share.",
    )


def _layers(metric: str, path: Path) -> Figure:
    return Figure(
        path,
        f"Heat maps of {metric_title(metric)} of every layer with every layer of the reference, a row for each "
        "direction and a map for each of some depths.",
        "Means over seeds, layers of images on y; framed: the largest of a map, whose value is above it.",
    )


def _encoders(shown: Shown) -> Table:
    others, numbers = list(shown.result.config["modalities"]), ("train", "valid", "test")
    values = {
        (one.modality, row["depth"], row["seed"], one.reference): row[shown.metric]
        for one in shown.directions
        for _, row in one.rows.iterrows()
    }
    rows = []
    for _, row in shown.result.encoders.iterrows():
        aligned = (values.get((row["modality"], row["depth"], row["seed"], other)) for other in others)
        name = f"{row['modality']}{' (best)' if row['best'] else ''}"
        whole = (str(row[key]) for key in ("depth", "seed", "epoch"))
        rows.append([name, *whole, *(signed(row[key], 3) for key in numbers), *(number(one, 3) for one in aligned)])
    return Table(
        f"Performance ({shown.result.performance}) of every encoder, and its alignment with the best of the others",
        ["modality", "depth", "seed", "epoch", *numbers, *(f"with {other}" for other in others)],
        rows,
    )
