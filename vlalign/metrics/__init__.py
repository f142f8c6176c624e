"""Metrics: pure functions of paired features [N, D] or of neighbour lists."""

from vlalign.metrics.base import Info, Metric, Moments
from vlalign.metrics.mutual_knn import MutualKnn, mutual_knn, mutual_knn_from_neighbours, overlap_counts
from vlalign.metrics.neighbours import knn
from vlalign.metrics.registry import get_metric, metric_names, parse_metric

__all__ = [
    "Info",
    "Metric",
    "Moments",
    "MutualKnn",
    "get_metric",
    "knn",
    "metric_names",
    "mutual_knn",
    "mutual_knn_from_neighbours",
    "overlap_counts",
    "parse_metric",
]
