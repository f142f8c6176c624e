"""Metrics by name. A new metric is one file with a class in :mod:`vlalign.metrics.definitions`, and one line here."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from vlalign.errors import VlalignError, did_you_mean
from vlalign.metrics.base import Metric
from vlalign.metrics.definitions.cka import Cka, UnbiasedCka
from vlalign.metrics.definitions.cknna import Cknna
from vlalign.metrics.definitions.cmd import Cmd
from vlalign.metrics.definitions.cycle_knn import CycleKnn
from vlalign.metrics.definitions.edit_distance_knn import EditDistanceKnn
from vlalign.metrics.definitions.jaccard_knn import JaccardKnn
from vlalign.metrics.definitions.lcs_knn import LcsKnn
from vlalign.metrics.definitions.linear_predictivity import LinearPredictivity
from vlalign.metrics.definitions.mutual_knn import MutualKnn
from vlalign.metrics.definitions.procrustes import AngularShape, Procrustes
from vlalign.metrics.definitions.pwcca import Pwcca
from vlalign.metrics.definitions.rnx import Rnx, RnxArea
from vlalign.metrics.definitions.rsa import Rsa
from vlalign.metrics.definitions.svcca import Svcca

#: Every metric by its name.
METRICS: dict[str, type[Metric]] = {
    metric.name: metric
    for metric in (
        MutualKnn, CycleKnn, LcsKnn, EditDistanceKnn, JaccardKnn, Rnx, RnxArea, Cknna,
        Cka, UnbiasedCka, Cmd, Rsa, Svcca, Pwcca, Procrustes, AngularShape, LinearPredictivity,
    )
}  # fmt: skip


def metric_names() -> list[str]:
    """Return the names that :func:`get_metric` knows, in the order of ``vlalign metrics``."""
    return list(METRICS)


def get_metric(name: str, **params: Any) -> Metric:
    """Return the metric of that name with its parameters.

    Raises:
        VlalignError: for an unknown name (with close matches), an unknown parameter, or one out of range.

    >>> get_metric("mutual_knn", k=5).params
    {'k': 5}
    """
    if not isinstance(name, str) or name not in METRICS:
        advice = did_you_mean(str(name)[:100], METRICS) or f": use one of {', '.join(METRICS)}"
        raise VlalignError(f"unknown metric {name!r}{advice}")
    known = [field.name for field in fields(METRICS[name])]  # type: ignore[arg-type]
    for param in params:
        if param not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise VlalignError(f"{name} has no parameter {param!r}: {has}")
    return METRICS[name](**params)


def parse_metric(text: str, **defaults: Any) -> Metric:
    """Return the metric that a text like ``cka:kernel=rbf,bandwidth=median`` names.

    Args:
        text: a name, and after a colon its parameters; numbers, true, false and none are recognised.
        defaults: parameters for metrics that have them, where the text does not give them.

    Raises:
        VlalignError: as :func:`get_metric`, or for parameters that are not ``name=value``.

    >>> parse_metric("mutual_knn:k=5").params, parse_metric("mutual_knn", k=20, sigma=1.0).params
    ({'k': 5}, {'k': 20})
    """
    name, _, rest = text.partition(":")
    params: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise VlalignError(f"metric {text!r}: give parameters as name=value,name=value, not {part!r}")
        if key.strip() in params:
            raise VlalignError(f"metric {text!r} gives {key.strip()} twice")
        params[key.strip()] = _value(value.strip())
    if name in METRICS:
        for field in fields(METRICS[name]):  # type: ignore[arg-type]
            if field.name in defaults:
                params.setdefault(field.name, defaults[field.name])
    return get_metric(name, **params)


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
