"""Extraction: a plan, then batch → forward → pool every layer → shard, on one process or many."""

from vlalign.extraction.config import ExtractConfig
from vlalign.extraction.engine import Engine, Extraction, extract
from vlalign.extraction.plan import ModelPlan, Plan, make_plan

__all__ = ["Engine", "ExtractConfig", "Extraction", "ModelPlan", "Plan", "extract", "make_plan"]
