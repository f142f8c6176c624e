"""Metrics: pure functions of paired features [N, D] or of neighbour lists."""

from vlalign.metrics.base import Info, Metric, Moments
from vlalign.metrics.definitions.cka import cka, unbiased_cka
from vlalign.metrics.definitions.cknna import cknna
from vlalign.metrics.definitions.cmd import cmd
from vlalign.metrics.definitions.cycle_knn import cycle_knn
from vlalign.metrics.definitions.edit_distance_knn import edit_distance_knn
from vlalign.metrics.definitions.jaccard_knn import jaccard_knn
from vlalign.metrics.definitions.lcs_knn import lcs_knn
from vlalign.metrics.definitions.linear_predictivity import linear_predictivity
from vlalign.metrics.definitions.mutual_knn import MutualKnn, mutual_knn, mutual_knn_from_neighbours, overlap_counts
from vlalign.metrics.definitions.procrustes import (
    angular_shape,
    angular_shape_distance,
    procrustes,
    procrustes_distance,
)
from vlalign.metrics.definitions.pwcca import pwcca
from vlalign.metrics.definitions.rnx import rnx, rnx_area
from vlalign.metrics.definitions.rsa import rsa
from vlalign.metrics.definitions.svcca import svcca
from vlalign.metrics.engine.neighbours import knn
from vlalign.metrics.registry import get_metric, metric_names, parse_metric

__all__ = [
    "Info",
    "Metric",
    "Moments",
    "MutualKnn",
    "angular_shape",
    "angular_shape_distance",
    "cka",
    "cknna",
    "cmd",
    "cycle_knn",
    "edit_distance_knn",
    "get_metric",
    "jaccard_knn",
    "knn",
    "lcs_knn",
    "linear_predictivity",
    "metric_names",
    "mutual_knn",
    "mutual_knn_from_neighbours",
    "overlap_counts",
    "parse_metric",
    "procrustes",
    "procrustes_distance",
    "pwcca",
    "rnx",
    "rnx_area",
    "rsa",
    "svcca",
    "unbiased_cka",
]
