"""The page of a synthetic study, RESULTS.md: ours beside what the paper published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.report import markdown
from vlalign.report.command import command_line
from vlalign.report.format import last_run, metric_title, rho_short
from vlalign.synthetic import SyntheticConfig, information
from vlalign.synthetic import published as paper
from vlalign.synthetic.cells import all_cells
from vlalign.synthetic.report.text import (
    bits_text,
    chance_of,
    findings,
    number,
    summary_rows,
)
from vlalign.synthetic.results import headline, maxima, medians, rho_of_maxima

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.synthetic import SyntheticResult

_METRIC = "unbiased_cka"  # of the published results


def results_page(result: SyntheticResult, metric: str, figures: Mapping[str, Path]) -> str:
    """The page as Markdown.

    Args:
        result: of the study.
        metric: whose values are shown; published ones stand beside those of unbiased CKA.
        figures: their paths as the page links them, by name.
    """
    parts = [
        "# The synthetic study",
        "Made by `vlalign synthetic report`; change nothing here. What the study is, and where the results of the "
        "paper's grid differ from the paper (arXiv 2502.16282), is said in the project's synthetic/README.md.",
        "## What was run",
        markdown.table(["", ""], _run(result)),
        *(f"- {finding}" for finding in findings(result, metric)),
        "## The task",
        _task(result),
    ]
    table = headline(result.table)
    for modality in sorted(table["modality"].unique()):
        rows = table[table["modality"] == modality]
        end = f"-modality{modality}" if modality > 2 else ""
        compare = modality == 2 and metric == _METRIC and not _unlike(result) and _whole(result)
        parts += _modality(result, rows, metric, {k: v for k, v in figures.items() if k.endswith(end)}, end, compare)
    return "\n\n".join(_joined(parts)) + "\n"


def _joined(parts: Sequence[str]) -> list[str]:
    """Paragraphs; bullets that follow each other are one."""
    found: list[str] = []
    for part in parts:
        if found and part.startswith("- ") and found[-1].startswith("- "):
            found[-1] += "\n" + part
        elif part:
            found.append(part)
    return found


def _run(result: SyntheticResult) -> list[list[str]]:
    config = result.config
    grid = " × ".join(
        f"{len(config[name])} {what}"
        for name, what in (("uniqueness", "U"), ("phi_depths", "D_φ"), ("depths", "D_Enc"), ("seeds", "seeds"))
    )
    changed = {name: config[name] for name in _unlike(result)}
    environment = result.environment
    return [
        ["grid", grid],
        ["encoders", str(_encoders(result))],
        ["samples", f"{config['samples']}, of which {config['align_samples']} of the test split for alignment"],
        ["settings", "those of the paper" if not changed else "as in the paper, but for " + _settings(changed)],
        ["last run", last_run(result.trained, result.seconds, result.environment)],
        ["made with", f"torch {environment['packages'].get('torch')}, commit {environment.get('git') or 'unknown'}"],
        ["command", f"`{command_line(SyntheticConfig, config, 'vlalign', 'synthetic', 'run')}`"],
    ]  # fmt: skip


def _encoders(result: SyntheticResult) -> int:
    config = SyntheticConfig(**result.config)
    return len(all_cells(config)) * len(config.uniqueness)


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _unlike(result: SyntheticResult) -> list[str]:
    """Settings, the grid's size aside, that are not the paper's."""
    plain = {entry.name: entry.default for entry in fields(SyntheticConfig)}
    kind = SyntheticConfig
    skipped = {*kind.GRID, *kind.ANALYSIS, *kind.RUNNING, "uniqueness"} - {"widths"}
    found = {name: tuple(v) if isinstance(v, list) else v for name, v in result.config.items()}
    return [name for name in plain if name not in skipped and found[name] != plain[name]]


def _whole(result: SyntheticResult) -> bool:
    """Whether U and depths are all of the paper's: else its maxima and medians are of something else."""
    plain = {entry.name: entry.default for entry in fields(SyntheticConfig)}
    return all(tuple(result.config[name]) == plain[name] for name in ("uniqueness", "depths"))


def _task(result: SyntheticResult) -> str:
    config = SyntheticConfig(**result.config)
    found = [information(config, u) for u in config.uniqueness]
    many = range(1, config.modalities + 1)
    columns = ["U", "relevant bits", *(f"I(X{m};Y)" for m in many), "I(all;Y)", "I(X1;X2)", "interaction"]
    columns += [f"Bayes accuracy, x{m}" for m in many] + ["all"]
    rows = [
        [str(one.uniqueness), bits_text(one)]
        + [f"{v:.4f}" for v in (*one.single, one.joint, one.between[0], one.interaction)]
        + [f"{v:.3f}" for v in (*one.accuracy, one.accuracy_joint)]
        for one in found
    ]
    return "Exact, in nats (`vlalign synthetic describe`).\n\n" + markdown.table(columns, rows)


def _modality(
    result: SyntheticResult, rows: pd.DataFrame, metric: str, figures: Mapping[str, Path], end: str, compare: bool
) -> list[str]:
    modality, name = int(rows["modality"].iloc[0]), metric_title(metric)
    chance = chance_of(metric, int(result.config["align_samples"]))
    reference = int(rows["reference_depth"].iloc[0])
    many = result.config["modalities"] > 2
    whose = f" of modality {modality}" if many else ""

    def picture(key: str, alt: str) -> str:
        return f"![{alt}]({figures[key + end].as_posix()})" if key + end in figures else ""

    return [
        f"## Alignment against uniqueness{whose}",
        f"{name[0].upper()}{name[1:]} with the encoder of modality 1 of depth {reference}, the largest over pairs of "
        "layers. Orange: the largest over encoders and seeds; ρ: Spearman's correlation of U and that, with a 95 % "
        "interval for independent draws" + ("; dotted: chance." if chance is not None else "."),
        picture("alignment", f"{name} against U for several depths of φ"),
        _rho_table(rows, metric, modality, compare),
        "The maxima:",
        _maxima_table(rows, metric, modality, compare),
        f"## Alignment by depth of φ and of the encoder{whose}",
        "Means over seeds.",
        picture("heatmaps", f"{name} by depth of φ and depth of the encoder, a map for each U"),
        f"## Does alignment tell performance{whose}?",
        "Spearman's correlation over the encoders of one φ and seed, which differ in depth; boxes are over φ and "
        "seeds. Performance is the accuracy on the test split. A dash: fewer than five values, or one side constant."
        + (" Published medians: over D_φ 1 to 10 and five seeds." if compare else ""),
        picture("correlations", "Box plots by U of correlations of alignment, performance and depth"),
        _medians_table(rows, metric, modality, compare),
        picture("performance", f"{name} against test accuracy for several U, by depth of φ"),
    ]


def _rho_table(rows: pd.DataFrame, metric: str, modality: int, compare: bool) -> str:
    columns = ["D_φ", "ρ (95 % interval)", "p", *(["published ρ", "difference"] if compare else [])]
    cells = []
    for (_, phi), rho in rho_of_maxima(rows, metric).items():
        cell = [str(phi), rho_short(rho), "–" if rho is None else f"{rho.p_value:.2g}"]
        if compare:
            known = paper.RHO.get(phi)
            cell += ["–"] * 2 if known is None or rho is None else [number(known, 3), number(rho.r - known, 3)]
        cells.append(cell)
    return markdown.table(columns, cells)


def _maxima_table(rows: pd.DataFrame, metric: str, modality: int, compare: bool) -> str:
    found = maxima(rows, metric).loc[modality]
    cells = [[f"D_φ = {phi}", *(number(value) for value in row)] for phi, row in found.iterrows()]
    if compare:
        at = next((i for i, phi in enumerate(found.index) if phi == 1), None)
        if at is not None:
            known = [paper.MAXIMA.get(u) for u in found.columns]
            cells.insert(at + 1, ["published, D_φ = 1, read off", *("–" if k is None else f"{k:.2f}" for k in known)])
    return markdown.table(["", *(f"U = {u}" for u in found.columns)], cells)


def _medians_table(rows: pd.DataFrame, metric: str, modality: int, compare: bool) -> str:
    names, cells = summary_rows(rows, metric, modality)
    if compare:
        found = medians(rows, metric).loc[modality]
        low, high = paper.PERFORMANCE_DEPTH
        names = [names[0]]
        names += ["alignment/performance", "published", "performance/depth", "published", "alignment/depth"]
        names += ["published", "test accuracy", "published"]
        cells = [
            [
                cell[0],
                cell[1], _known(paper.ALIGNMENT_PERFORMANCE, u),
                cell[2], f"{low:.2f} to {high:.2f}",
                cell[3], _known(paper.ALIGNMENT_DEPTH, u),
                cell[4], "{:.2f} to {:.2f}".format(*paper.ACCURACY[u]) if u in paper.ACCURACY else "–",
            ]
            for cell, u in zip(cells, found.index, strict=True)
        ]  # fmt: skip
    return markdown.table(names, cells)


def _known(values: Mapping[int, float], u: int) -> str:
    return f"{values[u]:.2f}" if u in values else "–"
