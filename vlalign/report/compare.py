"""Report of two models compared with one reference: difference, test, and the layers where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from vlalign.display import visible
from vlalign.display.format import signed
from vlalign.report.console import FittedTable, facts, table, titled
from vlalign.report.forms import Form, formatted
from vlalign.scoring.comparison_tables import (
    ALPHA,
    comparison_facts,
    frame,
    interval_of,
    name_of,
    p_and_q,
    texts,
    verdict,
)

if TYPE_CHECKING:
    from vlalign.scoring.compare import Comparison

_LAYERS = 8  # shown


def show_comparisons(comparisons: Sequence[Comparison], console: Console, form: Form = "text") -> None:
    """Print one comparison in depth, or a table with one row a reference; or both as one table or JSON document."""
    if form != "text":
        documents = [asdict(one) for one in comparisons]
        document = documents[0] if len(documents) == 1 else {"format": 1, "comparisons": documents}
        print(formatted(form, texts(comparisons), frame(comparisons), document), end="")
        return
    if len(comparisons) == 1:
        console.print(_panel(comparisons[0]))
        if len(comparisons[0].layers) != 1:
            console.print(_layers(comparisons[0]))
        return
    rows = texts(comparisons)
    names = name_of(comparisons[0].a), name_of(comparisons[0].b)
    stacks = (("reference",), ("a", "b"), ("a − b", "95% interval"), ("on halves", "its interval"), ("p", "q"))
    shown = FittedTable(rows.columns, rows.rows, stacks=stacks, omit=("its interval", "on halves", "q", "a", "b"))
    console.print(titled(f"{names[0]} (a) against {names[1]} (b)", shown))
    for one in comparisons:
        console.print(Text(f"  {verdict(one)}"))


def _panel(comparison: Comparison) -> Panel:
    rows: list[tuple[str, RenderableType]] = list(comparison_facts(comparison))
    rows[-1] = rows[-1][0], Text(str(rows[-1][1]), style="bold")
    return Panel(
        facts(rows), title=Text(f"alignment with {name_of(comparison.reference)}"), expand=False, box=box.ROUNDED
    )


def _layers(comparison: Comparison) -> Group | Text:
    """Return the layers with the largest differences, and the cell of the matrix with the largest one."""
    layers = comparison.layers
    if not layers or comparison.matrix is None or comparison.axes is None:
        return Text("  the layers of the two differ, so they are not compared", style="dim")
    tested = layers[0].get("p_value") is not None or comparison.test is not None
    columns = ("layer", "a − b", *(("95% interval", "p", "q") if tested else ()))
    rows = [
        [visible(row["layer"]), signed(row["difference"], 4), *([interval_of(row), *p_and_q(row)] if tested else [])]
        for row in sorted(layers, key=_certainty)[:_LAYERS]
    ]
    matrix = np.asarray(comparison.matrix)
    i, j = np.unravel_index(int(np.argmax(np.abs(matrix))), matrix.shape)
    apart = sum(row.get("q_value") is not None and row["q_value"] < ALPHA for row in layers)
    rate = f"{apart} of {len(layers)} layers differ at a false discovery rate of 5 %; " if tested else ""
    note = (
        f"{rate}largest over the reference's layers. Of all layer pairs {comparison.axes['layers'][i]} × "
        f"{comparison.axes['reference'][j]} differs most, by {signed(float(matrix[i, j]), 4)}"
    )
    return Group(titled("layers where they differ most", table(columns, rows)), Text(f"  {note}\n", style="dim"))


def _certainty(row: dict[str, Any]) -> tuple[float, float]:
    """Return a sorting key: small p-values first, then large differences."""
    return 1.0 if row.get("p_value") is None else row["p_value"], -abs(row["difference"])
