"""The encoders of a study and their files: one for each modality, depth and seed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.files import parse_json
from vlalign.multibench.config import MultibenchConfig, rates_of, resolved, shape_of
from vlalign.multibench.encoder import Encoder
from vlalign.multibench.shape import Shape
from vlalign.store.checksums import canonical, sha256_bytes
from vlalign.store.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from vlalign.multibench.data.prepared import Prepared

log = logging.getLogger(__name__)

FOLDER = "encoders"
_TRAINING = ("train_samples", "width", "pool", "epochs", "batch", "clip", "dropout")
_META = ("epoch", "performance")


@dataclass(frozen=True, order=True)
class Member:
    """One encoder of the grid."""

    modality: str
    depth: int
    seed: int

    @property
    def own_seed(self) -> int:
        """Of its start, order of the samples and dropout: no two encoders share it."""
        text = f"{self.modality}/{self.depth}/{self.seed}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1

    @property
    def name(self) -> str:
        """Of its file; nothing is ever read back from it."""
        return f"{self.modality}-depth{self.depth:02d}-seed{self.seed}.safetensors"

    @property
    def title(self) -> str:
        """For messages."""
        return f"{self.modality}, depth {self.depth}, seed {self.seed}"


def all_members(config: MultibenchConfig) -> list[Member]:
    """Every encoder of the grid: by modality, then seed, then depth."""
    return [
        Member(modality, depth, seed)
        for modality in config.modalities or ()
        for seed in config.seeds
        for depth in config.depths
    ]


def ensembles(config: MultibenchConfig, members: Sequence[Member]) -> list[list[Member]]:
    """Encoders that are trained together: of one modality and depth, at most ``config.ensemble``."""
    groups: dict[tuple[str, int], list[Member]] = {}
    for member in members:
        groups.setdefault((member.modality, member.depth), []).append(member)
    size = config.ensemble
    return [group[start : start + size] for group in groups.values() for start in range(0, len(group), size)]


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


class EncoderFiles:
    """The files of a run's encoders.

    Args:
        config: of the run, completed.
        data: that it trains on.
    """

    def __init__(self, config: MultibenchConfig, data: Prepared) -> None:
        self.config, self.data = config, data
        self.folder = Path(config.out) / FOLDER
        kept = {name: value for name, value in resolved(config).items() if name in _TRAINING}
        self._keys = {
            modality: sha256_bytes(
                canonical({**kept, "data": data.fingerprint, "rates": rates_of(config, modality)}).encode()
            )
            for modality in config.modalities or ()
        }

    def path(self, member: Member) -> Path:
        """Where an encoder's file is."""
        return self.folder / member.name

    def shape(self, member: Member) -> Shape:
        """An encoder's shape."""
        return shape_of(self.config, self.data, member.modality, member.depth)

    def has(self, member: Member) -> bool:
        """Whether an encoder was trained; a damaged file is named and counts as missing."""
        if not self.path(member).exists():
            return False
        try:
            self.load(member)
        except VlalignError as error:
            log.warning("%s; it is trained again", error)
            return False
        return True

    def save(self, member: Member, trained: TrainedEncoder) -> None:
        """Write an encoder's file, whole or not at all.

        Raises:
            VlalignError: it cannot be written.
        """
        numbers = {
            "epoch": torch.tensor(trained.epoch),
            "performance": torch.tensor(trained.performance, dtype=torch.float64),
        }
        save_tensors(self.path(member), trained.state | numbers, self._told(member))

    def load(self, member: Member) -> TrainedEncoder:
        """Read an encoder's file.

        Raises:
            VlalignError: it is missing, damaged, or of other settings or data.
        """
        path = self.path(member)
        tensors = load_tensors(path, self._told(member))
        wanted = self.shape(member).parameters
        if {name: tuple(value.shape) for name, value in tensors.items()} != wanted | {"epoch": (), "performance": (3,)}:
            raise VlalignError(f"{path} is damaged: its tensors are not those of an encoder of this shape")
        state = {name: tensors[name] for name in wanted}
        if not all(bool(torch.isfinite(value).all()) for value in state.values()):
            raise VlalignError(f"{path} is damaged: values that are not finite")
        train, valid, test = tensors["performance"].tolist()
        return TrainedEncoder(state, int(tensors["epoch"]), (train, valid, test))

    def _told(self, member: Member) -> dict[str, Any]:
        return {"key": self._keys[member.modality], "encoder": asdict(member), "shape": asdict(self.shape(member))}


def load_encoder(path: str | Path) -> Encoder:
    """An encoder of a run with its head, ready to use: ``encoder(x, lengths)``, ``encoder.states(x, lengths)``.

    Args:
        path: a file in a run's ``encoders`` folder.

    Raises:
        VlalignError: it is missing, damaged, or no encoder.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            told = parse_json((file.metadata() or {})["vlalign"])
        told.pop("sha256")
        shape = Shape(**told["shape"])
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise VlalignError(f"{path} is no encoder of a study ({' '.join(str(error).split())})") from error
    tensors = load_tensors(path, told)
    encoder = Encoder(shape)
    encoder.load_state_dict({name: value for name, value in tensors.items() if name not in _META})
    return encoder.eval()
