"""Result of a MultiBench study: encoders, their alignment layer by layer, and correlations with performance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

from vlalign.errors import VlalignError
from vlalign.multibench.config import MultibenchConfig
from vlalign.study.config import StudyConfig
from vlalign.study.results import CellResult

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.stats import Correlation

PERFORMANCE = {"classification": "accuracy", "sentiment": "accuracy of the sign", "regression": "R²"}
METHODS = ("pearson", "spearman")


@dataclass(frozen=True, repr=False)
class MultibenchResult(CellResult):
    """A MultiBench study.

    Attributes:
        data: of the data set: name, task, classes, pool, samples of each split, shapes of the modalities, fingerprint,
            and notes: what a reader of the results should know of it, such as how it differs from the paper's.
        encoders: one row for each encoder: ``modality``, ``depth``, ``seed``, ``epoch`` of its checkpoint, its
            performance on ``train``, ``valid`` and ``test``, and whether it is the ``best`` of its modality, by valid.
        alignment: one row for each encoder (``modality``, ``depth``, ``seed``, ``train``, ``valid``, ``test``) and
            other modality (``reference``), whose best encoder (``reference_depth``, ``reference_seed``) it is compared
            with. Each metric has a column of its name with the largest value over layer pairs, and ``… layer``,
            ``… reference_layer`` (from 1) with the layers that have it.
        layers: all of these values: ``modality``, ``reference``, ``depth``, ``seed``, ``metric``, ``layer``,
            ``reference_layer``, ``value``.
    """

    COMMAND: ClassVar[str] = "vlalign multibench run"
    CONFIG: ClassVar[type[StudyConfig]] = MultibenchConfig
    TABLES: ClassVar[Mapping[str, str]] = {"encoders": "encoders", "alignment": "alignment", "layers": "layers"}

    data: dict[str, Any]
    encoders: pd.DataFrame
    alignment: pd.DataFrame
    layers: pd.DataFrame

    @property
    def performance(self) -> str:
        """Name of the performance measure."""
        return PERFORMANCE[self.data["task"]]

    @property
    def directions(self) -> list[tuple[str, str]]:
        """(modality, reference) of every comparison; both directions of a pair follow each other."""
        names = list(self.config["modalities"])
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        return [direction for a, b in pairs for direction in ((a, b), (b, a))]

    def rows(self, modality: str, reference: str) -> pd.DataFrame:
        """Return the alignment table's rows of one direction."""
        table = self.alignment
        return table[(table["modality"] == modality) & (table["reference"] == reference)]

    def best(self, modality: str) -> dict[str, Any]:
        """Return the row of a modality's best encoder."""
        table = self.encoders
        row = table[(table["modality"] == modality) & table["best"]].iloc[0]
        return {str(name): value for name, value in row.to_dict().items()}

    @classmethod
    def columns(cls, config: MultibenchConfig) -> dict[str, list[str]]:
        """Return the columns that tables must have, by field."""
        encoder = ["modality", "depth", "seed"]
        pair = ["modality", "reference", "depth", "seed"]
        splits = ["train", "valid", "test"]
        metrics = [name + end for name in config.metrics for end in ("", " layer", " reference_layer")]
        return {
            "encoders": [*encoder, "epoch", *splits, "best"],
            "alignment": [*pair, "reference_depth", "reference_seed", *splits, *metrics],
            "layers": [*pair, "metric", "layer", "reference_layer", "value"],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return ``alignment``: one row for each encoder and other modality."""
        return self.alignment

    def derived(self) -> dict[str, pd.DataFrame]:
        """Return the table of :func:`correlations`."""
        return {"correlations": correlations(self)}


def correlate(
    result: MultibenchResult,
    modality: str,
    reference: str,
    metric: str,
    method: str = "pearson",
    by_depth: bool = False,
) -> Correlation | None:
    """Compute the correlation of alignment and test performance over a modality's encoders; None where undefined.

    Args:
        result: of the study.
        modality, reference, metric: whose alignment with whose best encoder, by what.
        method: pearson, as in the paper, or spearman.
        by_depth: take depths, not encoders, for independent: encoders of one depth are alike. p permutes whole
            depths, the interval counts depths; see :func:`vlalign.stats.correlation`.

    Raises:
        VlalignError: the study has no such comparison or metric.
    """
    from vlalign.stats import correlation

    if (modality, reference) not in result.directions:
        known = ", ".join(f"{one} with {other}" for one, other in result.directions)
        raise VlalignError(f"no comparison of {modality} with {reference}: the study has {known}")
    if metric not in result.metrics:
        raise VlalignError(f"no metric {metric}: the study has {', '.join(result.metrics)}")
    rows = result.rows(modality, reference).sort_values(["depth", "seed"])
    if len(rows) < 5 or rows[metric].nunique() < 2 or rows["test"].nunique() < 2:
        return None
    if by_depth and rows["depth"].nunique() < 5:
        return None
    return correlation(
        rows[metric].to_numpy(), rows["test"].to_numpy(), method, permutations=int(result.config["permutations"]),
        blocks=list(rows["depth"]) if by_depth else None,
    )  # fmt: skip


def correlations(result: MultibenchResult) -> pd.DataFrame:
    """Return all correlations of alignment and test performance, one row for each.

    Columns: ``modality``, ``reference``, ``metric``, ``method``, ``independent`` (encoders or depths, see
    :func:`correlate`), ``r``, ``low``, ``high`` (95 % interval), ``p``, ``p_from``, ``encoders``.
    """
    import pandas as pd

    keys = ["modality", "reference", "metric", "method", "independent"]
    rows = []
    for (modality, reference), metric, method in product(result.directions, result.metrics, METHODS):
        for independent in ("encoders", "depths"):
            row: dict[str, Any] = dict(zip(keys, (modality, reference, metric, method, independent), strict=True))
            rho = correlate(result, modality, reference, metric, method, by_depth=independent == "depths")
            if rho is not None:
                row |= {
                    "r": rho.r, "low": rho.low, "high": rho.high, "p": rho.p_value, "p_from": rho.p_from,
                    "encoders": rho.n,
                }  # fmt: skip
            rows.append(row)
    return pd.DataFrame(rows, columns=[*keys, "r", "low", "high", "p", "p_from", "encoders"])
