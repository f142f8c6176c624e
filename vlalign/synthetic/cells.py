"""Cells of the grid: encoders that differ in U alone, kept in one file and trained together."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vlalign.study.cells import CellFiles
from vlalign.study.ensembles import Ensemble
from vlalign.synthetic.config import SyntheticConfig
from vlalign.synthetic.encoder import Encoder, Shape, unpack

FOLDER = "encoders"


@dataclass(frozen=True, order=True)
class Cell:
    """Encoders of one modality, shape, φ and base seed, one for each U.

    Attributes:
        modality: from 0.
        depth, width: of the encoders.
        seed: base seed.
        phi_depth: of φ, or of the φ that its modality, without φ, is compared with; 0 if it is compared with all.
    """

    modality: int
    depth: int
    width: int
    seed: int
    phi_depth: int

    @property
    def own_seed(self) -> int:
        """Seed of initialisation and data order."""
        return self.seed + self.phi_depth + self.depth

    @property
    def name(self) -> str:
        """Name of its file; nothing is ever read back from it."""
        return (
            f"modality{self.modality + 1}-phi{self.phi_depth:02d}-depth{self.depth:02d}-width{self.width:03d}"
            f"-seed{self.seed}.safetensors"
        )

    def title(self, uniqueness: int) -> str:
        """Return the name of one of its encoders, for errors."""
        return (
            f"modality {self.modality + 1}, U {uniqueness}, phi_depth {self.phi_depth}, depth {self.depth}, "
            f"width {self.width}, seed {self.seed}"
        )


def all_cells(config: SyntheticConfig) -> list[Cell]:
    """Return every cell of the grid, in order."""
    return [
        Cell(modality, depth, width, seed, phi)
        for modality in range(config.modalities)
        for depth in config.depths
        for width in config.hidden
        for seed in config.seeds
        for phi in config.phis(modality)
    ]


@dataclass(frozen=True)
class Encoders:
    """The trained encoders of a cell, in the order of ``config.uniqueness``.

    Attributes:
        parameters: [n_U, P], the best checkpoints, as :func:`vlalign.synthetic.encoder.pack` gives them.
        accuracy: float64 [n_U, 3], on train, validation and test.
        epoch: int64 [n_U], of the checkpoints.
    """

    parameters: Tensor
    accuracy: Tensor
    epoch: Tensor

    def ensemble(self, config: SyntheticConfig, cell: Cell, which: slice = slice(None)) -> Ensemble[Encoder]:
        """Return the encoders, or some of them, as an ensemble."""
        return unpack(shape_of(config, cell), self.parameters[which])


def shape_of(config: SyntheticConfig, cell: Cell) -> Shape:
    """Return the shape of a cell's encoders."""
    return Shape(config.width, cell.width, cell.depth, config.classes, config.nonlinearity)


class EncoderFiles(CellFiles[Cell, Encoders]):
    """Files of a run's cells.

    Args:
        config: of the run.
        tuned: of :func:`vlalign.synthetic.config.read_tuned`, where the config names a file.
    """

    def __init__(self, config: SyntheticConfig, tuned: dict[str, Any] | None = None) -> None:
        super().__init__(Path(config.out) / FOLDER, config.encoder_identity(tuned))
        self.config = config

    def pack(self, value: Encoders) -> dict[str, Tensor]:
        """Return the tensors of a cell."""
        return vars(value)

    def unpack(self, cell: Cell, tensors: dict[str, Tensor]) -> Encoders:
        """Return the encoders of a cell, checked."""
        if set(tensors) != {entry.name for entry in fields(Encoders)}:
            raise ValueError(f"it holds {', '.join(sorted(tensors))}")
        encoders = Encoders(**tensors)
        shape, count = shape_of(self.config, cell), len(self.config.uniqueness)
        if encoders.parameters.shape != (count, sum(rows * columns for rows, columns in shape.matrices)):
            raise ValueError(f"parameters have shape {list(encoders.parameters.shape)}")
        if not bool(torch.isfinite(encoders.parameters).all()):
            raise ValueError("values that are not finite")
        return encoders
