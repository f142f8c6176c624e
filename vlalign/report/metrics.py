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
    """Name with parameters and defaults, what it is, range, invariances, cost, source."""
    table = Table(box=box.HORIZONTALS, show_lines=True)
    table.add_column("metric", no_wrap=True)  # names and parameters are there to be copied
    for column, ratio in (("what", 6), ("range", 4), ("unchanged by", 4), ("cost", 5), ("source", 4)):
        table.add_column(column, ratio=ratio)
    for metric in metrics:
        info = metric.info
        summary = info.summary if info.symmetric else f"{info.summary}; not symmetric"
        table.add_row(
            Text("\n").join([Text(metric.name, style="bold"), *map(Text, parameters(metric))]),
            summary, info.range, info.invariances, info.cost, info.source,
        )  # fmt: skip
    return table


def parameters(metric: type[Metric]) -> list[str]:
    """``name=default`` of each parameter."""
    return [f"{field.name}={value_text(field.default)}" for field in fields(metric)]  # type: ignore[arg-type]
