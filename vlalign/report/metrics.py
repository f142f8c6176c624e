"""The table of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from vlalign.metrics.base import value_text

if TYPE_CHECKING:
    from vlalign.metrics import Metric


def metrics_table(metrics: Sequence[type[Metric]]) -> Table:
    """Return name with parameters and defaults, and what the metric is, range, invariances, cost, source."""
    table = Table(box=box.HORIZONTALS, show_lines=True)
    table.add_column("metric", no_wrap=True)  # names and parameters are there to be copied
    table.add_column("what it is")  # one column: six would be a few letters wide on 80 columns
    for metric in metrics:
        info = metric.info
        facts = {"range": info.range, "unchanged by": info.invariances, "cost": info.cost, "source": info.source}
        table.add_row(
            Text("\n").join([Text(metric.name, style="bold"), *map(Text, parameters(metric))]),
            Text("\n").join(
                [
                    Text(info.summary if info.symmetric else f"{info.summary}; not symmetric"),
                    *(Text.assemble((f"{name}: ", "dim"), text) for name, text in facts.items()),
                ]
            ),
        )
    return table


def parameters(metric: type[Metric]) -> list[str]:
    """``name=default`` of each parameter."""
    return [f"{field.name}={value_text(field.default)}" for field in fields(metric)]  # type: ignore[arg-type]
