"""Studies over many pairs of models: what the maximum alignment does as one modality gains information of its own."""

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
