"""Statistics of scores: nulls, intervals, false discovery rate, correlations, curves, checks of the data."""

from vlalign.stats.correlations import Correlation, correlation
from vlalign.stats.fdr import benjamini_hochberg
from vlalign.stats.interval import Interval, half_sampling
from vlalign.stats.null import Null, permutation_null

__all__ = [
    "Correlation",
    "Interval",
    "Null",
    "benjamini_hochberg",
    "correlation",
    "half_sampling",
    "permutation_null",
]
