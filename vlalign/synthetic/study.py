"""The synthetic study: trains what is missing of the grid, then measures alignment between the encoders."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING, Any

import torch

from vlalign.metrics.engine.threads import one_thread
from vlalign.study.cells import grouped
from vlalign.study.grid import CellStudy
from vlalign.study.results import make_table
from vlalign.synthetic.align import alignment_rows
from vlalign.synthetic.cells import Cell, EncoderFiles, Encoders, all_cells, shape_of
from vlalign.synthetic.config import SyntheticConfig, check_tuned, read_tuned
from vlalign.synthetic.data import SyntheticData, make_data
from vlalign.synthetic.encoder import pack
from vlalign.synthetic.results import KEYS, SyntheticResult
from vlalign.synthetic.train import Samples, Split, train_ensemble

if TYPE_CHECKING:
    from torch import Tensor

_BATCHES = 8  # of the training that measures the speed
_STEP = 1.5  # cost of an encoder beside its layers, in layers
_LAYER_SECONDS = 4e-8  # of a CPU core, about, for a layer of the default width and a sample


class SyntheticStudy(CellStudy[SyntheticConfig, Cell, SyntheticResult]):
    """A synthetic study on the processes that were launched together; see :class:`vlalign.study.study.Study`.

    Args:
        config: its settings.
    """

    RESULT = SyntheticResult

    def __init__(self, config: SyntheticConfig) -> None:
        super().__init__(config)
        self.tuned = read_tuned(config.tuned) if config.tuned else None
        if self.tuned is not None:
            check_tuned(config, self.tuned)
        self.files: EncoderFiles = EncoderFiles(config, self.tuned)
        self.per_cell = len(config.uniqueness)
        self._data: dict[int, SyntheticData] = {}
        self._lock = Lock()

    def check(self) -> None:
        """Refuse depths of φ that lose information."""
        for phi in self.config.phi_depths:
            for modality in range(self.config.modalities):
                self.data(self.config.uniqueness[0]).inputs(modality, phi)

    def cells(self) -> list[Cell]:
        """Return all cells of the grid, in order."""
        return all_cells(self.config)

    def groups(self, cells: Sequence[Cell]) -> list[list[Cell]]:
        """Return cells as ensembles of one modality and shape, of at most ``config.ensemble`` encoders each.

        Training cells together changes no result (on an accelerator, but for rounding).
        """
        size = max(1, self.config.ensemble // self.per_cell)
        return grouped(cells, lambda cell: (cell.modality, cell.depth, cell.width), size)

    def cost(self, group: Sequence[Cell]) -> float:
        """Return the cost of training a group, in layers times epochs of one encoder of the default width."""
        cell = group[0]
        return len(group) * self.per_cell * self.ticks(group) * (_STEP + cell.depth) * max(1.0, cell.width / 12)

    def ticks(self, group: Sequence[Cell]) -> int:
        """Return the epochs of a group."""
        return self.config.epochs[min(group[0].modality, 1)]

    def seconds(self, groups: Sequence[Sequence[Cell]]) -> float:
        """Return about how long groups take on one core of a CPU."""
        return _LAYER_SECONDS * self.config.sizes[0] * sum(map(self.cost, groups))

    def measured_seconds(self, groups: Sequence[Sequence[Cell]]) -> float:
        """Estimate how long groups take on one CPU core, or on an accelerator: train some batches of the largest."""
        if not groups:
            return 0.0
        config, group = self.config, max(groups, key=self.cost)
        u, cell, count = config.uniqueness[0], group[0], len(group) * self.per_cell
        whole = self.samples(cell.modality, [(u, cell.phi_depth)] * count)
        share = min(1.0, _BATCHES * config.batch / whole.train.rows.shape[1])
        some = Samples(*(s.first(round(share * s.rows.shape[1])) for s in (whole.train, whole.valid, whole.test)))
        times = list[float]()
        clock = time.process_time if self.device.type == "cpu" else time.perf_counter  # other processes may be busy
        with one_thread():
            train_ensemble(
                shape_of(config, cell), some, seeds=[cell.own_seed] * count, learning_rates=[1e-3] * count,
                weight_decays=[0.0] * count, epochs=3, batch=config.batch, clip=config.clip,
                tick=lambda: times.append(clock()),
            )  # fmt: skip
        epoch = min(later - earlier for earlier, later in pairwise(times)) / share
        return epoch * self.ticks(group) * sum(map(self.cost, groups)) / self.cost(group)

    def train(self, group: Sequence[Cell], tick: Callable[[], None] = lambda: None) -> None:
        """Train the cells of one ensemble together and write their files.

        Args:
            group: cells of one modality and shape.
            tick: called after every epoch.

        Raises:
            VlalignError: an encoder whose training diverged, or a file that cannot be written.
        """
        config, modality = self.config, group[0].modality
        members = [(cell, u) for cell in group for u in config.uniqueness]
        rates = {u: config.settings_of(modality, u, self.tuned) for u in config.uniqueness}
        trained = train_ensemble(
            shape_of(config, group[0]),
            self.samples(modality, [(u, cell.phi_depth) for cell, u in members]),
            seeds=[cell.own_seed for cell, _ in members],
            learning_rates=[rates[u][0] for _, u in members],
            weight_decays=[rates[u][1] for _, u in members],
            epochs=self.ticks(group),
            batch=config.batch,
            clip=config.clip,
            tick=tick,
        )
        for i, (cell, u) in enumerate(members):
            trained.check(i, cell.title(u))
        packed = pack(trained.ensemble).cpu()
        for i, cell in enumerate(group):
            mine = slice(i * self.per_cell, (i + 1) * self.per_cell)
            self.files.save(cell, Encoders(packed[mine], trained.performance[mine], trained.epoch[mine]))

    def performance(self, cell: Cell) -> Mapping[str, float]:
        """Return the test accuracy at each U."""
        accuracy = self.files.load(cell).accuracy
        return {f"accuracy, U = {u}": float(accuracy[i, 2]) for i, u in enumerate(self.config.uniqueness)}

    def analyse(self, progress: bool) -> Mapping[str, Any]:
        """Return the table of alignment."""
        return {"table": make_table(alignment_rows(self.config, self.files, self.data, progress), KEYS)}

    def data(self, uniqueness: int) -> SyntheticData:
        """Return the samples of one U, drawn once."""
        with self._lock:
            if uniqueness not in self._data:
                self._data[uniqueness] = make_data(self.config, uniqueness)
            return self._data[uniqueness]

    def samples(self, modality: int, which: Sequence[tuple[int, int]]) -> Samples:
        """Return the data of the members of an ensemble, each at its (U, depth of φ), on the device."""
        tables: dict[tuple[int, int], Tensor] = {}
        rows: dict[tuple[int, int], Tensor] = {}
        for u, phi in dict.fromkeys(which):
            distinct, codes = self.data(u).inputs(modality, phi)
            tables[u, phi] = distinct.to(self.device)
            rows[u, phi] = torch.from_numpy(codes)
        labels = {u: torch.from_numpy(self.data(u).labels) for u, _ in which}

        def split(name: str) -> Split:
            places = {u: torch.from_numpy(self.data(u).splits[name]) for u, _ in which}
            return Split(
                [tables[key] for key in which],
                torch.stack([rows[u, phi][places[u]] for u, phi in which]).to(self.device),
                torch.stack([labels[u][places[u]] for u, _ in which]).to(self.device),
            )

        return Samples(split("train"), split("validation"), split("test"))
