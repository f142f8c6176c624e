"""The MultiBench study: trains what is missing of the grid, then measures alignment with the best encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from threading import Lock
from typing import Any

from vlalign.errors import VlalignError
from vlalign.multibench.align import align, best_cells
from vlalign.multibench.cells import Cell, EncoderFiles, TrainedEncoder, all_cells, ensembles
from vlalign.multibench.config import MultibenchConfig, complete, rates_of
from vlalign.multibench.data.prepared import is_prepared, open_prepared
from vlalign.multibench.encoder import parameters_of
from vlalign.multibench.results import MultibenchResult
from vlalign.multibench.train import Samples, train_ensemble
from vlalign.study.grid import CellStudy
from vlalign.study.results import make_table


class MultibenchStudy(CellStudy[MultibenchConfig, Cell, MultibenchResult]):
    """A MultiBench study on the processes that were launched together; see :class:`vlalign.study.study.Study`.

    Args:
        config: its settings.

    Attributes:
        config: completed from the data.
        data: the prepared data set.

    Raises:
        VlalignError: the data set cannot be opened, or a setting does not fit it.
    """

    RESULT = MultibenchResult

    def __init__(self, config: MultibenchConfig) -> None:
        self.data = open_prepared(config.data)
        super().__init__(complete(config, self.data), self.data.fingerprint)
        self.files: EncoderFiles = EncoderFiles(self.config, self.data)
        self._samples: dict[tuple[str, str], Samples] = {}
        self._lock = Lock()

    def check(self) -> None:
        """Verify the data, and refuse a folder of data as that of the run."""
        open_prepared(self.config.data, verify=True)
        if is_prepared(self.config.out):
            raise VlalignError(f"{self.config.out} holds a prepared data set: name another folder with --out")

    def cells(self) -> list[Cell]:
        """Return every encoder of the grid, in order."""
        return all_cells(self.config)

    def groups(self, cells: Sequence[Cell]) -> list[list[Cell]]:
        """Return encoders as ensembles."""
        return ensembles(self.config, cells)

    def cost(self, group: Sequence[Cell]) -> float:
        """Return the cost of training a group, about nanoseconds of a CPU core for a sample."""
        shape = self.files.shape(group[0])
        tokens, layers = shape.tokens + shape.cls, shape.depth + 0.4 - 0.8 * shape.cls
        return len(group) * layers * tokens * (5.4 * tokens + 19 * shape.width + 0.03 * shape.width**2)

    def ticks(self, group: Sequence[Cell]) -> int:
        """Return the epochs."""
        assert self.config.epochs is not None
        return self.config.epochs

    def seconds(self, groups: Sequence[Sequence[Cell]]) -> float:
        """Return about how long groups take on one core of a CPU."""
        assert self.config.train_samples is not None
        return 1e-9 * self.config.train_samples * sum(self.cost(group) * self.ticks(group) for group in groups)

    def bytes_to_write(self, groups: Sequence[Sequence[Cell]]) -> int:
        """Return the disk space of the encoders of some groups, in bytes (float32)."""
        shapes = [self.files.shape(member) for group in groups for member in group]
        return 4 * sum(prod(size) for shape in shapes for size in parameters_of(shape).values())

    def train(self, group: Sequence[Cell], tick: Callable[[], None] = lambda: None) -> None:
        """Train the encoders of one ensemble together and write their files.

        Args:
            group: of one modality and depth.
            tick: called after every epoch.

        Raises:
            VlalignError: an encoder whose training diverged, or a file that cannot be written.
        """
        config, modality = self.config, group[0].modality
        rate, decay = rates_of(config, modality)
        trained = train_ensemble(
            self.files.shape(group[0]),
            [self.samples(modality, split) for split in ("train", "valid", "test")],
            task=self.data.task,
            seeds=[member.own_seed for member in group],
            learning_rate=rate,
            weight_decay=decay,
            epochs=self.ticks(group),
            batch=config.batch,
            clip=config.clip,
            dropout=config.dropout,
            tick=tick,
        )
        for i, member in enumerate(group):
            trained.check(i, member.title)
            state = {name: value.cpu().clone() for name, value in trained.ensemble.state(i).items()}
            performance = tuple(trained.performance[i].tolist())
            self.files.save(member, TrainedEncoder(state, int(trained.epoch[i]), performance))

    def performance(self, cell: Cell) -> Mapping[str, float]:
        """Return the performance on train, valid and test."""
        return dict(zip(("train", "valid", "test"), self.files.load(cell).performance, strict=True))

    def analyse(self, progress: bool) -> Mapping[str, Any]:
        """Return tables of encoders, alignment and layers, and facts about the data."""
        self._samples.clear()
        encoders = {member: self.files.load(member) for member in self.cells()}
        best = best_cells(encoders)
        alignment, layers = align(self.config, self.files, encoders, self.align_samples, progress=progress)
        rows = [
            {
                "modality": member.modality, "depth": member.depth, "seed": member.seed, "epoch": trained.epoch,
                **dict(zip(("train", "valid", "test"), trained.performance, strict=True)),
                "best": best[member.modality] == member,
            }
            for member, trained in encoders.items()
        ]  # fmt: skip
        data, keys = self.data, ["modality", "reference", "depth", "seed"]
        return {
            "data": {
                "name": data.name, "task": data.task, "classes": data.classes, "pool": data.pool,
                "samples": {name: len(split.ids) for name, split in data.splits.items()},
                "shapes": {name: list(data.splits["train"].inputs[name].shape[1:]) for name in data.modalities},
                "fingerprint": data.fingerprint, "notes": list(data.about.get("notes", ())),
            },
            "encoders": make_table(rows, ["modality", "depth", "seed"]),
            "alignment": make_table(alignment, keys),
            "layers": make_table(layers, [*keys, "metric", "layer", "reference_layer"]),
        }  # fmt: skip

    def samples(self, modality: str, split: str) -> Samples:
        """Return a modality's samples of a split, on the device; of ``train`` the first ``train_samples``."""
        with self._lock:
            if (modality, split) not in self._samples:
                count = self.config.train_samples if split == "train" else None
                self._samples[modality, split] = self._first(modality, split, count)
            return self._samples[modality, split]

    def align_samples(self, modality: str) -> Samples:
        """Return a modality's samples that alignment is measured on, on the device."""
        return self._first(modality, self.config.align_split, self.config.align_samples)

    def _first(self, modality: str, split: str, count: int | None) -> Samples:
        part = self.data.splits[split]
        samples = Samples(part.inputs[modality], part.lengths.get(modality), part.labels)
        return samples.first(count).to(self.device)
