"""The grid in cells: encoders that differ in U alone. A cell is one file, and is trained as a whole."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.store.checksums import canonical, sha256_bytes
from vlalign.store.tensors import load_tensors, save_tensors
from vlalign.synthetic.config import SyntheticConfig, encoder_identity
from vlalign.synthetic.encoder import Shape, Stack

log = logging.getLogger(__name__)

FOLDER = "encoders"


@dataclass(frozen=True, order=True)
class Cell:
    """Encoders of one modality, shape, φ and base seed, one for each U.

    Attributes:
        modality: from 0.
        depth, width: of the encoders.
        seed: base seed.
        phi_depth: of φ; 0 for a modality without φ.
    """

    modality: int
    depth: int
    width: int
    seed: int
    phi_depth: int

    @property
    def own_seed(self) -> int:
        """Of initialisation and data order."""
        return self.seed + self.phi_depth + self.depth

    @property
    def name(self) -> str:
        """Of its file; nothing is ever read back from it."""
        return (
            f"modality{self.modality + 1}-phi{self.phi_depth:02d}-depth{self.depth:02d}-width{self.width:03d}"
            f"-seed{self.seed}.safetensors"
        )

    def title(self, uniqueness: int) -> str:
        """One of its encoders, for errors."""
        return (
            f"modality {self.modality + 1}, U {uniqueness}, phi_depth {self.phi_depth}, depth {self.depth}, "
            f"width {self.width}, seed {self.seed}"
        )


def all_cells(config: SyntheticConfig) -> list[Cell]:
    """Every cell of the grid, in order. A modality without φ does not depend on its depth and has one for all."""
    return [
        Cell(modality, depth, width, seed, phi)
        for modality in range(config.modalities)
        for depth in config.depths
        for width in config.hidden
        for seed in config.seeds
        for phi in (config.phi_depths if config.has_phi(modality) else (0,))
    ]


def ensembles(config: SyntheticConfig, cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells that are trained together: of one modality and shape, at most ``config.ensemble`` encoders each.

    Who is trained together changes nothing in what comes out (on an accelerator, but for rounding).
    """
    per = max(1, config.ensemble // len(config.uniqueness))
    groups: dict[tuple[int, int, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.modality, cell.depth, cell.width), []).append(cell)
    return [group[start : start + per] for group in groups.values() for start in range(0, len(group), per)]


@dataclass(frozen=True)
class Encoders:
    """The trained encoders of a cell, in the order of ``config.uniqueness``.

    Attributes:
        parameters: [n_U, P], the best checkpoints, as :meth:`vlalign.synthetic.encoder.Stack.packed` has them.
        accuracy: float64 [n_U, 3], on train, validation and test.
        epoch: int64 [n_U], of the checkpoints.
    """

    parameters: Tensor
    accuracy: Tensor
    epoch: Tensor

    def stack(self, config: SyntheticConfig, cell: Cell, which: slice = slice(None)) -> Stack:
        """The encoders, or some of them, as a stack."""
        return Stack.unpacked(shape_of(config, cell), self.parameters[which])


def shape_of(config: SyntheticConfig, cell: Cell) -> Shape:
    """Shape of a cell's encoders."""
    return Shape(config.width, cell.width, cell.depth, config.classes, config.nonlinearity)


class CellFiles:
    """The files of a run's cells.

    Args:
        config: of the run.
        settings: what :func:`vlalign.synthetic.config.read_tuned` gave.
    """

    def __init__(self, config: SyntheticConfig, settings: dict[str, Any] | None = None) -> None:
        self.config = config
        self.folder = Path(config.out) / FOLDER
        self._key = sha256_bytes(canonical(encoder_identity(config, settings)).encode())

    def path(self, cell: Cell) -> Path:
        """Where a cell's file is."""
        return self.folder / cell.name

    def has(self, cell: Cell) -> bool:
        """Whether a cell was trained; a damaged file is named and counts as missing."""
        if not self.path(cell).exists():
            return False
        try:
            self.load(cell)
        except VlalignError as error:
            log.warning("%s; it is trained again", error)
            return False
        return True

    def save(self, cell: Cell, encoders: Encoders) -> None:
        """Write a cell's file, whole or not at all.

        Raises:
            VlalignError: it cannot be written.
        """
        save_tensors(self.path(cell), vars(encoders), self._told(cell))

    def load(self, cell: Cell) -> Encoders:
        """Read a cell's file.

        Raises:
            VlalignError: it is missing, damaged, or of other settings.
        """
        path = self.path(cell)
        tensors = load_tensors(path, self._told(cell))
        if set(tensors) != {entry.name for entry in fields(Encoders)}:
            raise VlalignError(f"{path} is damaged: it holds {', '.join(sorted(tensors))}")
        encoders = Encoders(**tensors)
        shape, count = shape_of(self.config, cell), len(self.config.uniqueness)
        if encoders.parameters.shape != (count, sum(rows * columns for rows, columns in shape.matrices)):
            raise VlalignError(f"{path} is damaged: parameters have shape {list(encoders.parameters.shape)}")
        if not bool(torch.isfinite(encoders.parameters).all()):
            raise VlalignError(f"{path} is damaged: values that are not finite")
        return encoders

    def _told(self, cell: Cell) -> dict[str, Any]:
        return {"key": self._key, "cell": asdict(cell)}
