"""Two models against one reference on the console: difference, test, and the layers where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vlalign.display import visible
from vlalign.metrics.base import metric_text
from vlalign.report.console import titled
from vlalign.report.format import signed
from vlalign.scoring.conditions import precision_of

if TYPE_CHECKING:
    from vlalign.scoring.compare import Comparison

ALPHA = 0.05
_LAYERS = 8  # shown


def show_comparisons(found: Sequence[Comparison], console: Console) -> None:
    """One comparison in depth, or a table of one a reference."""
    if len(found) == 1:
        console.print(_panel(found[0]))
        console.print(_layers(found[0]))
        return
    names = name_of(found[0].a), name_of(found[0].b)
    table = Table(box=box.SIMPLE_HEAD, title=f"{names[0]} (a) against {names[1]} (b)", title_justify="left")
    table.add_column("reference", overflow="fold")
    for column in ("a", "b", "a − b", "95% interval", "on halves", "95% interval", "p", "q"):
        table.add_column(column, justify="right")
    for one in found:
        test = one.test or {}
        table.add_row(
            name_of(one.reference), *(f"{one.scores[side]['score']:.4f}" for side in "ab"),
            *(text for name in ("largest", "crossed") for text in _both(test.get(name))), _p(test), _q(test),
        )  # fmt: skip
    console.print(table)
    for one in found:
        console.print(Text(f"  {verdict(one)}"))


def verdict(found: Comparison) -> str:
    """What may be said, in one sentence."""
    a, b, reference = name_of(found.a), name_of(found.b), name_of(found.reference)
    ahead, behind = (a, b) if found.difference > 0 else (b, a)
    if found.test is not None:
        name = "q" if "q_value" in found.test else "p"
        sure = found.test[f"{name}_value"]
        if sure is not None and sure < ALPHA:
            return f"{ahead} is more aligned with {reference} than {behind} ({name} = {sure:.2g}, same samples)"
        return f"{a} and {b} cannot be told apart by their alignment with {reference}"
    if found.overlap is None:
        return "without intervals nothing can be said of the difference: give --store for a paired test"
    if found.overlap:
        return "the intervals overlap, which leaves the difference open: give --store for a paired test"
    return f"{ahead} is more aligned with {reference} than {behind}: its interval lies entirely above"


def name_of(side: dict[str, Any]) -> str:
    """The model; of a run with digits of its key, and its precision where that is not float32."""
    if not side["run"]:
        return visible(side["model"])
    precision = precision_of(side)
    shown = f" ({precision})" if precision not in ("", "float32") else ""
    return f"{visible(side['model'])}@{side['run']['hash'][:8]}{shown}"


def _panel(found: Comparison) -> Panel:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for name, side in (("a", found.a), ("b", found.b)):
        score = found.scores[name]
        grid.add_row(name, name_of(side))
        spread = f"  interval {score['low']:.4f} – {score['high']:.4f}" if "low" in score else ""
        grid.add_row("", Text(f"{score['score']:.4f} at {score['layer']} × {score['reference_layer']}{spread}"))
    if test := found.test:
        for name, one in (("a − b", test["largest"]), ("on halves", test["crossed"])):
            difference, interval = _both(one)
            grid.add_row(name, Text.assemble((difference, "bold"), f"  {interval}, p {_p(one)}"))
        grid.add_row(
            "", f"on halves: layers picked on one half of the samples, scored on the other (N = {test['half']})"
        )  # fmt: skip
        opposite = test["largest"]["difference"] * test["crossed"]["difference"] < 0
        how = "the two point in opposite directions" if opposite else "the larger of the two"
        grid.add_row("p-value", f"{_p(test)}  ({how}; {test['half_samples']} half-samples, the same for a and b)")
    else:
        grid.add_row("a − b", Text(signed(found.difference, 4), "bold"))
    metric = metric_text(found.metric["name"], found.metric["params"])
    grouped = f" in {found.groups.get('groups')} groups" if found.groups else ""
    grid.add_row("measured", f"{metric}, N = {found.n}{grouped}, preset {found.preset}, from {found.made_from}")
    grid.add_row("so", Text(verdict(found), style="bold"))
    return Panel(Group(grid), title=Text(f"alignment with {name_of(found.reference)}"), expand=False, box=box.ROUNDED)


def _layers(found: Comparison) -> Group | Text:
    """The layers with the largest differences, and the cell of the matrix with the largest one."""
    if not found.layers or found.matrix is None or found.axes is None:
        return Text("  the two have other layers, so layers are not compared", style="dim")
    tested = found.layers[0].get("p_value") is not None or found.test is not None
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("layer")
    for column in ("a − b", *(("95% interval", "p", "q") if tested else ())):
        table.add_column(column, justify="right")
    for row in sorted(found.layers, key=_surest)[:_LAYERS]:
        more = [_interval(row), _p(row), _q(row)] if tested else []
        table.add_row(visible(row["layer"]), signed(row["difference"], 4), *more)
    matrix = np.asarray(found.matrix)
    i, j = np.unravel_index(int(np.argmax(np.abs(matrix))), matrix.shape)
    apart = sum(row.get("q_value") is not None and row["q_value"] < ALPHA for row in found.layers)
    told = f"{apart} of {len(found.layers)} layers differ at a false discovery rate of 5 %; " if tested else ""
    note = (
        f"{told}largest over the reference's layers. Of all layer pairs "
        f"{found.axes['layers'][i]} × {found.axes['reference'][j]} differs most, by {signed(float(matrix[i, j]), 4)}"
    )
    return Group(titled("layers where they differ most", table), Text(f"  {note}\n", style="dim"))


def _surest(row: dict[str, Any]) -> tuple[float, float]:
    """Small p-values first, then large differences."""
    return 1.0 if row.get("p_value") is None else row["p_value"], -abs(row["difference"])


def _both(found: dict[str, Any] | None) -> tuple[str, str]:
    """A difference and its interval."""
    return ("–", "–") if found is None else (signed(found["difference"], 4), _interval(found))


def _interval(found: dict[str, Any]) -> str:
    return f"{signed(found['low'], 4)} to {signed(found['high'], 4)}" if found.get("low") is not None else "–"


def _p(found: dict[str, Any]) -> str:
    return "–" if found.get("p_value") is None else f"{found['p_value']:.2g}"


def _q(found: dict[str, Any]) -> str:
    return "–" if found.get("q_value") is None else f"{found['q_value']:.2g}"
