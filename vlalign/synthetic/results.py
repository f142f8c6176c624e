"""The result of a synthetic study: one tidy table, and what the paper reads off it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.files import parse_json, write_whole
from vlalign.paths import user_path
from vlalign.scoring.record import write_json
from vlalign.synthetic.config import SyntheticConfig
from vlalign.tables import write_csv

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.stats import Correlation

FORMAT = 1
TABLE, SUMMARY = "alignment.parquet", "study.json"
_WHICH = ["modality", "seed", "uniqueness", "phi_depth", "width", "depth", "reference_depth"]
_LEAST = 5  # values that a correlation is worth computing of


def make_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows of :func:`vlalign.synthetic.align.alignment_rows` as a table.

    One row for each pair of encoders. ``seed``, ``uniqueness``, ``modality`` (from 2), ``phi_depth``, ``width`` and
    ``depth`` say which encoder, ``reference_depth`` which one of modality 1; ``train``, ``valid``, ``test`` are the
    encoder's accuracies, ``epoch`` that of its checkpoint, ``reference_test`` the test accuracy of the other. Each
    metric has a column of its name with the largest value over layer pairs, and ``… layer``, ``… reference_layer``
    (from 1) with the layers that have it. Rows are in the order of the columns that say which.
    """
    import pandas as pd

    return pd.DataFrame(list(rows)).sort_values(_WHICH, ignore_index=True)


@dataclass(frozen=True)
class SyntheticResult:
    """A synthetic study.

    Attributes:
        config: the resolved settings.
        table: see :func:`make_table`.
        seconds: wall-clock time of training and alignment of the last run.
        trained: encoders trained in the last run.
        environment: versions, platform, commit.
    """

    config: dict[str, Any]
    table: pd.DataFrame
    seconds: dict[str, float]
    trained: int
    environment: dict[str, Any]

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics' columns; the first is that of the findings."""
        return list(self.config["metrics"])

    def save(self, folder: str | Path) -> Path:
        """Write alignment.parquet, alignment.csv and, last, study.json, each whole or not at all.

        Raises:
            VlalignError: a file cannot be written.
        """
        folder = user_path(folder)
        write_whole(folder / TABLE, lambda part: self.table.to_parquet(part, index=False))
        write_csv(folder / "alignment.csv", self.table)
        told = {name: value for name, value in vars(self).items() if name != "table"}
        return write_json(folder / SUMMARY, {"format": FORMAT, "rows": len(self.table), **told}, "study")

    @classmethod
    def load(cls, folder: str | Path) -> SyntheticResult:
        """Read the tables of a folder.

        Raises:
            VlalignError: there is no finished study, or one of another format.
        """
        import pandas as pd

        folder = user_path(folder)
        try:
            summary, data = ((folder / name).read_bytes() for name in (SUMMARY, TABLE))
        except OSError as error:
            raise VlalignError(
                f"{folder} holds no finished study ({error.strerror or error}): make one with `vlalign synthetic run`"
            ) from error
        try:
            told = parse_json(summary)
            table = pd.read_parquet(BytesIO(data))
        except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:  # all that pyarrow raises
            raise VlalignError(
                f"{folder}: {SUMMARY} or {TABLE} is damaged ({' '.join(str(error).split())}): run the study again"
            ) from error
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise VlalignError(f"{folder / SUMMARY} is not a study of format {FORMAT}: run the study again")
        if lacking := [name for name in ("config", "seconds", "trained", "environment") if name not in told]:
            raise VlalignError(f"{folder / SUMMARY} is damaged (no {', '.join(lacking)}): run the study again")
        if told.get("rows") != len(table):
            raise VlalignError(f"{folder}: {TABLE} has {len(table)} rows, {SUMMARY} says {told.get('rows')}: run again")
        try:
            config = SyntheticConfig(**told["config"])
        except TypeError as error:
            raise VlalignError(f"{folder / SUMMARY} has settings of another version ({error}): run again") from error
        wanted = [*_WHICH, "test", *(name + end for name in config.metrics for end in ("", " layer"))]
        if lacking := [name for name in wanted if name not in table.columns]:
            raise VlalignError(f"{folder / TABLE} is damaged (no column {', '.join(lacking)}): run the study again")
        return cls(told["config"], table, told["seconds"], told["trained"], told["environment"])


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """The rows whose reference is the shallowest encoder of modality 1, as in the paper's headline figures."""
    return table[table["reference_depth"] == table["reference_depth"].min()]


def maxima(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Largest alignment over depths, widths and seeds: rows (modality, phi_depth), columns U."""
    return headline(table).groupby(["modality", "phi_depth", "uniqueness"])[metric].max().unstack()


def rho_of_maxima(table: pd.DataFrame, metric: str) -> dict[tuple[int, int], Correlation | None]:
    """Spearman's correlation of U and the largest alignment, by (modality, phi_depth); None for fewer than 5 U."""
    from vlalign.stats import correlation

    found: dict[tuple[int, int], Correlation | None] = {}
    for key, row in maxima(table, metric).iterrows():
        values = row.dropna()
        varies = len(values) >= _LEAST and values.nunique() > 1
        found[key] = correlation(list(map(float, values.index)), list(values)) if varies else None
    return found


#: name of the correlation: columns that it is of; ``alignment`` stands for the metric
OF_DEPTHS = {
    "alignment/performance": ("alignment", "test"),
    "performance/depth": ("test", "depth"),
    "alignment/depth": ("alignment", "depth"),
}


def rank_correlations(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Spearman's correlations over the encoders of one modality, φ, U and seed (depths and widths).

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
    """Medians over φ and seeds of :func:`rank_correlations`: rows (modality, uniqueness)."""
    return rank_correlations(table, metric).groupby(["modality", "uniqueness"])[list(OF_DEPTHS)].median()


def _spearman(a: pd.Series, b: pd.Series) -> float:
    from scipy.stats import rankdata

    if len(a) < _LEAST or a.nunique() < 2 or b.nunique() < 2:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
