"""Page of a synthetic study: its results beside the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from vlalign.display.format import DASH, last_run, metric_title, number, p_text, plural, span
from vlalign.report.commands import changed, command_line
from vlalign.report.page import Figure, Page, Paragraph, Part, Section, Table
from vlalign.report.study import study_page
from vlalign.stats.correlations import rho_short
from vlalign.synthetic import SyntheticConfig, information
from vlalign.synthetic import published as paper
from vlalign.synthetic.cells import all_cells
from vlalign.synthetic.report.comparison import published_tables
from vlalign.synthetic.report.text import bits_text, chance_of, findings, median_text
from vlalign.synthetic.results import LEAST, OF_DEPTHS, headline, maxima, rank_correlations, rho_of_maxima

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.synthetic import Information, SyntheticResult


def synthetic_page(result: SyntheticResult, metric: str, figures: Mapping[str, Path]) -> Page:
    """Return the page.

    Args:
        result: of the study.
        metric: whose values are shown; published maxima and medians are those of unbiased CKA.
        figures: PNG files by name.
    """
    task = SyntheticConfig(**result.config)
    about: list[Part] = [
        Paragraph(
            "Written by vlalign synthetic report; do not edit. The study, and where the results of the paper's grid "
            "differ from the paper (arXiv 2502.16282), are described in the project's synthetic/README.md.",
            "dim",
        ),
        Section("The task", task_tables([information(task, u) for u in task.uniqueness])),
    ]
    sections: list[Part] = []
    table = headline(result.table)
    for modality in sorted(table["modality"].unique()):
        end = f"-modality{modality}" if modality > 2 else ""
        own = {name.removesuffix(end): path for name, path in figures.items() if name.endswith(end)}
        compare = modality == 2 and not _unlike(result) and _whole(result)
        reference = int(table["reference_depth"].iloc[0])
        sections += _modality(result, metric, modality, reference, own, compare and metric == paper.CKA)
        if compare:
            about.insert(1, Section("Correlations beside the published ones", published_tables(result)))
    sections[1:1] = about
    config = result.config
    return study_page(
        "Does alignment follow shared information? The synthetic study",
        _facts(result),
        [sentence[0].upper() + sentence[1:] for sentence in findings(result, metric)],
        sections,
        definition="Uniqueness U is the number of bits that decide the label and that only one modality has. "
        "From modality 2 on, bits pass through φ, a fixed random network of D_φ layers; encoders have D_Enc layers.",
        command=command_line("synthetic", "run", **changed(SyntheticConfig, config)),
        config=config,
        environment=result.environment,
    )


def _facts(result: SyntheticResult) -> dict[str, str]:
    config = result.config
    axes = [
        f"{len(config[key])} {axis}" for key, axis in (("uniqueness", "U"), ("phi_depths", "D_φ"), ("depths", "D_Enc"))
    ]
    unlike = ", ".join(f"{name} {config[name]}" for name in _unlike(result))
    settings = SyntheticConfig(**config)
    return {
        "grid": " × ".join([*axes, plural(len(config["seeds"]), "seed")]),
        "encoders": str(len(all_cells(settings)) * len(settings.uniqueness)),
        "encoders of modality 1": "the same for every D_φ" if settings.phis(0) == (0,) else "others for each D_φ",
        "samples": f"{config['samples']}, of which {config['align_samples']} of the test split for alignment",
        "settings": f"as in the paper, except {unlike}" if unlike else "those of the paper",
        "last run": last_run(result.trained, result.seconds, result.environment),
    }


def _unlike(result: SyntheticResult) -> list[str]:
    """Return the settings that differ from the paper's, apart from the size of the grid."""
    kind = SyntheticConfig
    skipped = {*kind.GRID, *kind.ANALYSIS, *kind.RUNNING, "uniqueness"} - {"widths"}
    return [name for name in changed(kind, result.config) if name not in skipped]


def _whole(result: SyntheticResult) -> bool:
    """Return whether U and depths are all of the paper's, so that its maxima and medians can be compared."""
    return {"uniqueness", "depths"}.isdisjoint(changed(SyntheticConfig, result.config))


def task_tables(tasks: Sequence[Information]) -> list[Table]:
    """Return the exact quantities of tasks, a row for each U."""
    modalities = range(1, len(tasks[0].single) + 1)
    if len(modalities) == 2:
        sign = "redundancy minus synergy"
    else:
        sign = "co-information, whose sign alone shows neither redundancy nor synergy"
    information_columns = ["U", "bits", *(f"I(X{m};Y)" for m in modalities), "I(all;Y)", "I(X1;X2)", "interaction"]
    return [
        Table(
            f"Exact information of the task, in nats; interaction: {sign}; p(y) from {min(tasks[0].marginal):.3f} to "
            f"{max(tasks[0].marginal):.3f}",
            information_columns,
            [
                [str(one.uniqueness), bits_text(one)]
                + [number(value) for value in (*one.single, one.joint, one.between[0], one.interaction)]
                for one in tasks
            ],
            left=("bits",),
        ),
        Table(
            "Bayes accuracy: the most that any classifier reaches",
            ["U", *(f"from x{m}" for m in modalities), "from all"],
            [[str(one.uniqueness), *map(number, (*one.accuracy, one.accuracy_joint))] for one in tasks],
        ),
    ]


def modality_tables(result: SyntheticResult, metric: str, modality: int, compare: bool = False) -> list[Table]:
    """Return correlations with U, maxima and medians of a modality; ``compare`` adds the published values."""
    table = headline(result.table)
    rows = table[table["modality"] == modality]
    return [
        _rho_table(rows, metric, compare),
        _maxima_table(rows, metric, modality, compare),
        _medians_table(rows, metric, compare),
    ]


def _modality(
    result: SyntheticResult, metric: str, modality: int, reference: int, figures: Mapping[str, Path], compare: bool
) -> list[Section]:
    name = metric_title(metric)
    chance = chance_of(metric, int(result.config["align_samples"]))
    rhos, most, medians_table = modality_tables(result, metric, modality, compare)
    of = f" of modality {modality}" if result.config["modalities"] > 2 else ""

    def figure(key: str, alt: str, caption: str) -> Figure | None:
        return Figure(figures[key], alt, caption) if key in figures else None

    return [
        Section(
            f"Alignment against uniqueness{of}",
            [
                figure(
                    "alignment",
                    f"{name} against U for several depths of φ",
                    f"{name[0].upper()}{name[1:]} with the encoder of modality 1 of depth {reference}, the largest "
                    "over pairs of layers. Orange: the largest over encoders and seeds"
                    + (
                        "; ρ: Spearman's correlation of U and that, with a 95 % interval for independent draws"
                        if rhos
                        else ""
                    )
                    + ("; dotted: chance." if chance is not None else "."),
                ),
                rhos,
                most,
            ],
        ),
        Section(
            f"Alignment by depth of φ and of the encoder{of}",
            [
                figure(
                    "heatmaps",
                    f"{name} by depth of φ and depth of the encoder, a map for each U",
                    "Means over seeds.",
                )
            ],
        ),
        Section(
            f"Does alignment predict performance{of}?",
            [
                figure(
                    "correlations",
                    "Box plots by U of correlations of alignment, performance and depth",
                    "Spearman's correlation over the encoders of one φ and seed, which differ in depth; boxes are over "
                    "φ and seeds. Performance is the accuracy on the test split.",
                ),
                medians_table,
                figure(
                    "performance",
                    f"Test accuracy against {name} for several U, by depth of φ",
                    "Colour: the deepest encoders by the depth of φ; grey: the others.",
                ),
            ],
        ),
    ]


def _rho_table(rows: pd.DataFrame, metric: str, compare: bool) -> Table:
    columns = ["D_φ", "ρ (95 % interval)", "p", *(["published ρ", "difference"] if compare else [])]
    cells: list[list[str]] = []
    rhos = rho_of_maxima(rows, metric) if rows["uniqueness"].nunique() >= LEAST else {}
    for (_, phi), rho in rhos.items():
        cell = [str(phi), rho_short(rho), p_text(None if rho is None else rho.p_value)]
        if compare:
            known = paper.RHO[paper.CKA, 1].get(phi)
            cell += [DASH] * 2 if known is None or rho is None else [number(known, 3), number(rho.r - known, 3)]
        cells.append(cell)
    caption = "Spearman's correlation of U and the largest alignment; intervals treat the values as independent draws"
    return Table(caption, columns, cells)


def _maxima_table(rows: pd.DataFrame, metric: str, modality: int, compare: bool) -> Table:
    most = maxima(rows, metric).loc[modality]
    cells = []
    for phi, row in most.iterrows():
        cells.append([f"D_φ = {phi}", *(number(value, 2) for value in row)])
        if compare and phi == 1:
            known = (number(paper.MAXIMA.get(u), 2) for u in most.columns)
            cells.append(["published, D_φ = 1, from a figure", *known])
    return Table("The largest alignment over encoders and seeds", ["", *(f"U = {u}" for u in most.columns)], cells)


def _medians_table(rows: pd.DataFrame, metric: str, compare: bool) -> Table:
    test = rows.groupby("uniqueness")["test"].agg(list)
    values, cells = rank_correlations(rows, metric), {}
    if values[list(OF_DEPTHS)].isna().all(axis=None):
        ranges = [[str(u), span(own, 3)] for u, own in test.items()]
        return Table("Test accuracy over φ, seeds and encoders", ["U", "test accuracy"], ranges)
    names = [*OF_DEPTHS, "test accuracy"]
    for u, own in values.groupby("uniqueness"):
        cells[u] = [*(median_text(own[name]) for name in OF_DEPTHS), span(test[u], 3)]
    caption = (
        "Medians over φ and seeds of Spearman's ρ over encoders, with 95 % intervals that treat the values as "
        "independent; a dash: fewer than five values, or a constant"
    )
    if compare:
        caption += ". Published medians: over D_φ 1 to 10 and five seeds"
        names = [column for name in names for column in (name.replace("/", " / "), "published")]
        cells = {u: list(chain(*zip(own, _published(u), strict=True))) for u, own in cells.items()}
    return Table(caption, ["U", *names], [[str(u), *own] for u, own in cells.items()])


def _published(u: int) -> list[str]:
    """Return what the paper has beside each column of the medians."""
    return [
        number(paper.ALIGNMENT_PERFORMANCE.get(u), 2),
        "{:.2f} to {:.2f}".format(*paper.PERFORMANCE_DEPTH),
        number(paper.ALIGNMENT_DEPTH.get(u), 2),
        "{:.2f} to {:.2f}".format(*paper.ACCURACY[u]) if u in paper.ACCURACY else DASH,
    ]
