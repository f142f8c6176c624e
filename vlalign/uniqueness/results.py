"""The result of a study: its points, what they show, and its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.files import read_json, write_whole
from vlalign.paths import user_path
from vlalign.scoring.record import write_json
from vlalign.tables import write_csv
from vlalign.uniqueness.analysis import FamilyCurve, PerformanceFit, family_curves, findings, performance_fits
from vlalign.uniqueness.edits import EditFacts, about_edits
from vlalign.uniqueness.points import Point

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
STUDY = "study.json"
_TEXTS = {"x", "y", "x_family", "y_family", "x_layer", "y_layer", "record", "note", "performance_of"}


@dataclass(frozen=True)
class UniquenessResult:
    """A study of alignment against uniqueness. All fields but the dataclasses in them are JSON values.

    Attributes:
        config: the resolved settings.
        data: ``name`` and ``n`` of the data set, what each side ``reads``, and which one is ``edited``.
        points: one for each pair of models and rate.
        curves, fits, findings: of ``points``, see :mod:`vlalign.uniqueness.analysis`.
        seconds: wall-clock time of each stage.
        environment: versions, platform, commit.
        edits: what the edits did at every rate.
        forecast: estimated over true time left, after 5, 10, 25, 50 and 75 % of the time; {} for short studies.
    """

    config: dict[str, Any]
    data: dict[str, Any]
    points: list[Point]
    curves: list[FamilyCurve]
    fits: list[PerformanceFit]
    findings: list[str]
    seconds: dict[str, float]
    environment: dict[str, Any]
    forecast: dict[str, float] = field(default_factory=dict)
    edits: list[EditFacts] = field(default_factory=list)

    @classmethod
    def from_points(
        cls,
        points: Sequence[Point],
        *,
        config: dict[str, Any],
        data: dict[str, Any],
        seconds: dict[str, float],
        environment: dict[str, Any],
        forecast: dict[str, float] | None = None,
        edits: Sequence[EditFacts] = (),
        by: str = "x",
    ) -> UniquenessResult:
        """The result with curves of the families of side ``by``, fits and findings of ``points``."""
        curves, fits = family_curves(points, by), performance_fits(points)
        told = [*about_edits(edits), *findings(curves, fits, points)]
        return cls(config, data, list(points), curves, fits, told, seconds, environment, forecast or {}, list(edits))

    def table(self) -> pd.DataFrame:
        """One row for each point, one column for each of its fields; missing ones are NaN or NA.

        ``q_value`` is the p-value after Benjamini and Hochberg's correction for all points of the study.
        """
        import pandas as pd

        from vlalign.stats.fdr import benjamini_hochberg

        names = [entry.name for entry in fields(Point)]
        columns = {}
        for name in names:
            kind = "string" if name in _TEXTS else "int64" if name == "n" else "float64"
            columns[name] = pd.Series([getattr(point, name) for point in self.points], dtype=kind)
        table = pd.DataFrame(columns)
        tested = table["p_value"].notna()
        q_values = pd.Series(float("nan"), index=table.index)
        if tested.any():
            q_values[tested] = benjamini_hochberg(list(table["p_value"][tested]))
        table.insert(list(table.columns).index("p_value") + 1, "q_value", q_values)
        return table

    def save(self, folder: str | Path) -> Path:
        """Write points.csv, points.parquet and, last, study.json, each whole or not at all. Returns study.json's path.

        Raises:
            VlalignError: if a file cannot be written or a value is not finite.
        """
        folder = user_path(folder)
        table = self.table()
        write_csv(folder / "points.csv", table)
        write_whole(folder / "points.parquet", lambda part: table.to_parquet(part, index=False))
        return write_json(folder / STUDY, {"format": FORMAT, **asdict(self)}, "study")

    @classmethod
    def load(cls, folder: str | Path) -> UniquenessResult:
        """Read the study.json of a folder.

        Raises:
            VlalignError: if it is missing, is not JSON, or is not a study of this format.
        """
        path = user_path(folder) / STUDY
        try:
            data = read_json(path)
        except OSError as error:
            raise VlalignError(f"cannot read the study {path}: {error.strerror or error}") from error
        except ValueError as error:
            raise VlalignError(f"{path} is not a study: it is not valid JSON ({error})") from error
        if not isinstance(data, Mapping) or "points" not in data:
            raise VlalignError(f"{path} is not a study: write one with `vlalign study uniqueness`")
        if data.get("format") != FORMAT:
            raise VlalignError(f"{path} has study format {data.get('format')!r}, this vlalign reads {FORMAT}")
        names = [entry.name for entry in fields(cls)]
        if missing := sorted(set(names) - set(data)):
            raise VlalignError(f"{path} is not a whole study: it lacks {', '.join(missing)}")
        values = {name: data[name] for name in names}
        try:
            values["points"] = [Point(**point) for point in data["points"]]
            values["curves"] = [
                FamilyCurve(**_parsed(curve) | {"best": [(x, y) for x, y in curve["best"]]}) for curve in data["curves"]
            ]
            values["edits"] = [EditFacts(**entry) for entry in data["edits"]]
            values["fits"] = [PerformanceFit(**_parsed(fit)) for fit in data["fits"]]
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise VlalignError(f"{path} is not a whole study: {error}; compute it anew") from error
        return cls(**values)


def _parsed(entry: Mapping[str, Any]) -> dict[str, Any]:
    from vlalign.stats.correlation import Correlation

    return {**entry, "rho": None if entry["rho"] is None else Correlation(**entry["rho"])}
