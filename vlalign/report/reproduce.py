"""A reference's result beside ours: one table, and the reasons for every difference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vlalign.display import visible

if TYPE_CHECKING:
    from vlalign.reproduce.compare import Reproduction


def show_reproduction(found: Reproduction, console: Console, path: str | Path | None = None) -> None:
    """Writes the JSON file, if one is wanted, then shows the table and the list of differences.

    Raises:
        VlalignError: the file cannot be written.
    """
    if path is not None:
        found.save(path)
    console.print(reproduction_table(found))
    console.print(differences_table(found))
    if path is not None:
        console.print(visible(f"written to {path}"), soft_wrap=True)


def reproduction_table(found: Reproduction) -> Table:
    """Score, layers by name and as stored, clip thresholds: the reference's and ours."""
    reference, ours = found.reference, found.ours
    k = "" if found.metric["k"] is None else f", k = {found.metric['k']}"
    table = Table(
        box=box.SIMPLE_HEAD,
        title=visible(f"{found.x['model']} (x) × {found.y['model']} (y): {found.metric['name']}{k}, N = {found.n}"),
        title_justify="left",
    )
    table.add_column("", style="dim")
    table.add_column("reference")
    table.add_column("ours")
    table.add_row("score", Text(repr(reference["score"]), style="bold"), Text(repr(ours["score"]), style="bold"))
    best = ours["best"]
    if (indices := reference["indices"]) is None:
        names, stored = "none", "none"
    else:
        names = f"{found.axes['x'][indices[1]]['name']}  ×  {found.axes['y'][indices[0]]['name']}"
        stored = f"({indices[0]}, {indices[1]})  = (y, x)"
    table.add_row("best layers, x × y", names, f"{best['x']['name']}  ×  {best['y']['name']}")
    table.add_row("stored indices", stored, f"x {best['x']['position']}, y {best['y']['position']}")
    for side in "xy":
        table.add_row(f"clip threshold {side}", f"{reference['clip'][side]:.8g}", f"{ours['clip'][side]:.8g}")
    shape = f"{len(found.axes['y'])} × {len(found.axes['x'])}", f"{len(found.axes['x'])} × {len(found.axes['y'])}"
    table.add_row("matrix", f"{shape[0]}  (y × x)", f"{shape[1]}  (x × y)")
    apart = found.apart
    said = f"{apart['differ']} of {apart['pairs']} layer pairs, by at most {apart['largest']:.2g}"
    table.add_row("matrices differ in", said, "")
    return table


def differences_table(found: Reproduction) -> Table:
    """What differs on this input and why."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("difference")
    table.add_column("reason")
    for difference in found.differences:
        table.add_row(difference.what, difference.reason)
    return table
