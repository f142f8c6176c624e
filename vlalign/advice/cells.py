"""Cells of the experiment: all arms of one seed and fold, trained on the same samples, and their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from vlalign.study.cells import CellFiles

FOLDER = "cells"


@dataclass(frozen=True, order=True)
class Cell:
    """All arms of one seed and fold."""

    seed: int
    fold: int

    @property
    def name(self) -> str:
        """Name of its file; nothing is ever read back from it."""
        return f"seed{self.seed}-fold{self.fold:02d}.safetensors"


@dataclass(frozen=True)
class Trained:
    """Results of a cell, of its A arms in order, for the uses both, first and second.

    Attributes:
        score: float32 [A, 3, n], of each test sample: 1 where the class is right, else 0; of a regression
            1 − squared error / variance, whose mean is R².
        valid: float64 [A, 3], mean score on validation.
        test: int64 [n], numbers of the test samples.
        epoch: int64 [A], validation at which the checkpoint was taken, from 1.
        recall: float64 [A, 2], share of test pairs whose partner is nearest, and among the 5 nearest; of equally near
            pairs, the average over their orders.
        chance: float64 [2], of these.
        alignment: float64 [A, 3], mutual-kNN of the test embeddings, its mean and sd over random pairings.
    """

    score: Tensor
    valid: Tensor
    test: Tensor
    epoch: Tensor
    recall: Tensor
    chance: Tensor
    alignment: Tensor


class ArmFiles(CellFiles[Cell, Trained]):
    """Files of a study's cells."""

    def __init__(self, out: str | Path, settings: Any, arms: int) -> None:
        super().__init__(Path(out) / FOLDER, settings)
        self.arms = arms

    def pack(self, value: Trained) -> dict[str, Tensor]:
        """Return the tensors of a cell."""
        return vars(value)

    def unpack(self, cell: Cell, tensors: dict[str, Tensor]) -> Trained:
        """Return the results of a cell, checked."""
        if set(tensors) != {entry.name for entry in fields(Trained)}:
            raise ValueError(f"it holds {', '.join(sorted(tensors))}")
        if tensors["score"].shape != (self.arms, 3, len(tensors["test"])):
            raise ValueError(f"scores have shape {list(tensors['score'].shape)}")
        return Trained(**tensors)


def all_cells(seeds: Sequence[int], folds: int) -> list[Cell]:
    """Return every cell, in order."""
    return [Cell(seed, fold) for seed in seeds for fold in range(folds)]
