"""Result of the experiment: effects, retrieval and alignment at every λ, and the verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vlalign.advice.config import AdviceConfig
from vlalign.advice.verdict import Verdict
from vlalign.study.config import StudyConfig
from vlalign.study.results import CellResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class AdviceResult(CellResult):
    """Advice on data.

    Attributes:
        effects: of :func:`vlalign.advice.analysis.effect_table`.
        matching: of :func:`vlalign.advice.analysis.match_table`.
        facts: names of the modalities, numbers of samples, of their groups tested (None where each stands alone),
            widths, classes and folds, and ``information``, the record of :func:`vlalign.advice.information.estimate`.
        verdicts: for both modalities at test time, the first alone, the second alone.
    """

    COMMAND: ClassVar[str] = "vlalign advise"
    CONFIG: ClassVar[type[StudyConfig]] = AdviceConfig
    TABLES: ClassVar[Mapping[str, str]] = {"effects": "effects", "matching": "matching"}

    effects: pd.DataFrame
    matching: pd.DataFrame
    facts: dict[str, Any]
    verdicts: list[Verdict]

    @classmethod
    def parse(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of study.json as those of the dataclass."""
        return values | {"verdicts": [Verdict(**entry) for entry in values["verdicts"]]}

    @classmethod
    def columns(cls, config: Any) -> dict[str, list[str]]:
        """Return the columns that the tables must have."""
        return {"effects": ["use", "control", "weight", "effect", "low", "high"], "matching": ["control", "weight"]}

    @property
    def score_name(self) -> str:
        """What the scores are."""
        return "accuracy" if self.facts["classes"] else "R²"

    def use_name(self, use: str) -> str:
        """Return a use in words, with the name of its modality."""
        names = dict(zip(("first", "second"), self.facts["names"], strict=True))
        return "both modalities" if use == "both" else f"{names[use]} alone"

    def table(self) -> pd.DataFrame:
        """Return the effects as a table of pandas."""
        return self.effects

    to_frame = table

    def figure(self) -> Figure:
        """Return the λ curves of the three uses."""
        from vlalign.advice.report.figures import curves  # slow: Matplotlib

        return curves(self)

    def __repr__(self) -> str:
        lines = [f"{self.use_name(verdict.use)}: {verdict.text}" for verdict in self.verdicts]
        return "\n".join([f"Advice on {self.facts['samples']} samples ({self.score_name})", *lines])

    def _repr_html_(self) -> str:
        from vlalign.advice.report.page import verdict_table  # slow: rendering
        from vlalign.report.page import Page, html

        return html(Page("Should these modalities be aligned?", [verdict_table(self)]))
