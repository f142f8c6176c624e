"""A whole study in a few lines: how well polynomials of each degree fit noisy samples of a sine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from vlalign.config import Many
from vlalign.study.cells import CellFiles
from vlalign.study.config import StudyConfig
from vlalign.study.grid import CellStudy
from vlalign.study.results import CellResult


class ToyConfig(StudyConfig):
    GRID: ClassVar[tuple[str, ...]] = ("degrees",)
    degrees: Many[int] = (1, 3)
    noise: float = 0.1
    out: str = "toy"
    cpu: bool = True


@dataclass(frozen=True)
class Fit:
    degree: int

    @property
    def name(self) -> str:
        return f"degree{self.degree}.safetensors"


@dataclass(frozen=True)
class ToyResult(CellResult):
    CONFIG, TABLES = ToyConfig, {"table": "fits"}
    table: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        return self.table


class ToyStudy(CellStudy[ToyConfig, Fit, ToyResult]):
    RESULT = ToyResult

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.files = CellFiles(Path(config.out) / "fits", config.identity())

    def cells(self) -> list[Fit]:
        return [Fit(degree) for degree in self.config.degrees]

    def train(self, group: Sequence[Fit], tick: Callable[[], None] = lambda: None) -> None:
        x = np.linspace(-3, 3, 50)
        y = np.sin(x) + self.config.noise * np.random.RandomState(0).standard_normal(50)
        for cell in group:
            error = np.square(np.polyval(np.polyfit(x, y, cell.degree), x) - y).mean()
            self.files.save(cell, {"error": torch.tensor(error)})
        tick()

    def performance(self, cell: Fit) -> Mapping[str, float]:
        return {"error": float(self.files.load(cell)["error"])}

    def analyse(self, progress: bool) -> Mapping[str, Any]:
        rows = [{"degree": cell.degree, **self.performance(cell)} for cell in self.cells()]
        return {"table": pd.DataFrame(rows)}

    @staticmethod
    def report(result: Any, folder: str | Path, console: Any = None, *, metric: str | None = None) -> list[Path]:
        page = Path(folder) / "report.html"
        page.write_text(result.table.to_html())
        return [page]
