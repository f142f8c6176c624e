"""Tables about baselines: what a plan makes, its disk and its time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType

from vlalign.display import visible
from vlalign.display.format import plural, size
from vlalign.files import free_bytes
from vlalign.report import extraction
from vlalign.report.console import FittedTable, notes, titled

if TYPE_CHECKING:
    from vlalign.baseline import BaselineOptions, BaselinePlan


def plan_tables(plan: BaselinePlan, options: BaselineOptions) -> Group:
    """Return what ``--dry-run`` shows: the features, then the models of random weights with their rough cost."""
    rows = [
        [visible(one.key.model), one.key.modality, ", ".join(one.widths), str(one.to_do) if one.to_do else "done",
         size(one.bytes_to_write())]
        for one in plan.features
    ]  # fmt: skip
    shown = FittedTable(("feature", "modality", "layers", "to do", "disk"), rows, left=("modality", "layers"))
    need = sum(one.bytes_to_write() for one in plan.features)
    lines = [f"{options.store}: {size(need)} to write, {size(free_bytes(Path(options.store)))} free"]
    title = f"plan: baselines of {plural(plan.data.n, 'sample')} of {plan.data.name}"
    parts: list[RenderableType] = [titled(visible(title), shown), *notes(lines)]
    if plan.engine is not None and plan.random is not None:
        parts.append(extraction.plan_table(plan.random, plan.engine.device, plan.engine.config))
    return Group(*parts)


def plan_document(plan: BaselinePlan, options: BaselineOptions) -> dict[str, Any]:
    """Return a plan as JSON values: the features, and the plan of the models of random weights or null."""
    features = [
        {"model": one.key.model, "modality": one.key.modality, "layers": dict(one.widths), "to_do": one.to_do,
         "bytes": one.bytes_to_write()}
        for one in plan.features
    ]  # fmt: skip
    random = None
    if plan.engine is not None and plan.random is not None:
        random = extraction.plan_document(plan.random, plan.engine.device, plan.engine.config)
    return {"data": options.data.source, "samples": plan.data.n, "features": features, "random": random}
