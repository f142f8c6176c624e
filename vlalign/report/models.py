"""The table of registered models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from vlalign.report.format import count

if TYPE_CHECKING:
    from vlalign.models.spec import ModelSpec


def models_table(specs: Sequence[ModelSpec]) -> Table:
    """Alias, family, modality, parameters, layers, width and licence of each spec."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("alias", no_wrap=True)
    for column in ("family", "modality"):
        table.add_column(column)
    for column in ("parameters", "blocks", "width"):
        table.add_column(column, justify="right")
    table.add_column("licence")
    for spec in specs:
        table.add_row(
            spec.alias,
            spec.family,
            spec.modality,
            count(spec.params),
            str(spec.layers or "–"),
            str(spec.width or "–"),
            (spec.licence or "see its page") + (" (gated)" if spec.gated else ""),
        )
    return table
