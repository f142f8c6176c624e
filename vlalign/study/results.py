"""Results of a study as files: tables as Parquet and CSV, and study.json, all checked when they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import partial
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from vlalign.display.result import Card, Result, Texts
from vlalign.display.tables import write_csv
from vlalign.errors import VlalignError
from vlalign.files import parse_json, write_whole
from vlalign.paths import user_path
from vlalign.study.config import StudyConfig

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
SUMMARY = "study.json"
_FINDINGS = 3  # shown in a terminal and on a card


class StudyResult(Result):
    """Base of the results of studies: dataclasses whose fields are tables, or JSON values that study.json holds.

    What results show is in ``report`` beside the study: ``title_of``, ``findings_of``, ``main_table``, ``draw_main``.

    Class attributes:
        COMMAND: the command that makes one, for messages.
        CONFIG: class of the settings.
        TABLES: name of the files of each field that is a table.
    """

    COMMAND: ClassVar[str] = "vlalign study"
    CONFIG: ClassVar[type[StudyConfig]]
    TABLES: ClassVar[Mapping[str, str]] = {}
    config: dict[str, Any]

    @classmethod
    def columns(cls, config: Any) -> dict[str, list[str]]:
        """Return the columns that tables must have, by field, for the settings of a study."""
        return {}

    @classmethod
    def parse(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of study.json as those of the dataclass."""
        return values

    def sentences(self, metric: str | None = None) -> list[str]:
        """Return the findings in sentences; ``metric``: one of the study's (default: the first)."""
        sentences: list[str] = self._report().findings_of(self, metric)
        return sentences

    def lines(self) -> list[str]:
        """Return the title and the first findings."""
        findings = self.sentences()
        more = [f"and {len(findings) - _FINDINGS} more findings"] if len(findings) > _FINDINGS else []
        return [self._report().title_of(self), *findings[:_FINDINGS], *more]

    def card(self) -> Card:
        """Return the card: title, first findings, main table and main figure."""
        title, *findings = self.lines()
        return Card(title, findings, self.texts(), self.plot().figure, "main figure of the study")

    def texts(self, metric: str | None = None) -> Texts:
        """Return the main table, which LaTeX and Markdown show; ``metric``: one of the study's (default: the first)."""
        table: Texts = self._report().main_table(self, metric)
        return table

    def plot(self, ax: Any = None, metric: str | None = None) -> Any:
        """Draw the main result of the study on one pair of axes.

        Args:
            ax: Matplotlib axes (default: those of a new figure).
            metric: one of the study's metrics (default: the first).

        Returns:
            The axes.

        Raises:
            VlalignError: the study has no such metric, or no values to draw.
        """
        return self._report().draw_main(self, ax, metric)

    def _report(self) -> Any:
        return import_module(f"{type(self).__module__.rpartition('.')[0]}.report")  # slow: Matplotlib

    def derived(self) -> dict[str, pd.DataFrame]:
        """Return tables that are written for readers only, by the name of their files."""
        return {}

    def save(self, folder: str | Path) -> Path:
        """Write every table as .parquet and .csv and, last, study.json, each whole or not at all.

        Returns:
            The path of study.json.

        Raises:
            VlalignError: a file cannot be written or a value is not finite.
        """
        from vlalign.scoring.record import write_json  # slow: PyTorch

        folder = user_path(folder)
        stored: dict[str, pd.DataFrame] = {file: getattr(self, name) for name, file in self.TABLES.items()}
        for file, table in (stored | self.derived()).items():
            write_csv(folder / f"{file}.csv", table)
            write_whole(folder / f"{file}.parquet", partial(table.to_parquet, index=False))
        counts = {file: len(table) for file, table in stored.items()}
        rows = {} if not counts else {"rows": counts if len(counts) > 1 else next(iter(counts.values()))}
        names = [entry.name for entry in fields(self) if entry.name not in self.TABLES]  # type: ignore[arg-type]
        values = {name: _plain(getattr(self, name)) for name in names}
        return write_json(folder / SUMMARY, {"format": FORMAT, **rows, **values}, "study")

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read the files of a finished study.

        Raises:
            VlalignError: the folder holds no finished study, or a damaged one or one of another version.
        """
        folder = user_path(folder)
        try:
            text = (folder / SUMMARY).read_bytes()
            data = {name: (folder / f"{file}.parquet").read_bytes() for name, file in cls.TABLES.items()}
        except OSError as error:
            raise VlalignError(
                f"{folder} holds no finished study ({error.strerror or error}): make one with `{cls.COMMAND}`"
            ) from error
        summary = _summary(text, folder / SUMMARY, cls)
        if not cls.TABLES:
            return cls(**summary)
        try:
            columns = cls.columns(cls.CONFIG.make(summary["config"]))
        except TypeError as error:
            raise VlalignError(
                f"{folder / SUMMARY} has settings of another version ({error}): run the study again"
            ) from error
        rows = summary.pop("rows")
        tables = {}
        for name, file in cls.TABLES.items():
            count = rows.get(file) if isinstance(rows, dict) else rows
            tables[name] = _table(data[name], folder / f"{file}.parquet", columns.get(name, []), count)
        return cls(**summary, **tables)


@dataclass(frozen=True, repr=False)
class CellResult(StudyResult):
    """Base of the results of studies of trained cells.

    Attributes:
        config: all settings, ``metrics`` of alignment among them.
        seconds: wall-clock time of training and alignment of the last run.
        trained: encoders trained in the last run.
        environment: versions, platform, commit.
    """

    config: dict[str, Any]
    seconds: dict[str, float]
    trained: int
    environment: dict[str, Any]

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics' columns; the first is that of the findings."""
        return list(self.config["metrics"])

    def chosen_metric(self, metric: str | None) -> str:
        """Return ``metric``, or the first metric of the study for None.

        Raises:
            VlalignError: the study has no such metric.
        """
        if metric not in (None, *self.metrics):
            raise VlalignError(f"there is no metric {metric}: the study has {', '.join(self.metrics)}")
        return metric or self.metrics[0]


def _summary(text: bytes, path: Path, kind: type[StudyResult]) -> dict[str, Any]:
    try:
        values = parse_json(text)
    except ValueError as error:
        raise _damaged(path, error) from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise VlalignError(f"{path} is not a study of format {FORMAT}: run the study again")
    names = [entry.name for entry in fields(kind) if entry.name not in kind.TABLES]  # type: ignore[arg-type]
    names += ["rows"] if kind.TABLES else []
    if missing := [name for name in names if name not in values]:
        raise _damaged(path, f"no {', '.join(missing)}")
    try:
        return kind.parse({name: values[name] for name in names})
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _damaged(path, error) from error


def _table(data: bytes, path: Path, columns: list[str], rows: Any) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_parquet(BytesIO(data))
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:  # all that pyarrow raises
        raise _damaged(path, error) from error
    if missing := [name for name in columns if name not in table.columns]:
        raise _damaged(path, f"no column {', '.join(missing)}")
    if rows != len(table):
        raise VlalignError(f"{path} has {len(table)} rows, {SUMMARY} states {rows}: run the study again")
    return table


def _damaged(path: Path, reason: object) -> VlalignError:
    return VlalignError(f"{path} is damaged ({' '.join(str(reason).split())}): run the study again")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def make_table(rows: Iterable[Mapping[str, Any]], by: Sequence[str]) -> pd.DataFrame:
    """Return rows as a table, sorted by some columns."""
    import pandas as pd

    return pd.DataFrame(list(rows)).sort_values(list(by), ignore_index=True, kind="stable")
