"""Options of an estimate of information from samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Interval
from cyclopts import Group

from vlalign.config import Free, Options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    PerSample = Sequence[Any] | Mapping[str, Any] | None
else:  # checked where NumPy is imported
    PerSample = Free

Units = Literal["nats", "bits"]
Estimator = Literal["classifiers", "clusters", "gaussian"]


class InformationOptions(Options, group=Group("Information", sort_key=3)):
    """Options of :func:`vlalign.information` and ``vlalign information``."""

    estimator: Estimator = "classifiers"
    """what predicts the label: classifiers (linear models and networks), clusters (k-means; fast, few dimensions), or
    gaussian (closed form, for a regression target that depends linearly on the features)"""

    units: Units = "bits"
    """units of all values"""

    bins: Annotated[int, Interval(ge=2, le=20)] = 4
    """classes that a regression target (numbers with fractions) is divided into, of equally many samples"""

    folds: Annotated[int, Interval(ge=2, le=20)] = 5
    """parts of the samples: each is predicted by classifiers that were fitted on the others"""

    bootstraps: Annotated[int, Interval(ge=20, le=10_000)] = 200
    """resamples of the 95 % intervals"""

    permutations: Annotated[int, Interval(ge=19, le=100_000)] = 199
    """permutations of the labels for the null"""

    clusters: Annotated[int, Interval(ge=2, le=200)] = 64
    """states that the predictions of each modality are merged into, at most, for the exact decomposition"""

    seed: Annotated[int, Interval(ge=0, le=2**32 - 1)] = 0
    """random seed of folds, classifiers, intervals and nulls"""


class InformationKeywords(InformationOptions):
    """Keywords of :func:`vlalign.information`: options, and groups of the samples."""

    groups: PerSample = None
    """group of each sample, such as the image of a caption, by row or by id: folds, intervals and nulls keep groups
    whole; the samples of a group have one label"""
