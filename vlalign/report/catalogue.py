"""Tables of what the library offers: registered models and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from vlalign.display.format import DASH, count
from vlalign.report.console import FittedTable

if TYPE_CHECKING:
    from vlalign.metrics import Metric
    from vlalign.models.spec import ModelSpec


def models_table(specs: Sequence[ModelSpec]) -> FittedTable:
    """Return alias, family, modality, parameters, blocks, width and licence of each spec."""
    columns = ("alias", "family", "modality", "parameters", "blocks", "width", "licence")
    rows = [
        [
            spec.alias, spec.family or "", spec.modality or "", count(spec.params), str(spec.layers or DASH),
            str(spec.width or DASH), (spec.licence or "see its page") + (" (gated)" if spec.gated else ""),
        ]
        for spec in specs
    ]  # fmt: skip
    return FittedTable(
        columns, rows, left=("family", "modality", "licence"), stacks=(("family", "modality"), ("blocks", "width")),
        omit=("width", "blocks", "family"),
    )  # fmt: skip


def metrics_table(metrics: Sequence[type[Metric]]) -> Table:
    """Return name with parameters and defaults of each metric, its definition, range, invariances, cost, source."""
    result = Table(box=box.HORIZONTALS, show_lines=True)
    result.add_column("metric")
    result.add_column("definition")  # one column: six would be a few letters wide on 80 columns
    for metric in metrics:
        info = metric.info
        lines = {"range": info.range, "unchanged by": info.invariances, "cost": info.cost, "source": info.source}
        result.add_row(
            Text("\n").join([Text(metric.name, style="bold"), *map(Text, parameters(metric))]),
            Text("\n").join(
                [
                    Text(info.summary if info.symmetric else f"{info.summary}; not symmetric"),
                    *(Text.assemble((f"{name}: ", "dim"), text) for name, text in lines.items()),
                ]
            ),
        )
    result.columns[0].no_wrap = True  # to be copied
    return result


def parameters(metric: type[Metric]) -> list[str]:
    """Return ``name=default`` of each parameter."""
    from vlalign.metrics.base import value_text

    return [f"{field.name}={value_text(field.default)}" for field in fields(metric)]  # type: ignore[arg-type]
