"""Report of a uniqueness study: table and findings on the console, figures and page as files."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.text import Text

from vlalign.display import visible
from vlalign.display.figures import with_pdf
from vlalign.report.console import FittedTable, titled
from vlalign.report.page import save_html
from vlalign.report.study import PAGE, make_folder, show_files
from vlalign.uniqueness.report.figures import (
    Load,
    save_alignment_vs_similarity,
    save_alignment_vs_u,
    save_layer_maps,
    save_performance,
)
from vlalign.uniqueness.report.page import uniqueness_page
from vlalign.uniqueness.report.text import edits_text, main_table, metric_name, notes_of

if TYPE_CHECKING:
    from vlalign.uniqueness import UniquenessResult

_NOTES = 8  # shown


def write_report(
    result: UniquenessResult,
    folder: str | Path,
    console: Console | None = None,
    *,
    metric: str | None = None,
    load: Load | None = None,
) -> list[Path]:
    """Write alignment.png, similarity.png, performance.png, layers-FAMILY.png (each also as PDF) and report.html.

    Layer maps show the pair of each family with the largest unedited score. Figures without data are left out.

    Args:
        result, folder, console: as :meth:`vlalign.study.study.Study.report`.
        metric: not used: a study has one.
        load: return the score record of a point, or None (default: from the study's folder).

    Returns:
        The files, the page last.

    Raises:
        VlalignError: a file cannot be written.
    """
    from vlalign.uniqueness.records import load_of

    folder = make_folder(Path(folder))
    study = folder if (folder / "records").is_dir() else Path(str(result.config.get("out") or folder))
    drawn = {
        "alignment": save_alignment_vs_u(result, folder / "alignment.png"),
        "similarity": save_alignment_vs_similarity(result, folder / "similarity.png"),
        "performance": save_performance(result, folder / "performance.png"),
    }
    load = load or (lambda point: load_of(study, point))
    names: set[str] = set()
    for curve in result.curves:
        (x, y), name = curve.best[0], _file_name(curve.family, names)
        drawn[f"{x} × {y}"] = save_layer_maps(result, load, folder / name, x, y)
    figures = {name: path for name, path in drawn.items() if path is not None}
    files = [*with_pdf(list(figures.values())), save_html(uniqueness_page(result, figures), folder / PAGE)]
    if console is not None:
        show_uniqueness(result, console)
        show_files(files, console, f"{study}/points.csv, points.parquet, study.json, records/")
    return files


def _file_name(family: str, taken: set[str]) -> str:
    """Return a unique name for the layer maps of a family."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", family).strip("-.")[:80] or "family"
    name, count = slug, 1
    while name.lower() in taken:
        count += 1
        name = f"{slug}-{count}"
    taken.add(name.lower())
    return f"layers-{name}.png"


def show_uniqueness(result: UniquenessResult, console: Console) -> None:
    """Print the table of maxima, the findings, and the notes of the points."""
    console.print(uniqueness_table(result))
    for finding in result.findings:
        console.print(Text(f"  {finding}"), soft_wrap=True)
    notes = notes_of(result)
    for note in notes[:_NOTES]:
        console.print(Text(f"note  {note}", style="yellow"), soft_wrap=True)
    if len(notes) > _NOTES:
        console.print(f"and {len(notes) - _NOTES} more notes in the table of points")


def uniqueness_table(result: UniquenessResult) -> Group:
    """Return for each family and rate the largest score over pairs of models, its interval, p-value and pair."""
    main = main_table(result)
    rows = [
        ["" if i else family, *cells]
        for _, group in groupby(main.rows, lambda row: row[0])
        for i, (family, *cells) in enumerate([list(map(visible, row)) for row in group])
    ]
    stacks = (("largest", "95 % interval"), ("pair",))
    shown = FittedTable(main.columns, rows, left=main.left, stacks=stacks, omit=("null's 95 %", "p"))
    return titled(f"{edits_text(result)}: largest {metric_name(result)} of each family", shown)
