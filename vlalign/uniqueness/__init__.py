"""The uniqueness study: the maximum alignment over many pairs of models as one modality gains unique information."""

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
