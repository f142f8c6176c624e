"""Encoders of a study and their files: one for each modality, depth and seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.files import parse_json
from vlalign.multibench.config import MultibenchConfig, rates_of, shape_of
from vlalign.multibench.encoder import Encoder, parameters_of
from vlalign.multibench.shape import Shape
from vlalign.store.tensors import load_tensors
from vlalign.study.cells import CellFiles, grouped, key_of

if TYPE_CHECKING:
    from vlalign.multibench.data.prepared import Prepared

FOLDER = "encoders"
_TRAINING = ("train_samples", "width", "pool", "epochs", "batch", "clip", "dropout")
_META = ("epoch", "performance")


@dataclass(frozen=True, order=True)
class Cell:
    """One encoder of the grid."""

    modality: str
    depth: int
    seed: int

    @property
    def own_seed(self) -> int:
        """Seed of its initial values, order of the samples and dropout: no two encoders share it."""
        text = f"{self.modality}/{self.depth}/{self.seed}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1

    @property
    def name(self) -> str:
        """Name of its file; nothing is ever read back from it."""
        return f"{self.modality}-depth{self.depth:02d}-seed{self.seed}.safetensors"

    @property
    def title(self) -> str:
        """Name of it in messages."""
        return f"{self.modality}, depth {self.depth}, seed {self.seed}"


def all_cells(config: MultibenchConfig) -> list[Cell]:
    """Return every encoder of the grid: by modality, then seed, then depth."""
    return [
        Cell(modality, depth, seed)
        for modality in config.modalities or ()
        for seed in config.seeds
        for depth in config.depths
    ]


def ensembles(config: MultibenchConfig, members: Sequence[Cell]) -> list[list[Cell]]:
    """Return encoders that are trained together: of one modality and depth, at most ``config.ensemble``."""
    return grouped(members, lambda member: (member.modality, member.depth), config.ensemble)


@dataclass(frozen=True)
class TrainedEncoder:
    """An encoder's best checkpoint.

    Attributes:
        state: its state dict, as :class:`vlalign.multibench.encoder.Encoder` takes it.
        epoch: of the checkpoint, from 1.
        performance: on train, valid and test.
    """

    state: dict[str, Tensor]
    epoch: int
    performance: tuple[float, float, float]


class EncoderFiles(CellFiles[Cell, TrainedEncoder]):
    """Files of a run's encoders.

    Args:
        config: of the run, completed.
        data: the training data.
    """

    def __init__(self, config: MultibenchConfig, data: Prepared) -> None:
        super().__init__(Path(config.out) / FOLDER)
        self.config, self.data = config, data
        kept = {name: value for name, value in config.resolved().items() if name in _TRAINING}
        self._keys = {
            modality: key_of({**kept, "data": data.fingerprint, "rates": rates_of(config, modality)})
            for modality in config.modalities or ()
        }

    def shape(self, member: Cell) -> Shape:
        """Return an encoder's shape."""
        return shape_of(self.config, self.data, member.modality, member.depth)

    def metadata(self, cell: Cell) -> dict[str, Any]:
        """Return the key, encoder and shape that identify a file."""
        return {"key": self._keys[cell.modality], "encoder": asdict(cell), "shape": asdict(self.shape(cell))}

    def pack(self, value: TrainedEncoder) -> dict[str, Tensor]:
        """Return the tensors of an encoder: its state, epoch and performance."""
        performance = torch.tensor(value.performance, dtype=torch.float64)
        return value.state | {"epoch": torch.tensor(value.epoch), "performance": performance}

    def unpack(self, cell: Cell, tensors: dict[str, Tensor]) -> TrainedEncoder:
        """Return the encoder of a file, checked."""
        wanted = parameters_of(self.shape(cell))
        if {name: tuple(value.shape) for name, value in tensors.items()} != wanted | {"epoch": (), "performance": (3,)}:
            raise ValueError("its tensors are not those of an encoder of this shape")
        state = {name: tensors[name] for name in wanted}
        if not all(bool(torch.isfinite(value).all()) for value in state.values()):
            raise ValueError("values that are not finite")
        train, valid, test = tensors["performance"].tolist()
        return TrainedEncoder(state, int(tensors["epoch"]), (train, valid, test))


def load_encoder(path: str | Path) -> Encoder:
    """Load an encoder of a run with its head, ready to use: ``encoder(x, lengths)``, ``encoder.states(x, lengths)``.

    Args:
        path: a file in a run's ``encoders`` folder.

    Raises:
        VlalignError: it is missing, damaged, or not an encoder.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = parse_json((file.metadata() or {})["vlalign"])
        metadata.pop("sha256")
        shape = Shape(**metadata["shape"])
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise VlalignError(f"{path} is not an encoder of a study ({' '.join(str(error).split())})") from error
    tensors = load_tensors(path, metadata)
    encoder = Encoder(shape)
    encoder.load_state_dict({name: value for name, value in tensors.items() if name not in _META})
    return encoder.eval()
