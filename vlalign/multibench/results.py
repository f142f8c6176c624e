"""The result of a MultiBench study: encoders, their alignment layer by layer, and correlations with performance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.files import parse_json, write_whole
from vlalign.multibench.config import MultibenchConfig
from vlalign.paths import user_path
from vlalign.scoring.record import write_json
from vlalign.tables import write_csv

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.stats import Correlation

FORMAT = 1
SUMMARY = "study.json"
TABLES = {"encoders": "encoders.parquet", "alignment": "alignment.parquet", "layers": "layers.parquet"}
PERFORMANCE = {"classification": "accuracy", "sentiment": "accuracy of the sign", "regression": "R²"}
_COLUMNS = {
    "encoders": ["modality", "depth", "seed", "epoch", "train", "valid", "test", "best"],
    "alignment": [
        "modality",
        "reference",
        "depth",
        "seed",
        "reference_depth",
        "reference_seed",
        "train",
        "valid",
        "test",
    ],
    "layers": ["modality", "reference", "depth", "seed", "metric", "layer", "reference_layer", "value"],
}
METHODS = ("pearson", "spearman")


@dataclass(frozen=True)
class MultibenchResult:
    """A MultiBench study.

    Attributes:
        config: the settings, completed from the data.
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
        seconds: wall-clock time of training and alignment of the last run.
        trained: encoders trained in the last run.
        environment: versions, platform, commit.
    """

    config: dict[str, Any]
    data: dict[str, Any]
    encoders: pd.DataFrame
    alignment: pd.DataFrame
    layers: pd.DataFrame
    seconds: dict[str, float]
    trained: int
    environment: dict[str, Any]

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics' columns; the first is that of the findings."""
        return list(self.config["metrics"])

    @property
    def performance(self) -> str:
        """What performance is."""
        return PERFORMANCE[self.data["task"]]

    @property
    def directions(self) -> list[tuple[str, str]]:
        """(modality, reference) of every comparison, both directions of a pair one after the other."""
        names = list(self.config["modalities"])
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        return [direction for a, b in pairs for direction in ((a, b), (b, a))]

    def rows(self, modality: str, reference: str) -> pd.DataFrame:
        """The alignment table's rows of one direction."""
        table = self.alignment
        return table[(table["modality"] == modality) & (table["reference"] == reference)]

    def best(self, modality: str) -> dict[str, Any]:
        """The row of a modality's best encoder."""
        table = self.encoders
        found = table[(table["modality"] == modality) & table["best"]].iloc[0].to_dict()
        return {str(name): value for name, value in found.items()}

    def save(self, folder: str | Path) -> Path:
        """Write the tables as parquet and CSV, correlations.csv and, last, study.json, each whole or not at all.

        Raises:
            VlalignError: a file cannot be written.
        """
        folder = user_path(folder)
        for name, file in TABLES.items():
            table = getattr(self, name)
            write_whole(folder / file, partial(table.to_parquet, index=False))
            if name != "layers":
                write_csv(folder / f"{name}.csv", table)
        found = correlations(self)
        write_whole(folder / "correlations.parquet", partial(found.to_parquet, index=False))
        write_csv(folder / "correlations.csv", found)
        told = {name: value for name, value in vars(self).items() if name not in TABLES}
        counts = {name: len(getattr(self, name)) for name in TABLES}
        return write_json(folder / SUMMARY, {"format": FORMAT, "rows": counts, **told}, "study")

    @classmethod
    def load(cls, folder: str | Path) -> MultibenchResult:
        """Read the tables of a folder.

        Raises:
            VlalignError: there is no finished study, or one that is damaged or of another version.
        """
        import pandas as pd

        folder = user_path(folder)
        try:
            summary = (folder / SUMMARY).read_bytes()
            parts = {name: (folder / file).read_bytes() for name, file in TABLES.items()}
        except OSError as error:
            raise VlalignError(
                f"{folder} holds no finished study ({error.strerror or error}): make one with `vlalign multibench run`"
            ) from error
        again = "run the study again"
        try:
            told = parse_json(summary)
        except ValueError as error:
            raise VlalignError(f"{folder / SUMMARY} is damaged ({' '.join(str(error).split())}): {again}") from error
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise VlalignError(f"{folder / SUMMARY} is not a study of format {FORMAT}: {again}")
        wanted = ("config", "data", "seconds", "trained", "environment", "rows")
        if lacking := [name for name in wanted if name not in told]:
            raise VlalignError(f"{folder / SUMMARY} is damaged (no {', '.join(lacking)}): {again}")
        try:
            metrics = MultibenchConfig(**told["config"]).metrics
        except TypeError as error:
            raise VlalignError(f"{folder / SUMMARY} has settings of another version ({error}): {again}") from error
        tables = {}
        for name, data in parts.items():
            path = folder / TABLES[name]
            try:
                table = tables[name] = pd.read_parquet(BytesIO(data))
            except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:  # all that pyarrow raises
                raise VlalignError(f"{path} is damaged ({' '.join(str(error).split())}): {again}") from error
            more = [one + end for one in metrics for end in ("", " layer", " reference_layer")]
            columns = _COLUMNS[name] + (more if name == "alignment" else [])
            if lacking := [one for one in columns if one not in table.columns]:
                raise VlalignError(f"{path} is damaged (no column {', '.join(lacking)}): {again}")
            if told["rows"].get(name) != len(table):
                raise VlalignError(f"{path} has {len(table)} rows, {SUMMARY} says {told['rows'].get(name)}: {again}")
        rest = {name: told[name] for name in wanted if name != "rows"}
        return cls(**rest, **tables)


def make_table(rows: Sequence[Mapping[str, Any]], by: Sequence[str]) -> pd.DataFrame:
    """Rows as a table, in the order of some columns."""
    import pandas as pd

    return pd.DataFrame(list(rows)).sort_values(list(by), ignore_index=True, kind="stable")


def correlate(
    result: MultibenchResult,
    modality: str,
    reference: str,
    metric: str,
    method: str = "pearson",
    by_depth: bool = False,
) -> Correlation | None:
    """Correlation of alignment and test performance over the encoders of a modality; None where it is not defined.

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
        raise VlalignError(f"there is no comparison of {modality} with {reference}: the study has {known}")
    if metric not in result.metrics:
        raise VlalignError(f"there is no metric {metric}: the study has {', '.join(result.metrics)}")
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
    """All correlations of alignment and test performance, one row for each.

    Columns: ``modality``, ``reference``, ``metric``, ``method``, ``independent`` (encoders or depths, see
    :func:`correlate`), ``r``, ``low``, ``high`` (95 % interval), ``p``, ``p_from``, ``encoders``.
    """
    import pandas as pd

    rows = []
    for modality, reference in result.directions:
        for metric in result.metrics:
            for method in METHODS:
                for by_depth in (False, True):
                    found = correlate(result, modality, reference, metric, method, by_depth)
                    row: dict[str, Any] = {
                        "modality": modality, "reference": reference, "metric": metric, "method": method,
                        "independent": "depths" if by_depth else "encoders",
                    }  # fmt: skip
                    if found is not None:
                        row |= {
                            "r": found.r, "low": found.low, "high": found.high, "p": found.p_value,
                            "p_from": found.p_from, "encoders": found.n,
                        }  # fmt: skip
                    rows.append(row)
    columns = [
        *("modality", "reference", "metric", "method", "independent"),
        "r",
        "low",
        "high",
        "p",
        "p_from",
        "encoders",
    ]
    return pd.DataFrame(rows, columns=columns)
