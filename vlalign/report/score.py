"""What a score came to: the summary of one record, the table of many, files and figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vlalign.report.heatmap import save_heatmap
from vlalign.report.text import duration, p_text
from vlalign.store.files import check_space

if TYPE_CHECKING:
    from vlalign.score import ScoreRecord


def show_records(
    found: Iterable[ScoreRecord], folder: Path, console: Console, *, figure: bool = True
) -> list[ScoreRecord]:
    """Writes a JSON record and a heat map per pair as soon as it is there, then shows one summary or a table of all.

    Raises:
        VlalignError: the folder cannot be written (found before the first record is computed).
    """
    check_space(folder, 0)
    records, paths = [], []
    for record in found:
        path = record.save(folder / record.filename)
        if figure:
            save_heatmap(record, path.with_suffix(".png"))
        records.append(record)
        paths.append(path)
    if len(records) == 1:
        console.print(summary(records[0]))
        console.print(f"record    {paths[0]}", highlight=False, soft_wrap=True)
        if figure:
            console.print(f"heat map  {paths[0].with_suffix('.png')}", highlight=False, soft_wrap=True)
    else:
        console.print(records_table(records))
        console.print(f"{len(records)} records{' and heat maps' if figure else ''} in {folder}", highlight=False)
    return records


def summary(record: ScoreRecord) -> Panel:
    """The best pair, how far above chance it is, and what was compared."""
    null = record.null
    shape = f"{len(record.axes['x'])} × {len(record.axes['y'])}"
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    grid.add_row("score", Text(f"{record.score:.4f}", style="bold"))
    grid.add_row("best of", f"{shape} layer pairs")
    grid.add_row("layers", f"{_layer(record, 'x')}  ×  {_layer(record, 'y')}")
    if record.chance is not None:
        grid.add_row("chance", f"{record.chance:.4f}  (k / (N − 1)); the score is {record.times_chance:.1f} times that")
    if null is not None:
        spread = f"mean {null['mean']:.4f}, largest {null['max']:.4f} of {null['permutations']} random pairings"
        grid.add_row("null", f"{spread}, each with its own best layer pair")
        if null["sd"] > 0:
            grid.add_row(
                "", f"the score lies {(record.score - null['mean']) / null['sd']:.0f} sd above the null's mean"
            )
        grid.add_row("p-value", p_text(record))
    grid.add_row(
        "measured",
        f"{record.metric['name']}, {parameters(record)}N = {record.n}, preset {record.preprocessing['preset']}",
    )
    for side in ("x", "y"):
        found = record.performance.get(side)
        if found and found.get("bits_per_byte") is not None:
            model = getattr(record, side)["model"]
            grid.add_row("performance", f"{model}: {found['bits_per_byte']:.3f} bits per byte")
    return Panel(Group(grid), title=f"{record.x['model']} × {record.y['model']}", expand=False, box=box.ROUNDED)


def records_table(records: Sequence[ScoreRecord]) -> Table:
    """One row per pair, best first."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("x")
    table.add_column("y")
    for column in ("score", "chance", "null mean", "p"):
        table.add_column(column, justify="right")
    table.add_column("best layers")
    table.add_column("N", justify="right")
    for record in sorted(records, key=lambda r: -r.score):
        table.add_row(
            label(record.x, records),
            label(record.y, records),
            f"{record.score:.4f}",
            "–" if record.chance is None else f"{record.chance:.4f}",
            "–" if record.null is None else f"{record.null['mean']:.4f}",
            p_text(record),
            f"{record.best['x']['name']} × {record.best['y']['name']}",
            str(record.n),
        )
    return table


def label(side: Mapping[str, Any], records: Sequence[ScoreRecord]) -> str:
    """A side's model, with digits of its key where several runs of that model are in the table."""
    sides = [s for record in records for s in (record.x, record.y) if s["model"] == side["model"] and s["run"]]
    if len({s["run"]["hash"] for s in sides}) > 1 and side["run"]:
        return f"{side['model']}@{side['run']['hash'][:8]}"
    return str(side["model"])


def stages_table(stages: Sequence[tuple[str, float]]) -> Table:
    """How long each stage took, and all of them."""
    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    table.add_column("stage", footer="all")
    table.add_column("time", justify="right", footer=duration(sum(seconds for _, seconds in stages)))
    for name, seconds in stages:
        table.add_row(name, duration(seconds))
    return table


def parameters(record: ScoreRecord) -> str:
    """The metric's parameters, e.g. ``k = 10, ``."""
    return "".join(f"{name} = {value}, " for name, value in record.metric["params"].items())


def _layer(record: ScoreRecord, side: str) -> str:
    found = record.best[side]
    return f"{found['name']} of {getattr(record, side)['model']}"
