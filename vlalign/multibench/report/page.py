"""The page of a MultiBench study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.multibench import MultibenchConfig
from vlalign.multibench.published import TITLES, epochs_of, settings_of
from vlalign.multibench.report.table1 import INTERVALS, about_published, cells_of, columns_of, how_to_read
from vlalign.multibench.report.text import (
    BEST,
    Direction,
    best_rows,
    data_notes,
    data_title,
    findings,
    grid_text,
    numbers,
    r_text,
    span,
    unlike_paper,
)
from vlalign.report import page
from vlalign.report.command import changed, command_line
from vlalign.report.format import last_run, metric_title, signed
from vlalign.settings import yaml_text

if TYPE_CHECKING:
    from vlalign.multibench import MultibenchResult


def multibench_page(
    result: MultibenchResult, found: Sequence[Direction], metric: str, figures: Mapping[str, Path]
) -> str:
    """The page as HTML.

    Args:
        result: of the study.
        found: its directions.
        metric: whose values are shown.
        figures: PNG files by name, see :func:`vlalign.multibench.report.figures.save_figures`.

    Raises:
        VlalignError: a figure cannot be read.
    """
    published = any(one.published for one in found)
    return page.page(
        f"Does alignment tell performance? {data_title(result)}",
        [
            page.terms(_run(result, metric)),
            page.section("Findings", page.bullets([_sentence(one) for one in findings(result, metric, found)])),
            page.section(
                "Correlations",
                page.table(
                    "Alignment of a modality's encoders with the best encoder of another, against their test "
                    f"{result.performance}; {INTERVALS}",
                    columns_of(published),
                    [cells_of(one, result, metric, published) for one in found],
                ),
                page.paragraph(about_published(), "dim") if published else "",
                page.bullets([*_unlike(result, metric), *(f"Data: {note}" for note in data_notes(result))]),
            ),
            page.section("How to read this", page.bullets(how_to_read())),
            page.section("Alignment against performance", _scatter(result, found, metric, figures)),
            page.section("Depth", _depth(result, found, metric, figures)),
            page.section("Layers", _layers(result, metric, figures)),
            page.section(
                "Encoders",
                page.table(f"The best of each modality by valid {result.performance}", BEST, best_rows(result)),
                page.bullets(_noise(result)),
                page.details("All encoders", _encoders(result, found, metric)),
            ),
            page.section(
                "How it was made",
                page.paragraph("The command that makes it again, from the prepared data:"),
                page.code(command(result), wrap=True),
                page.details("Settings", page.code(yaml_text(result.config).rstrip())),
                page.details("Environment", page.code(yaml_text(result.environment).rstrip())),
            ),
        ],
    )


def asked(result: MultibenchResult) -> dict[str, Any]:
    """The settings without those that follow from the data set."""
    config, data = dict(result.config), result.data
    filled: dict[str, Any] = {
        "modalities": list(data["shapes"]), "train_samples": data["samples"]["train"], "pool": data.get("pool"),
        "epochs": epochs_of(data["name"]),
    }  # fmt: skip
    for i, name in enumerate(("learning_rate", "weight_decay")):
        filled[name] = [settings_of(data["name"], one)[i] for one in config["modalities"]]
    config |= {name: None for name, value in filled.items() if config[name] == value}
    if config["align_samples"] == data["samples"].get(config["align_split"]):  # all there are
        config["align_samples"] = max(config["align_samples"], MultibenchConfig.align_samples)
    if config["out"] == MultibenchConfig(data=config["data"]).out:
        config["out"] = ""
    return config


def command(result: MultibenchResult) -> str:
    """That makes the study again."""
    return command_line(MultibenchConfig, asked(result), "vlalign", "multibench", "run")


def _run(result: MultibenchResult, metric: str) -> dict[str, str]:
    config, data, environment = result.config, result.data, result.environment
    samples = ", ".join(f"{count} {title}" for title, count in data["samples"].items())
    kind = data["task"] + (f" of {data['classes']} classes" if data.get("classes") else "")
    own = {
        name: value
        for name, value in changed(MultibenchConfig, asked(result)).items()
        if name not in MultibenchConfig.RUNNING
    }
    settings = [
        f"{name} {', '.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in own.items()
        if name not in ("depths", "seeds", "metrics")
    ]
    shapes = [f"{name} {' × '.join(map(str, data['shapes'][name]))}" for name in config["modalities"]]
    packages = environment.get("packages", {})
    made = [f"{name} {packages[name]}" for name in ("vlalign", "torch") if name in packages]
    return {
        "data": f"{data_title(result)}, {kind}; {samples} samples; fingerprint {data['fingerprint'][:16]}",
        "modalities": f"{', '.join(shapes)} (frames × features)",
        "encoders": f"{grid_text(result)} of each modality: depths {numbers(config['depths'])}, seeds "
        f"{numbers(config['seeds'])}; {config['epochs']} epochs on {config['train_samples']} samples",
        "alignment": f"{metric_title(metric)}, largest over pairs of layers, on {config['align_samples']} samples of "
        f"the {config['align_split']} split, with the best encoder of the other modality by valid {result.performance}",
        "other settings": "defaults" if not settings else "; ".join(settings),
        "last run": f"{last_run(result.trained, result.seconds, environment)}, device: {environment.get('device')}",
        "made with": ", ".join([*made, f"commit {environment.get('git') or 'unknown'}"]),
    }


def _sentence(text: str) -> str:
    """A finding with a capital, whose numbers stay with their names."""
    return (text[0].upper() + text[1:]).replace(" = ", "\u00a0=\u00a0").replace(" ≤ ", "\u00a0≤\u00a0")


def _unlike(result: MultibenchResult, metric: str) -> list[str]:
    """What a reader must know before ours and the published values are compared."""
    if result.data["name"] not in TITLES:
        return []
    told = unlike_paper(result, metric)
    return [f"Not as in the paper: {'; '.join(told)}."] if told else ["Grid and settings are those of the paper."]


def _noise(result: MultibenchResult) -> list[str]:
    """How much of the differences in performance is chance of the test samples, where that is known."""
    if result.data["task"] == "regression":
        return []
    count, told = result.data["samples"]["test"], []
    for name in result.config["modalities"]:
        test = result.encoders[result.encoders["modality"] == name]["test"]
        mean = float(test.mean())
        error = float(np.sqrt(mean * (1 - mean) / count))
        told.append(
            f"{name}: test {result.performance} from {span(list(test), 3)}; one value of {signed(mean, 3)} over "
            f"{count} test samples has a standard error of {error:.3f}, those of the encoders differ by a standard "
            f"deviation of {test.std():.3f}."
        )
    return told


def _scatter(result: MultibenchResult, found: Sequence[Direction], metric: str, figures: Mapping[str, Path]) -> str:
    told = "; ".join(f"{one.title}: " + (f"r = {r_text(one.pearson)}" if one.pearson else one.why) for one in found)
    return page.picture(
        figures["scatter"],
        f"Scatter plots of {metric_title(metric)} against test {result.performance}, a panel for each direction. "
        f"{told}.",
        "A dot is an encoder: its alignment with the best encoder of the other modality, and its performance. Colour: "
        "its depth; shape: its seed; line: least squares. In brackets: 95 % interval.",
    )  # fmt: skip


def _depth(result: MultibenchResult, found: Sequence[Direction], metric: str, figures: Mapping[str, Path]) -> str:
    ends = (min(result.config["depths"]), max(result.config["depths"]))
    told = []
    for one in found:
        means = one.rows.groupby("depth")[["test", metric]].mean()
        changes = [f"{signed(means[name][ends[0]])} to {signed(means[name][ends[1]])}" for name in ("test", metric)]
        told.append(f"{one.title}: {result.performance} {changes[0]}, alignment {changes[1]}")
    return page.picture(
        figures["depth"],
        f"Performance and alignment against depth, a panel for each direction. Means at depths {ends[0]} and "
        f"{ends[1]}: {'; '.join(told)}.",
        "Lines: means over seeds. Where both follow depth they correlate through it, whatever else they share.",
    )


def _layers(result: MultibenchResult, metric: str, figures: Mapping[str, Path]) -> str:
    return page.picture(
        figures["layers"],
        f"Heat maps of {metric_title(metric)} of every layer with every layer of the reference, a row for each "
        "direction and a map for each of some depths.",
        "Means over seeds; framed: the largest of a map, whose value stands above it.",
    )


def _encoders(result: MultibenchResult, found: Sequence[Direction], metric: str) -> str:
    values = {
        (one.modality, row["depth"], row["seed"], one.reference): row[metric]
        for one in found
        for _, row in one.rows.iterrows()
    }
    others = list(result.config["modalities"])
    rows = [
        [
            f"{row['modality']}{' (best)' if row['best'] else ''}",
            *(str(row[key]) for key in ("depth", "seed", "epoch")),
            *(signed(row[key], 3) for key in ("train", "valid", "test")),
            *(
                signed(values[key], 3)
                if (key := (row["modality"], row["depth"], row["seed"], other)) in values
                else "–"
                for other in others
            ),
        ]
        for _, row in result.encoders.iterrows()
    ]
    columns = ["modality", "depth", "seed", "epoch", "train", "valid", "test", *(f"with {other}" for other in others)]
    caption = f"Performance ({result.performance}) of every encoder, and its alignment with the best of the others"
    return page.table(caption, columns, rows)
