"""Studies over many pairs of models: what the maximum alignment does as one modality gains information of its own."""

from vlalign.study.analysis import FamilyCurve, PerformanceFit, family_curves, findings, performance_fits
from vlalign.study.config import UniquenessConfig
from vlalign.study.points import Point
from vlalign.study.result import UniquenessResult
from vlalign.study.uniqueness import UniquenessStudy

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
