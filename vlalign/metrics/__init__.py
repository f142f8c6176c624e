"""Metrics: pure functions of paired features [N, D] or of neighbour lists."""

from vlalign.metrics.base import Info, Metric, Moments
from vlalign.metrics.cka import cka, unbiased_cka
from vlalign.metrics.cknna import cknna
from vlalign.metrics.cmd import cmd
from vlalign.metrics.cycle_knn import cycle_knn
from vlalign.metrics.edit_distance_knn import edit_distance_knn
from vlalign.metrics.engine.neighbours import knn
from vlalign.metrics.jaccard_knn import jaccard_knn
from vlalign.metrics.lcs_knn import lcs_knn
from vlalign.metrics.linear_predictivity import linear_predictivity
from vlalign.metrics.mutual_knn import MutualKnn, mutual_knn, mutual_knn_from_neighbours, overlap_counts
from vlalign.metrics.procrustes import angular_shape, angular_shape_distance, procrustes, procrustes_distance
from vlalign.metrics.pwcca import pwcca
from vlalign.metrics.registry import get_metric, metric_names, parse_metric
from vlalign.metrics.rnx import rnx, rnx_area
from vlalign.metrics.rsa import rsa
from vlalign.metrics.svcca import svcca

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
