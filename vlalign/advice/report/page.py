"""Page of advice: verdicts, the curves behind them, alignment, and what was done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vlalign.advice.analysis import of_control
from vlalign.advice.arms import CONTROLS, PAIRS
from vlalign.advice.config import AdviceConfig
from vlalign.advice.encoder import USES
from vlalign.display.format import DASH, duration, interval, number, plural, signed
from vlalign.report.commands import changed, command_line
from vlalign.report.page import Bullets, Figure, Page, Paragraph, Section, Table
from vlalign.report.study import study_page

if TYPE_CHECKING:
    from vlalign.advice.results import AdviceResult
    from vlalign.advice.verdict import Verdict


def advice_page(result: AdviceResult, figures: Mapping[str, Path]) -> Page:
    """Return the page.

    Args:
        result: of the study.
        figures: PNG files by name.
    """
    score = result.score_name
    levels = 1 - 0.05
    sections = [
        Section(
            "Verdicts",
            [
                verdict_table(result),
                Bullets([_reason(result, verdict) for verdict in result.verdicts]),
                Figure(
                    figures["curves"],
                    f"Difference in {score} to training without the term against its weight, for three uses",
                    f"Difference in test {score} to λ = 0, with {levels:.0%} intervals for all λ and uses at once. "
                    f"n = {result.facts['tested']} test samples{_grouped(result)}, each tested on once a seed; "
                    f"{len(result.config['seeds'])} seeds. Shuffled pairs are a regulariser; pairs shuffled within "
                    "their class carry class information only.",
                ),
            ],
        ),
        _information(result, figures),
        Section(
            "Alignment and retrieval",
            [
                Paragraph(
                    "The term raises alignment and retrieval whether or not performance follows: read them beside the "
                    "verdicts, not in place of them."
                ),
                Figure(
                    figures["matching"],
                    "Alignment and retrieval of the embeddings against the weight of the term",
                    f"Mutual-kNN of the test embeddings with k = {result.config['k']}, from 0 at chance to 1, and the "
                    "share of test pairs whose partner is nearest; means over seeds and folds; dotted: chance.",
                ),
                _matching_table(result),
            ],
        ),
        Section("Scores", [_score_table(result, use) for use in USES]),
        Section(
            "What was done",
            [
                Paragraph(
                    f"Two encoders ({_layers(result)}) to {result.config['width']} dimensions, with a head on both "
                    "embeddings and one on each, were trained on the mean of the three heads' losses + λ · a symmetric "
                    f"contrastive term (temperature {result.config.get('temperature', 'learned')}), which also sees "
                    "the pairs without a label. All λ and controls share samples, "
                    "batches, initial weights and steps. Checkpoint, depth and λ were chosen on validation, "
                    "differences measured on test. An interval accounts for other seeds and other test samples "
                    "(crossed random effects) and, by Bonferroni's rule, for all λ and uses. In the control within "
                    "classes the term sees labelled pairs only."
                )
            ],
        ),
    ]
    return study_page(
        "Should these modalities be aligned?",
        _facts(result),
        [f"{_sentence(result.use_name(verdict.use))}: {verdict.text}." for verdict in result.verdicts],
        sections,
        definition="λ is the weight of the contrastive term that pulls the embeddings of a pair together.",
        command=command_of(result),
        config=result.config,
        environment=result.environment,
    )


def _information(result: AdviceResult, figures: Mapping[str, Path]) -> Section:
    """Return what the modalities know about the label, or why that is not estimated."""
    record = result.facts.get("information", {})
    title = "What the modalities know about the label"
    if "estimates" not in record:
        return Section(title, [Paragraph(f"Not estimated: {record.get('refused', 'the run is of an older version')}.")])
    label = (
        "label" if result.facts["classes"] else f"target, in {len(record['classes'])} parts of equally many samples,"
    )
    return Section(
        title,
        [
            Figure(
                figures["information"],
                "Bars of the information in both modalities, in each alone and in both together",
                f"Partial information decomposition (BROJA), n = {record['samples']:,}; the {label} has "
                f"{number(record['label_entropy'], 2)} {record['units']}. Lines: 95 % intervals; orange: 95 % quantile "
                "with shuffled labels; grey: not detected.",
            ),
            Paragraph(
                "What one modality has alone is what a strong term may remove. What is in both depends on what each "
                "knows about the label, not on which samples are paired: it can be large where the pairs share nothing."
            ),
        ],
    )


def command_of(result: AdviceResult) -> str:
    """Return the command, or the call where the data were arrays."""
    settings = changed(AdviceConfig, result.config)
    data = settings.pop("data", ())
    if data:
        return command_line("advise", *data, **settings)
    return f"vlalign.advise(x1, x2, y{''.join(f', {name}={value!r}' for name, value in settings.items())})"


def verdict_table(result: AdviceResult) -> Table:
    """Return the verdicts with their numbers, a row for each use."""
    return Table(
        f"Verdict for each use, by test {result.score_name}; intervals hold for all λ and uses at once (95 %)",
        ["at test time", "verdict", "λ", "difference to λ = 0", "smallest visible effect"],
        [
            [
                result.use_name(verdict.use), verdict.decision, f"{verdict.weight:g}",
                f"{signed(verdict.effect, 3)}\n{interval(verdict.low, verdict.high, 3, ' to ')}",
                number(verdict.detectable, 3),
            ]
            for verdict in result.verdicts
        ],
        left=("verdict",),
    )  # fmt: skip


def _reason(result: AdviceResult, verdict: Verdict) -> str:
    """Return what explains a verdict, and what to try."""
    reason = f"explained by {verdict.reason}. " if verdict.reason else ""
    return f"{_sentence(result.use_name(verdict.use))}: {reason}What to try: {verdict.instead}."


def _score_table(result: AdviceResult, use: str) -> Table:
    rows = []
    pairs = of_control(result.effects, use)
    for weight in pairs["weight"]:
        row = [f"λ = {weight:g}"]
        for control in CONTROLS:
            entry = of_control(result.effects, use, control).query("weight == @weight").iloc[0]
            if control == PAIRS:
                row.append(number(entry["score"], 3))
            around = interval(entry["low"], entry["high"], 3, " to ")
            row.append(DASH if weight == 0 else f"{signed(entry['effect'], 3)}\n{around}")
        rows.append(row)
    return Table(
        f"{_sentence(result.use_name(use))}: {result.score_name} and differences to λ = 0",
        ["", result.score_name, "true pairs", "pairs shuffled", "shuffled within class"],
        rows,
    )


def _matching_table(result: AdviceResult) -> Table:
    rows = of_control(result.matching)
    return Table(
        f"True pairs; chance of R@1 is {rows['recall1_chance'].iloc[0]:.3f}, of R@5 "
        f"{rows['recall5_chance'].iloc[0]:.3f}, of mutual-kNN {rows['chance'].iloc[0]:.3f}; z: distance from "
        "chance in standard deviations of one fold",
        ["", "mutual-kNN", "above chance", "z", "R@1", "R@5"],
        [
            [f"λ = {row.weight:g}", number(row.alignment, 3), number(row.calibrated, 3), number(row.z, 1),
             number(row.recall1, 3), number(row.recall5, 3)]
            for row in rows.itertuples()
        ],
    )  # fmt: skip


def _facts(result: AdviceResult) -> dict[str, str]:
    facts, config = result.facts, result.config
    first, second = facts["names"]
    folds = "train, valid and test as given" if facts["folds"] == 1 else f"{facts['folds']} folds"
    task = plural(facts["classes"], "class").replace("classs", "classes") if facts["classes"] else "regression"
    return {
        "modalities": f"{first} ({facts['widths'][0]} values) and {second} ({facts['widths'][1]} values)",
        "samples": f"{facts['samples']:,} labelled, {facts['unlabelled']:,} more pairs without a label",
        "task": task,
        "design": f"{plural(len(config['seeds']), 'seed')}, {folds}, 2 controls, λ = "
        + ", ".join(f"{weight:g}" for weight in config["weights"]),
        "training": f"{config['steps']} steps of {config['batch']} labelled samples; {result.trained} pairs of "
        f"encoders in the last run, {duration(result.seconds['train'])}",
    }  # fmt: skip


def _grouped(result: AdviceResult) -> str:
    groups = result.facts.get("groups")
    return "" if groups is None else f" in {groups:,} groups"


def _layers(result: AdviceResult) -> str:
    depth = result.config["depth"]
    return "linear" if depth == 1 else f"{depth} layers each, {result.config['hidden']} hidden units"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
