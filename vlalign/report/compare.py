"""Report of two models compared with one reference: difference, test, and the layers where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from vlalign.display import visible
from vlalign.display.format import DASH, interval, p_equation, p_text, signed
from vlalign.metrics.base import metric_text
from vlalign.report.console import FittedTable, facts, table, titled
from vlalign.scoring.conditions import precision_of

if TYPE_CHECKING:
    from vlalign.scoring.compare import Comparison

ALPHA = 0.05
_LAYERS = 8  # shown


def show_comparisons(comparisons: Sequence[Comparison], console: Console) -> None:
    """Print one comparison in depth, or a table with one row a reference."""
    if len(comparisons) == 1:
        console.print(_panel(comparisons[0]))
        console.print(_layers(comparisons[0]))
        return
    columns = ("reference", "a", "b", "a − b", "95% interval", "on halves", "its interval", "p", "q")
    rows = []
    for one in comparisons:
        test = one.test or {}
        differences = [text for name in ("largest", "crossed") for text in _both(test.get(name))]
        scores = [f"{one.scores[side]['score']:.4f}" for side in "ab"]
        rows.append([name_of(one.reference), *scores, *differences, *_p_and_q(test)])
    names = name_of(comparisons[0].a), name_of(comparisons[0].b)
    stacks = (("reference",), ("a", "b"), ("a − b", "95% interval"), ("on halves", "its interval"), ("p", "q"))
    shown = FittedTable(columns, rows, stacks=stacks, omit=("its interval", "on halves", "q", "a", "b"))
    console.print(titled(f"{names[0]} (a) against {names[1]} (b)", shown))
    for one in comparisons:
        console.print(Text(f"  {verdict(one)}"))


def verdict(comparison: Comparison) -> str:
    """Return in one sentence what the comparison shows."""
    a, b, reference = name_of(comparison.a), name_of(comparison.b), name_of(comparison.reference)
    ahead, behind = (a, b) if comparison.difference > 0 else (b, a)
    if comparison.test is not None:
        name = "q" if "q_value" in comparison.test else "p"
        value = comparison.test[f"{name}_value"]
        if value is not None and value < ALPHA:
            surely = f"{p_equation(p_text(value), name)}, same samples"
            return f"{ahead} is more aligned with {reference} than {behind} ({surely})"
        return f"{a} and {b} are indistinguishable by their alignment with {reference}"
    if comparison.overlap is None:
        return "without intervals the difference cannot be assessed: give --store for a paired test"
    if comparison.overlap:
        return "the intervals overlap, which leaves the difference open: give --store for a paired test"
    return f"{ahead} is more aligned with {reference} than {behind}: its interval lies entirely above"


def name_of(side: dict[str, Any]) -> str:
    """Return the model; of a run with digits of its key, and its precision where that is not float32."""
    if not side["run"]:
        return visible(side["model"])
    precision = precision_of(side)
    shown = f" ({precision})" if precision not in ("", "float32") else ""
    return f"{visible(side['model'])}@{side['run']['hash'][:8]}{shown}"


def _panel(comparison: Comparison) -> Panel:
    rows: list[tuple[str, RenderableType]] = []
    for name, side in (("a", comparison.a), ("b", comparison.b)):
        score = comparison.scores[name]
        spread = f"  interval {interval(score['low'], score['high'])}" if "low" in score else ""
        rows.append((name, name_of(side)))
        rows.append(("", Text(f"{score['score']:.4f} at {score['layer']} × {score['reference_layer']}{spread}")))
    if test := comparison.test:
        for name, one in (("a − b", test["largest"]), ("on halves", test["crossed"])):
            difference, spread = _both(one)
            rows.append((name, Text.assemble((difference, "bold"), f"  {spread}, p {p_text(one.get('p_value'))}")))
        halves = f"layers selected on one half of the samples, scored on the other (N = {test['half']})"
        rows.append(("", f"on halves: {halves}"))
        opposite = test["largest"]["difference"] * test["crossed"]["difference"] < 0
        how = "the two point in opposite directions" if opposite else "the larger of the two"
        halves = f"{test['half_samples']} half-samples, the same for a and b"
        rows.append(("p-value", f"{p_text(test.get('p_value'))}  ({how}; {halves})"))
    else:
        rows.append(("a − b", Text(signed(comparison.difference, 4), "bold")))
    metric = metric_text(comparison.metric["name"], comparison.metric["params"])
    grouped = f" in {comparison.groups.get('groups')} groups" if comparison.groups else ""
    made = f"N = {comparison.n}{grouped}, preset {comparison.preset}, from {comparison.made_from}"
    rows += [("measured", f"{metric}, {made}"), ("so", Text(verdict(comparison), style="bold"))]
    title = Text(f"alignment with {name_of(comparison.reference)}")
    return Panel(Group(facts(rows)), title=title, expand=False, box=box.ROUNDED)


def _layers(comparison: Comparison) -> Group | Text:
    """Return the layers with the largest differences, and the cell of the matrix with the largest one."""
    layers = comparison.layers
    if not layers or comparison.matrix is None or comparison.axes is None:
        return Text("  the layers of the two differ, so they are not compared", style="dim")
    tested = layers[0].get("p_value") is not None or comparison.test is not None
    columns = ("layer", "a − b", *(("95% interval", "p", "q") if tested else ()))
    rows = [
        [visible(row["layer"]), signed(row["difference"], 4), *([_interval(row), *_p_and_q(row)] if tested else [])]
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


def _both(row: dict[str, Any] | None) -> tuple[str, str]:
    """Return a difference and its interval."""
    return (DASH, DASH) if row is None else (signed(row["difference"], 4), _interval(row))


def _interval(row: dict[str, Any]) -> str:
    return interval(row.get("low"), row.get("high"), between=" to ")


def _p_and_q(row: dict[str, Any]) -> list[str]:
    return [p_text(row.get(name)) for name in ("p_value", "q_value")]
