"""Report of a reference's result beside ours: one table, and the reasons for every difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from vlalign.display import visible
from vlalign.report.console import table

if TYPE_CHECKING:
    from vlalign.reproduce.compare import Reproduction


def show_reproduction(reproduction: Reproduction, console: Console) -> None:
    """Print the table and the list of differences."""
    console.print(reproduction_table(reproduction))
    console.print(differences_table(reproduction))


def reproduction_table(reproduction: Reproduction) -> Table:
    """Return score, layers by name and as stored, and clip thresholds of the reference and of this library."""
    x, y, reference, ours = reproduction.x, reproduction.y, reproduction.reference, reproduction.ours
    axes, metric, best = reproduction.axes, reproduction.metric, reproduction.ours["best"]
    if (indices := reference["indices"]) is None:
        names, stored = "none", "none"
    else:
        names = f"{axes['x'][indices[1]]['name']}  ×  {axes['y'][indices[0]]['name']}"
        stored = f"({indices[0]}, {indices[1]})  = (y, x)"
    apart = reproduction.apart
    differ = f"{apart['differ']} of {apart['pairs']} layer pairs, by at most {apart['largest']:.2g}"
    rows: list[tuple[RenderableType, ...]] = [
        ("score", Text(repr(reference["score"]), style="bold"), Text(repr(ours["score"]), style="bold")),
        ("best layers, x × y", names, f"{best['x']['name']}  ×  {best['y']['name']}"),
        ("stored indices", stored, f"x {best['x']['position']}, y {best['y']['position']}"),
        *((f"clip threshold {s}", f"{reference['clip'][s]:.8g}", f"{ours['clip'][s]:.8g}") for s in "xy"),
        ("matrix", f"{len(axes['y'])} × {len(axes['x'])}  (y × x)", f"{len(axes['x'])} × {len(axes['y'])}  (x × y)"),
        ("matrices differ in", differ, ""),
    ]
    k = "" if metric["k"] is None else f", k = {metric['k']}"
    title = visible(f"{x['model']} (x) × {y['model']} (y): {metric['name']}{k}, N = {reproduction.n}")
    columns = ("", "reference", "ours")
    result = table(columns, rows, left=columns, title=title)
    result.columns[0].style = "dim"
    return result


def differences_table(reproduction: Reproduction) -> Table:
    """Return what differs on this input and why."""
    columns = ("difference", "reason")
    return table(columns, ((one.what, one.reason) for one in reproduction.differences), left=columns)
