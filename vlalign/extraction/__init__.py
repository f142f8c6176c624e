"""Extraction: a plan, then batch → forward → pool every layer → shard, on one process or many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlalign import lazy_names

if TYPE_CHECKING:
    from vlalign.extraction.engine import Engine, Extraction, extract
    from vlalign.extraction.options import ExtractOptions
    from vlalign.extraction.plan import ModelPlan, Plan, make_plan

__all__ = ["Engine", "ExtractOptions", "Extraction", "ModelPlan", "Plan", "extract", "make_plan"]
__getattr__ = lazy_names(
    __name__,
    {
        "Engine": "engine",
        "ExtractOptions": "options",
        "Extraction": "engine",
        "ModelPlan": "plan",
        "Plan": "plan",
        "extract": "engine",
        "make_plan": "plan",
    },
)
