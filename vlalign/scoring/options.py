"""Options of scores and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Interval
from cyclopts import Group, Parameter

from vlalign.config import Free, FreeMany, Options, plain
from vlalign.errors import VlalignError
from vlalign.option_types import Before

if TYPE_CHECKING:
    import torch

    from vlalign.metrics.base import Metric
    from vlalign.scoring import inputs
    from vlalign.scoring.categories import Within as Categories
    from vlalign.scoring.grouping import Groups
    from vlalign.scoring.record import ScoreRecord

    Within = Categories | None
    Metrics = str | Metric | Sequence[str | Metric]
    Device = str | torch.device | None
    Features = inputs.Features | None
    Names = Sequence[str | None] | None
    Ids = Sequence[Sequence[str | int] | None] | None
else:  # checked where PyTorch and NumPy are imported
    Metrics, Groups, Device, Features, Names, Ids = FreeMany, Free, Free, Free, Free, Free
    Within = Annotated[tuple[str, ...] | None, Before(lambda value: value, checked=False)]

#: half-samples of an interval by default: a costly metric gets fewer and a wider quantile
HALF_SAMPLES, COSTLY_HALF_SAMPLES = 100, 20

_SCORES, _NULL = Group("Scores", sort_key=3), Group("Null and interval", sort_key=4)
_Count = Annotated[int, Interval(ge=0, le=10**7)]


class NeighbourOptions(Options, group=_SCORES):
    """Options of every score, comparison and study of uniqueness."""

    k: Annotated[int, Ge(1)] = 10
    """number of neighbours, for metrics that have them"""

    preset: Literal["platonic", "cosine", "none"] = "platonic"
    """preprocessing of features: platonic (clip at the 0.95 quantile, then cosine), cosine or none"""

    half_samples: Annotated[_Count | None, Parameter(group=_NULL)] = None
    """half-samples of the interval, or of the test of a comparison; 0 leaves the interval out (default: 100, or 20 for
    the costly metrics)"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.half_samples == 1:
            raise VlalignError("half_samples: an interval needs at least 2 half-samples, got 1 (0 leaves it out)")

    def halves(self, metric: Metric) -> int:
        """Return the number of half-samples for a metric."""
        if self.half_samples is not None:
            return self.half_samples
        return HALF_SAMPLES if metric.info.permutations else COSTLY_HALF_SAMPLES


class NullOptions(Options, group=_NULL):
    """Options of the permutation null of a score."""

    permutations: _Count | None = None
    """permutations of the null, layer selection included, at most: a score that is clearly no better than chance needs
    fewer; 0 leaves the null out (default: what suits the metric: 1000, 200, or 0 if it is costly; none where the null
    of a score is analytic)"""

    def draws(self, metric: Metric) -> int:
        """Return the number of permutations for a metric."""
        return metric.info.permutations if self.permutations is None else self.permutations


class CompareOptions(NeighbourOptions, group=_SCORES):
    """Options of a comparison of two runs."""

    metric: Metrics = ("mutual_knn",)
    """alignment metric, with parameters as name:param=value,… (see `vlalign metrics`); `vlalign score` takes several,
    or all for every metric"""

    groups: Annotated[Groups, Parameter(group=_NULL, metavar="FILE")] = None
    """samples that belong together, such as several captions of one image, permuted and drawn as blocks: a .csv, .tsv,
    .jsonl or .parquet file with columns id and group, FILE:COLUMN, or exact (samples with identical features)"""

    seed: Annotated[int, Ge(0), Parameter(group=_NULL)] = 0
    """random seed for permutations and half-samples"""

    concat: bool = False
    """also score the concatenation of all layers (index -1, name all), as the last row and column: layers are clipped,
    concatenated, then normalised, as the reference does"""

    device: Device = None
    """device on which layers are prepared (default: a GPU if available)"""

    @property
    def metrics(self) -> list[Metric]:
        """Metrics, one or several, each once.

        Raises:
            VlalignError: an unknown metric or parameter, or no metric.
        """
        from vlalign.metrics.base import Metric
        from vlalign.metrics.registry import metric_names, parse_metric

        metrics: list[Metric] = []
        for given in self.metric if isinstance(self.metric, tuple) else [self.metric]:
            if not isinstance(given, str | Metric):
                raise VlalignError(f"a metric is given by its name or as a metric, not as {type(given).__name__}")
            names = metric_names() if given == "all" else [given]
            metrics += [one if isinstance(one, Metric) else parse_metric(one, k=self.k) for one in names]
        if not metrics:
            raise VlalignError("no metric is given: name at least one")
        return list(dict.fromkeys(metrics))


class CompareKeywords(CompareOptions):
    """Keywords of :func:`vlalign.compare`: options, and the reference."""

    reference: Features = None
    """run or features that both runs are compared with; None for two records, which have a common run"""


class ScoreOptions(CompareOptions, NullOptions):
    """Options of a score."""

    full: Annotated[bool, Parameter(parse=False)] = False
    """also compute the interval of the maximum over layers, and the score against N and k"""

    neighbours: Annotated[Literal["exact", "faiss"], Parameter(group=_SCORES)] = "exact"
    """search of nearest neighbours, for metrics that compare their lists: exact, or with faiss approximate, for
    hundreds of thousands of samples without a GPU; the share of the exact neighbours that it finds is recorded"""

    null: Annotated[Literal["auto", "permutation", "analytic"], Parameter(group=_NULL)] = "auto"
    """null of the largest score over layer pairs: from permutations; analytic, from the exact covariance of layer
    pairs (mutual_knn, rnx, cka, unbiased_cka, cmd, rsa), with permutations where it is not close, and where its p-value
    is near .05 if there are 1000 of them; or auto: analytic where it is known, unless groups, positives or permutations
    are given"""

    within: Annotated[Within, Parameter(group=_NULL, metavar="FILE:COLUMN")] = None
    """categories of the samples, by id where the file has ids: also test the score against pairs shuffled inside
    categories, and compute how much of it each column explains; many different numbers are cut into strata"""

    positives: Annotated[Groups, Parameter(group=_NULL, metavar="FILE")] = None
    """items of several samples, such as the captions of one image: neighbours are other items, as near as their nearest
    samples, and items are permuted and drawn (neighbour metrics); a .csv, .tsv, .jsonl or .parquet file with columns id
    and group, or FILE:COLUMN"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.positives is not None and (self.within is not None or self.groups is not None):
            raise VlalignError("positives: items replace groups, and have no categories: give one of the options")
        if self.positives is not None and self.neighbours == "faiss":
            raise VlalignError("positives: neighbours of items are searched exactly, not with faiss: leave one out")
        if self.within is not None and self.groups is not None:
            raise VlalignError("within: categories and groups cannot be permuted together, give one of them")
        if self.within is not None and self.permutations == 0:
            raise VlalignError("within: a null inside categories needs permutations, and they are 0")
        if self.null == "analytic" and self.groups is not None:
            raise VlalignError("null: groups are permuted as blocks, which needs the permutation null")

    def is_analytic(self, metric: Metric) -> bool:
        """Return whether the null of a metric is the analytic one, as far as that does not depend on the features.

        Raises:
            VlalignError: it is asked for, and not known for the metric.
        """
        from vlalign.metrics.base import Metric

        known = type(metric).null_moments is not Metric.null_moments and metric.paired
        if self.null == "auto":
            return known and self.groups is self.positives is self.permutations is None
        if self.null == "analytic" and not known:
            raise VlalignError(
                f"null: analytic is known for mutual_knn, rnx, cka, unbiased_cka, cmd and rsa, not for {metric.label}: "
                "use permutation"
            )
        return self.null == "analytic"

    def is_approximate(self, metric: Metric) -> bool:
        """Return whether the neighbours of a metric are searched with faiss."""
        return self.neighbours == "faiss" and metric.preparation == ("neighbours", metric.params.get("k"))

    def check_neighbours(self) -> None:
        """Check that faiss is installed and has a use, where it is asked for.

        Raises:
            VlalignError: it is not, or no metric compares neighbour lists alone.
        """
        from importlib.util import find_spec

        if self.neighbours == "exact":
            return
        if not any(map(self.is_approximate, self.metrics)):
            names = ", ".join(metric.name for metric in self.metrics)
            raise VlalignError(f"neighbours: faiss is for metrics that compare neighbour lists, not for {names}")
        if find_spec("faiss") is None:
            raise VlalignError("neighbours: faiss needs its library: pip install 'vlalign[faiss]'")

    def settings(self, metric: Metric) -> dict[str, Any]:
        """Return everything that a score with a metric depends on beside sides and samples' labels, with its defaults.

        Raises:
            VlalignError: an option that the metric does not have.
        """
        from vlalign.metrics.engine.neighbour_lists import NeighbourMetric

        if self.positives is not None and not (isinstance(metric, NeighbourMetric) and metric.lazy):
            raise VlalignError(
                f"positives: {metric.name} compares no lists of neighbours: use mutual_knn, rnx, jaccard_knn, "
                "cycle_knn, lcs_knn or edit_distance_knn"
            )
        values = plain(
            {
                name: value
                for name, value in vars(self).items()
                if name not in ("k", "device", "within", "null", "neighbours", "positives")
            }
        )
        counts = {"permutations": self.draws(metric), "half_samples": self.halves(metric)}
        null = {"null": "analytic"} if self.is_analytic(metric) else {}
        search = {"neighbours": self.neighbours} if self.is_approximate(metric) else {}
        return values | counts | null | search | {"metric": metric.label}


def recorded_settings(record: ScoreRecord) -> dict[str, Any]:
    """Return the options that a record was made with, as far as it states them."""
    from vlalign.metrics.base import metric_text

    null, interval = record.null or {}, record.interval or {}
    groups, positives = (record.pairing.get(name) for name in ("groups", "positives"))
    inside = null.get("within") or []
    asked = null.get("asked") or null.get("permutations") or max((one.get("asked") or 0 for one in inside), default=0)
    return {
        "metric": metric_text(record.metric["name"], record.metric["params"]),
        "preset": record.preprocessing["preset"],
        "permutations": asked,
        "half_samples": interval.get("count") or 0,
        "seed": null.get("seed", interval.get("seed")) or None,
        "groups": groups.get("source") if isinstance(groups, dict) else None,
        "concat": record.axes["x"][-1].get("index") == -1,
        **({"within": [str(one.get("source")) for one in inside]} if inside else {}),
        **({"positives": positives.get("source")} if isinstance(positives, dict) else {}),
        **({"null": null["method"]} if "method" in null else {}),
        **({"neighbours": method} if (method := recorded_search(record)) != "exact" else {}),
    }


def recorded_search(record: ScoreRecord) -> str:
    """Return how the neighbours of a record were searched, ``exact`` or ``faiss``."""
    search = record.preprocessing.get("neighbours")
    return str(search.get("method")) if isinstance(search, dict) else "exact"


class ScoreKeywords(ScoreOptions):
    """Keywords of :func:`vlalign.score`: options, and names and ids of arrays."""

    names: Names = None
    """names of the models of x and y, for the record and its file; None for a run, which has a name"""

    ids: Ids = None
    """unique ids of the samples, by which rows are then paired: one list for both sides, or a pair of lists, those of x
    and those of y; None for a run, which has ids"""
