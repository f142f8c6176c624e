"""Baselines: what trivial features of the samples, and models of random weights, reach on the same data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlalign import lazy_names

if TYPE_CHECKING:
    from vlalign.baseline.options import BaselineOptions
    from vlalign.baseline.runs import BaselinePlan, baselines, make_baselines, plan_baselines

__all__ = ["BaselineOptions", "BaselinePlan", "baselines", "make_baselines", "plan_baselines"]
__getattr__ = lazy_names(
    __name__,
    {
        "BaselineOptions": "options",
        "BaselinePlan": "runs",
        "baselines": "runs",
        "make_baselines": "runs",
        "plan_baselines": "runs",
    },
)
