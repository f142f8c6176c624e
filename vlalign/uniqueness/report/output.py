"""What a uniqueness study came to: table and findings on the console, figures and page as files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vlalign.files import write_error
from vlalign.report.page import save_page
from vlalign.store.checksums import check_space
from vlalign.uniqueness.report.figures import save_alignment_vs_u, save_layer_maps, save_performance
from vlalign.uniqueness.report.page import uniqueness_page
from vlalign.uniqueness.report.text import (
    best_pairs,
    edits_text,
    interval_text,
    metric_name,
    notes_of,
    number,
    p_value_text,
    point_of,
    rate_text,
)

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord
    from vlalign.uniqueness import Point, UniquenessResult

_NOTES = 8  # shown


def show_uniqueness(result: UniquenessResult, console: Console) -> None:
    """The table of maxima, the findings, and what the points say of themselves."""
    console.print(uniqueness_table(result))
    for finding in result.findings:
        console.print(Text(f"  {finding}"), soft_wrap=True)
    notes = notes_of(result)
    for note in notes[:_NOTES]:
        console.print(Text(f"note  {note}", style="yellow"), soft_wrap=True)
    if len(notes) > _NOTES:
        console.print(f"and {len(notes) - _NOTES} more notes in the table of points")


def show_files(folder: str | Path, files: Sequence[Path], console: Console) -> None:
    """Where everything is."""
    console.print(
        f"report    {files[-1]}\nfigures   {', '.join(path.name for path in files[:-1])}\n"
        f"tables    {Path(folder) / 'points.csv'}, points.parquet, study.json, records/",
        highlight=False, soft_wrap=True, markup=False,
    )  # fmt: skip


def uniqueness_table(result: UniquenessResult) -> Table:
    """Families × rates: the largest score over pairs of models, its interval and p-value, and the pair that has it."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(f"{edits_text(result)}: largest {metric_name(result)} of each family"),
        title_justify="left",
        title_style="bold",
    )
    table.add_column("family")
    for column in ("U", "largest", "95 % interval", "p", "null's 95 %"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("pair", overflow="fold")
    for curve in result.curves:
        for i, rate in enumerate(curve.rates):
            point = point_of(result, curve, i)
            table.add_row(
                Text(curve.family if i == 0 else ""),
                rate_text(rate),
                Text(number(curve.maxima[i]), style="bold"),
                interval_text(point.low, point.high) or "–",
                p_value_text(point.p_value, result),
                number(point.threshold),
                Text(point.title),
                end_section=i == len(curve.rates) - 1,
            )
    return table


def save_uniqueness(
    result: UniquenessResult, folder: str | Path, load: Callable[[Point], ScoreRecord | None], command: str
) -> list[Path]:
    """Write alignment.png, performance.png, layers-FAMILY.png and report.html into ``folder``, which is made.

    Layer maps are of the pair of each family with the largest unedited score.

    Args:
        result: of the study.
        folder: of the files.
        load: the score record of a point, or None where there is none; only asked for the pairs that are drawn.
        command: that makes the study again, for the page.

    Returns:
        The files written, the page last. Figures without anything to draw are left out.

    Raises:
        VlalignError: a file cannot be written.
    """
    folder = Path(folder)
    check_space(folder, 0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    alignment = save_alignment_vs_u(result, folder / "alignment.png")
    performance = save_performance(result, folder / "performance.png")
    layers: dict[str, Path] = {}
    names: set[str] = set()
    for family, (x, y) in best_pairs(result).items():
        name = _file_name(family, names)
        if path := save_layer_maps(result, load, folder / name, x, y):
            layers[f"{x} × {y}"] = path
    text = uniqueness_page(result, command, alignment, performance, layers)
    written = [path for path in (alignment, performance, *layers.values()) if path is not None]
    return [*written, save_page(text, folder / "report.html")]


def _file_name(family: str, taken: set[str]) -> str:
    """A name of its own for the layer maps of a family."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", family).strip("-.")[:80] or "family"
    name, count = slug, 1
    while name.lower() in taken:
        count += 1
        name = f"{slug}-{count}"
    taken.add(name.lower())
    return f"layers-{name}.png"
