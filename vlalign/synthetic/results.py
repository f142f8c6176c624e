"""Result of a synthetic study: one tidy table, and the statistics of it that the paper shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from vlalign.study.config import StudyConfig
from vlalign.study.results import CellResult
from vlalign.synthetic.config import SyntheticConfig

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.stats import Correlation

#: columns that identify a row
KEYS = ["modality", "seed", "uniqueness", "phi_depth", "width", "depth", "reference_depth"]
LEAST = 5  # values that a correlation is worth computing of


@dataclass(frozen=True, repr=False)
class SyntheticResult(CellResult):
    """A synthetic study.

    Attributes:
        table: one row for each pair of encoders, sorted. ``seed``, ``uniqueness``, ``modality`` (from 2),
            ``phi_depth``, ``width`` and ``depth`` identify the encoder, ``reference_depth`` that of modality 1;
            ``train``, ``valid``, ``test`` are the encoder's accuracies, ``epoch`` that of its checkpoint,
            ``reference_test`` the test accuracy of the other. Each metric has a column of its name with the largest
            value over layer pairs, and ``… layer``, ``… reference_layer`` (from 1) with the layers that have it.
    """

    COMMAND: ClassVar[str] = "vlalign synthetic run"
    CONFIG: ClassVar[type[StudyConfig]] = SyntheticConfig
    TABLES: ClassVar[Mapping[str, str]] = {"table": "alignment"}

    table: pd.DataFrame

    @classmethod
    def columns(cls, config: SyntheticConfig) -> dict[str, list[str]]:
        """Return the columns that the table must have."""
        metrics = [name + end for name in config.metrics for end in ("", " layer")]
        return {"table": [*KEYS, "test", *metrics]}

    def to_frame(self) -> pd.DataFrame:
        """Return ``table``: one row for each pair of encoders."""
        return self.table


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose reference is the shallowest encoder of modality 1, as in the paper's headline figures."""
    return table[table["reference_depth"] == table["reference_depth"].min()]


def maxima(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the largest alignment over depths, widths and seeds: rows (modality, phi_depth), columns U."""
    return headline(table).groupby(["modality", "phi_depth", "uniqueness"])[metric].max().unstack()


def rho_of_maxima(table: pd.DataFrame, metric: str) -> dict[tuple[int, int], Correlation | None]:
    """Return Spearman's correlation of U and the maxima, by (modality, phi_depth); None for fewer than 5 U."""
    return {key: _rho(row) for key, row in maxima(table, metric).iterrows()}


def rho_of_phi(table: pd.DataFrame, metric: str) -> dict[tuple[int, int], Correlation | None]:
    """Return Spearman's correlation of D_φ and the maxima, by (modality, U); None for fewer than 5 D_φ."""
    return {
        (modality, u): _rho(column)
        for modality, rows in maxima(table, metric).groupby("modality")
        for u, column in rows.droplevel("modality").items()
    }


def maxima_by_reference(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the largest alignment over encoders and seeds, a column for each metric.

    Returns:
        One row for each modality, depth of its encoder of modality 1, phi_depth and uniqueness.
    """
    keys = ["modality", "reference_depth", "phi_depth", "uniqueness"]
    return table.groupby(keys)[list(metrics)].max().reset_index()


#: name of the correlation: columns that it is of; ``alignment`` is the metric
OF_DEPTHS = {
    "alignment/performance": ("alignment", "test"),
    "performance/depth": ("test", "depth"),
    "alignment/depth": ("alignment", "depth"),
}


def rank_correlations(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Compute Spearman's correlations over the encoders of one modality, φ, U and seed (depths and widths).

    Returns:
        One row for each modality, phi_depth, uniqueness and seed, a column for each of :data:`OF_DEPTHS`; NaN with
        fewer than 5 encoders or where one side is constant.
    """
    import pandas as pd

    rows = []
    keys = ["modality", "phi_depth", "uniqueness", "seed"]
    for key, group in headline(table).groupby(keys):
        columns = group.rename(columns={metric: "alignment"})
        values = {name: _spearman(columns[a], columns[b]) for name, (a, b) in OF_DEPTHS.items()}
        rows.append(dict(zip(keys, key, strict=True)) | values)
    return pd.DataFrame(rows)


def medians(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return medians over φ and seeds of :func:`rank_correlations`: rows (modality, uniqueness)."""
    return rank_correlations(table, metric).groupby(["modality", "uniqueness"])[list(OF_DEPTHS)].median()


def _rho(values: pd.Series) -> Correlation | None:
    """Return Spearman's correlation of the index and the values, None for fewer than 5 or equal ones."""
    from vlalign.stats import correlation

    values = values.dropna()
    if len(values) < LEAST or values.nunique() < 2:
        return None
    return correlation(list(map(float, values.index)), list(values))


def _spearman(a: pd.Series, b: pd.Series) -> float:
    from scipy.stats import rankdata

    if len(a) < LEAST or a.nunique() < 2 or b.nunique() < 2:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
