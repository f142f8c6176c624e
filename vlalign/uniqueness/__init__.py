"""The uniqueness study: the maximum alignment over many pairs of models as one modality gains unique information."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlalign import lazy_names

if TYPE_CHECKING:
    from vlalign.uniqueness.analysis import FamilyCurve, PerformanceFit, family_curves, findings, performance_fits
    from vlalign.uniqueness.config import UniquenessConfig
    from vlalign.uniqueness.points import Point
    from vlalign.uniqueness.results import UniquenessResult
    from vlalign.uniqueness.study import UniquenessStudy

__all__ = [
    "FamilyCurve",
    "PerformanceFit",
    "Point",
    "UniquenessConfig",
    "UniquenessResult",
    "UniquenessStudy",
    "family_curves",
    "findings",
    "performance_fits",
]
__getattr__ = lazy_names(
    __name__,
    {
        "FamilyCurve": "analysis",
        "PerformanceFit": "analysis",
        "Point": "points",
        "UniquenessConfig": "config",
        "UniquenessResult": "results",
        "UniquenessStudy": "study",
        "family_curves": "analysis",
        "findings": "analysis",
        "performance_fits": "analysis",
    },
)
