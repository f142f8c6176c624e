"""Result of a uniqueness study: its points, and the curves, fits and findings they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from vlalign.study.config import StudyConfig
from vlalign.study.results import StudyResult
from vlalign.uniqueness.analysis import (
    FamilyCurve,
    PerformanceFit,
    family_curves,
    findings,
    least_squares,
    performance_fits,
)
from vlalign.uniqueness.config import UniquenessConfig
from vlalign.uniqueness.edits import EditFacts, about_edits, similarities
from vlalign.uniqueness.points import Point
from vlalign.uniqueness.similarity import about_similarity

if TYPE_CHECKING:
    import pandas as pd

_TEXTS = {"x", "y", "x_family", "y_family", "x_layer", "y_layer", "record", "note", "performance_of"}


@dataclass(frozen=True, repr=False)
class UniquenessResult(StudyResult):
    """A study of alignment against uniqueness. All fields but the dataclasses in them are JSON values.

    Attributes:
        config: all settings.
        data: ``name`` and ``n`` of the data set, what each side ``reads``, and which one is ``edited``.
        points: one for each pair of models and rate.
        curves, fits, findings: of ``points``, see :mod:`vlalign.uniqueness.analysis`.
        seconds: wall-clock time of each stage.
        environment: versions, platform, commit.
        edits: measured effects of the edits at every rate.
        forecast: estimated over true time left, after 5, 10, 25, 50 and 75 % of the time; {} for short studies.
    """

    COMMAND: ClassVar[str] = "vlalign study uniqueness"
    CONFIG: ClassVar[type[StudyConfig]] = UniquenessConfig

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
    ) -> UniquenessResult:
        """Return the result with curves of the families of side x, fits and findings of ``points``."""
        curves, fits = family_curves(points), performance_fits(points)
        sentences = [
            *about_edits(edits),
            *findings(curves, fits, points),
            *about_similarity(curves, similarities(edits)),
        ]
        return cls(
            config, data, list(points), curves, fits, sentences, seconds, environment, forecast or {}, list(edits)
        )

    @property
    def similarities(self) -> dict[float, float]:
        """Mean cosine of edited to original captions by rate, 1 at 0; empty where it was not asked for."""
        return similarities(self.edits)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each point, one column for each of its fields; missing ones are NaN or NA.

        ``q_value`` is the p-value after Benjamini and Hochberg's correction for all points of the study; a study with
        measured similarities has them as the column ``similarity``.
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
        if self.similarities:
            table.insert(list(table.columns).index("rate") + 1, "similarity", table["rate"].map(self.similarities))
        return table

    def derived(self) -> dict[str, pd.DataFrame]:
        """Return the table of points."""
        return {"points": self.to_frame()}

    @classmethod
    def parse(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of study.json as those of the dataclass."""
        curves = [_parsed(curve) | {"best": [(x, y) for x, y in curve["best"]]} for curve in values["curves"]]
        return values | {
            "points": [Point(**point) for point in values["points"]],
            "curves": [FamilyCurve(**curve) for curve in curves],
            "fits": [_fit(fit) for fit in values["fits"]],
            "edits": [EditFacts(**entry) for entry in values["edits"]],
        }


def _fit(entry: Mapping[str, Any]) -> PerformanceFit:
    """Return a fit; those of older files lack the line of performance on score."""
    slope, intercept, _ = least_squares(entry["scores"], entry["performances"])
    return PerformanceFit(**{"performance_slope": slope, "performance_intercept": intercept, **_parsed(entry)})


def _parsed(entry: Mapping[str, Any]) -> dict[str, Any]:
    from vlalign.stats.correlations import Correlation

    return {**entry, "rho": None if entry["rho"] is None else Correlation(**entry["rho"])}
