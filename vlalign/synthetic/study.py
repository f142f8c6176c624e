"""The synthetic study: trains what is missing of the grid, then measures alignment between the encoders."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import torch

from vlalign.environment import environment
from vlalign.errors import VlalignError
from vlalign.files import write_whole
from vlalign.processes import agree, meet, start_processes
from vlalign.settings import shown, yaml_text
from vlalign.store.checksums import check_space
from vlalign.study.jobs import WorkBar, deal, run_jobs
from vlalign.synthetic.align import alignment_rows
from vlalign.synthetic.cells import Cell, CellFiles, Encoders, all_cells, ensembles, shape_of
from vlalign.synthetic.config import SyntheticConfig, check_tuned, identity, read_config, read_tuned, resolved
from vlalign.synthetic.data import SyntheticData, make_data
from vlalign.synthetic.results import SyntheticResult, make_table
from vlalign.synthetic.train import Samples, Split, train_ensemble

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

CONFIG = "config.yaml"
_STEP = 1.5  # what an encoder costs beside its layers, in layers


@dataclass(frozen=True)
class SyntheticPlan:
    """What is to do: the cells that lack a file, as ensembles, and how many encoders there are in all."""

    missing: list[list[Cell]]
    encoders: int
    to_train: int


class SyntheticStudy:
    """Plans and runs a synthetic study on the processes that were launched together.

    Args:
        config: what to do.
    """

    def __init__(self, config: SyntheticConfig) -> None:
        self.config = config
        self.state = start_processes(config.cpu)
        self.device: torch.device = self.state.device
        self.tuned = read_tuned(config.tuned) if config.tuned else None
        if self.tuned is not None:
            check_tuned(config, self.tuned)
        self.files = CellFiles(config, self.tuned)
        self._data: dict[int, SyntheticData] = {}
        self._lock = Lock()

    @property
    def is_main(self) -> bool:
        """Whether this process speaks for all."""
        return bool(self.state.is_main_process)

    def plan(self) -> SyntheticPlan:
        """Look what is there; made by the main process and told to the others.

        Raises:
            VlalignError: the folder holds another study, or cannot be written; ``SystemExit`` on the other processes.
        """
        return agree(self.state, self._plan)

    def _plan(self) -> SyntheticPlan:
        out = Path(self.config.out)
        check_space(out, 0)
        check_folder(self.config)
        for phi in self.config.phi_depths:  # whether all of them keep the information, before anything is trained
            for modality in range(self.config.modalities):
                self.data(self.config.uniqueness[0]).inputs(modality, phi)
        cells = all_cells(self.config)
        missing = [cell for cell in cells if not self.files.has(cell)]
        per = len(self.config.uniqueness)
        return SyntheticPlan(ensembles(self.config, missing), per * len(cells), per * len(missing))

    def run(self, plan: SyntheticPlan | None = None, *, progress: bool = False) -> SyntheticResult | None:
        """Train what is missing, measure alignment, write the tables. Finished ensembles are kept when it is stopped.

        Args:
            plan: of :meth:`plan`.
            progress: show bars on the main process.

        Returns:
            The result on the main process, None on the others.

        Raises:
            VlalignError: as :meth:`plan`; or an encoder whose training diverged.
        """
        plan = plan or self.plan()
        out = Path(self.config.out)
        if self.is_main:
            text = yaml_text(resolved(self.config))
            write_whole(out / CONFIG, text)
        meet(self.state)
        start = time.perf_counter()
        shares = deal(plan.missing, self._cost, self.state.num_processes)
        own = shares.pop(self.state.process_index)
        others = [(self._cost(group), [self.files.path(cell) for cell in group]) for share in shares for group in share]
        title = f"training {plan.to_train} encoders"
        with WorkBar(sum(map(self._cost, own)), others, title, progress and self.is_main) as bar:
            self._train_all(own, bar)
            meet(self.state)
        trained = time.perf_counter()
        if not self.is_main:
            return None
        rows = alignment_rows(self.config, self.files, self.data, progress=progress)
        result = SyntheticResult(
            config=resolved(self.config),
            table=make_table(rows),
            seconds={"train": round(trained - start, 1), "align": round(time.perf_counter() - trained, 1)},
            trained=plan.to_train,
            environment=environment() | {"threads": torch.get_num_threads(), "processes": self.state.num_processes},
        )
        result.save(out)
        return result

    def data(self, uniqueness: int) -> SyntheticData:
        """The samples of one U, drawn once."""
        with self._lock:
            if uniqueness not in self._data:
                self._data[uniqueness] = make_data(self.config, uniqueness)
            return self._data[uniqueness]

    # -- training ------------------------------------------------------------------------------------------------------
    def _cost(self, group: Sequence[Cell]) -> float:
        """Of training a group, in layers times epochs of one encoder of the default width."""
        cell = group[0]
        wide = max(1.0, cell.width / 12)
        return len(group) * len(self.config.uniqueness) * self._epochs(cell) * (_STEP + cell.depth) * wide

    def _epochs(self, cell: Cell) -> int:
        return self.config.epochs[min(cell.modality, 1)]

    def _train_all(self, groups: Sequence[Sequence[Cell]], bar: WorkBar) -> None:
        def work(group: Sequence[Cell], check: Callable[[], None]) -> None:
            def tick() -> None:
                check()
                bar.advance(self._cost(group) / self._epochs(group[0]))

            self.train(group, tick)

        run_jobs(groups, work, self.device)

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
            epochs=self._epochs(group[0]),
            batch=config.batch,
            clip=config.clip,
            tick=tick,
        )
        packed = trained.parameters.packed().cpu()
        accuracy = torch.stack([trained.train, trained.valid, trained.test], dim=1).cpu()
        for (cell, u), finite in zip(members, torch.isfinite(packed).all(dim=1).tolist(), strict=True):
            if not finite:
                raise VlalignError(f"training diverged ({cell.title(u)}): lower learning_rate or clip")
        per = len(config.uniqueness)
        for i, cell in enumerate(group):
            mine = slice(i * per, (i + 1) * per)
            self.files.save(cell, Encoders(packed[mine], accuracy[mine], trained.epoch[mine].cpu()))

    def samples(self, modality: int, which: Sequence[tuple[int, int]]) -> Samples:
        """The data of the members of an ensemble, each at its (U, depth of φ), on the device."""
        tables: dict[tuple[int, int], Tensor] = {}
        rows: dict[tuple[int, int], Tensor] = {}
        for u, phi in dict.fromkeys(which):
            distinct, codes = self.data(u).inputs(modality, phi)
            ones = torch.ones(len(distinct), 1)
            tables[u, phi] = torch.cat([distinct, ones], dim=1).to(self.device)
            rows[u, phi] = torch.from_numpy(codes)
        labels = {u: torch.from_numpy(self.data(u).labels) for u, _ in which}

        def split(name: str) -> Split:
            places = {u: torch.from_numpy(self.data(u).splits[name]) for u, _ in which}
            return Split(
                [tables[one] for one in which],
                torch.stack([rows[u, phi][places[u]] for u, phi in which]).to(self.device),
                torch.stack([labels[u][places[u]] for u, _ in which]).to(self.device),
            )

        return Samples(split("train"), split("validation"), split("test"))


def check_folder(config: SyntheticConfig) -> None:
    """Refuse a folder that holds another study; a study may go on with more of its grid or on other machines.

    Raises:
        VlalignError: its config.yaml differs in what makes studies different, or cannot be read.
    """
    path = Path(config.out) / CONFIG
    if not path.exists():
        return
    old = SyntheticConfig(**read_config(path))
    there, here = identity(old), identity(config)
    found = "; ".join(
        f"{name} is {shown(there[name])} there, {shown(here[name])} here" for name in here if there[name] != here[name]
    )
    for name in ("phi_depths", "depths", "widths", "seeds"):
        dropped = [one for one in getattr(old, name) or () if one not in (getattr(config, name) or ())]
        if dropped and not found:
            log.warning(
                "%s also holds %s %s: those encoders are kept, but the tables will be without them",
                config.out, name, ", ".join(map(str, dropped)),
            )  # fmt: skip
    if found:
        raise VlalignError(f"{config.out} holds another study ({found}): name another folder with --out")
