"""The study: trains every seed and fold that is missing, then measures effects and decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vlalign.advice.analysis import effect_table, match_table, score_table
from vlalign.advice.arms import PAIRS, all_arms
from vlalign.advice.cells import ArmFiles, Cell, all_cells
from vlalign.advice.config import AdviceConfig
from vlalign.advice.data import PairedData, check_folds, read_data
from vlalign.advice.encoder import USES
from vlalign.advice.information import estimate
from vlalign.advice.results import AdviceResult
from vlalign.advice.train import rounds, shape_of, train_cells
from vlalign.advice.verdict import decide
from vlalign.study.cells import grouped
from vlalign.study.grid import CellStudy

_FORMAT = 2  # of cells; those of another one are computed again
_FLOPS = 2e9  # of a core of a CPU in these small products, a second
_HELD = 2**27  # numbers that the parameters of a group and their statistics take at most


class AdviceStudy(CellStudy[AdviceConfig, Cell, AdviceResult]):
    """A study whose folder holds its data; see :class:`vlalign.study.study.Study`.

    Args:
        config: its settings, with a ``depth``.
    """

    RESULT = AdviceResult

    def __init__(self, config: AdviceConfig) -> None:
        self.data: PairedData = read_data(Path(config.out))
        super().__init__(config, self.data.fingerprint)
        self.arms = all_arms(config.weights)
        self.per_cell = len(self.arms)
        self.folds = 1 if len(self.data.split) else config.folds
        identity = {**config.identity(), "of": self.fingerprint, "format": _FORMAT}
        self.files: ArmFiles = ArmFiles(config.out, identity, len(self.arms))
        assert config.depth is not None
        self.depth = config.depth

    def check(self) -> None:
        """Refuse data with too few samples of a class."""
        check_folds(self.data, self.config.folds)

    def cells(self) -> list[Cell]:
        """Return all cells."""
        return all_cells(self.config.seeds, self.folds)

    def groups(self, cells: Sequence[Cell]) -> list[list[Cell]]:
        """Return the folds of a seed as groups that are trained together; on a CPU as small as fits its cache."""
        shape = shape_of(self.config, self.data, self.depth)
        parameters = sum(shape.inputs) * (shape.hidden if shape.depth > 1 else shape.width) * len(self.arms)
        most = 1 if self.device.type == "cpu" else max(1, _HELD // (6 * parameters))
        return grouped(cells, lambda cell: cell.seed, most)

    def ticks(self, group: Sequence[Cell]) -> int:
        """Return how often a group is validated."""
        return len(rounds(self.config))

    def seconds(self, groups: Sequence[Sequence[Cell]]) -> float:
        """Return about how long groups take on one core."""
        config, data = self.config, self.data
        batch = config.batch * (2 if len(data.extra[0]) else 1)
        flops = 6 * batch * (sum(x.shape[1] for x in data.x) * config.width + 2 * batch * config.width)
        return sum(map(len, groups)) * config.steps * len(self.arms) * flops / _FLOPS

    def train(self, group: Sequence[Cell], tick: Callable[[], None] = lambda: None) -> None:
        """Train the arms of the cells of a group and write their files.

        Raises:
            VlalignError: training diverged, or a file cannot be written.
        """
        results = train_cells(self.config, self.data, group, self.arms, self.depth, self.device, tick)
        for cell, result in zip(group, results, strict=True):
            self.files.save(cell, result)

    def performance(self, cell: Cell) -> Mapping[str, float]:
        """Return the test scores of each use with true pairs, at each λ."""
        score = self.files.load(cell).score.mean(2)
        return {
            f"{use}, λ = {arm.weight:g}": float(score[i, at])
            for i, arm in enumerate(self.arms)
            for at, use in enumerate(USES)
            if arm.control == PAIRS
        }

    def analyse(self, progress: bool) -> Mapping[str, Any]:
        """Return effects, matching and verdicts."""
        results = {cell: self.files.load(cell) for cell in self.cells()}
        scores = score_table(results, self.data.units)
        tested = sum(len(result.test) for cell, result in results.items() if cell.seed == self.config.seeds[0])
        valid = np.mean([result.valid.numpy() for result in results.values()], axis=0)
        effects = effect_table(scores, valid, self.arms)
        data = self.data
        facts = {
            "names": list(data.names), "samples": len(data), "tested": tested,
            "groups": scores.shape[3] if len(data.group) else None,
            "unlabelled": len(data.extra[0]), "widths": [x.shape[1] for x in data.x],
            "classes": len(data.classes), "folds": self.folds,
            "information": estimate(data, Path(self.config.out)),
        }  # fmt: skip
        return {
            "effects": effects,
            "matching": match_table(results, self.arms),
            "facts": facts,
            "verdicts": decide(effects, facts),
        }
