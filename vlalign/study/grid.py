"""Studies of trained cells: a grid of them is trained on all processes, then analysed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar, Generic

import torch

from vlalign.environment import environment
from vlalign.errors import VlalignError
from vlalign.processes import meet
from vlalign.study.cells import C, CellFiles
from vlalign.study.jobs import deal, run_jobs
from vlalign.study.progress import Stopwatch, StudyProgress, Work
from vlalign.study.results import CellResult
from vlalign.study.study import ConfigT, ResultT, Study
from vlalign.study.workers import run_in_workers

_WORTH = 60.0  # seconds of work from which on worker processes are started


@dataclass(frozen=True)
class CellPlan(Generic[C]):
    """Work of a study of cells.

    Attributes:
        missing: cells without a file, in groups that are trained together.
        total: encoders (or other units) in all cells.
        to_do: encoders in the missing cells.
    """

    missing: list[list[C]]
    total: int
    to_do: int


class CellStudy(Study[ConfigT, CellPlan[C], ResultT], Generic[ConfigT, C, ResultT]):
    """A study whose cells are trained in groups, on all processes and the threads of each, before they are analysed.

    A study defines ``cells``, ``train``, ``analyse`` and ``report``, and sets ``files``.

    Class attributes:
        RESULT: class of the result, whose own fields :meth:`analyse` gives.
    """

    RESULT: ClassVar[type[CellResult]]
    files: CellFiles[C, Any]
    per_cell = 1  # encoders in each cell

    @abstractmethod
    def cells(self) -> list[C]:
        """Return all cells of the grid, in order."""

    @abstractmethod
    def train(self, group: Sequence[C], tick: Callable[[], None] = lambda: None) -> None:
        """Compute the cells of a group and write their files; call ``tick`` :meth:`ticks` times."""

    @abstractmethod
    def performance(self, cell: C) -> Mapping[str, float]:
        """Return the performance of a finished cell's encoders, by names for a log."""

    @abstractmethod
    def analyse(self, progress: bool) -> Mapping[str, Any]:
        """Return the fields of the result that the files of all cells give."""

    def check(self) -> None:
        """Check what no setting alone shows, before anything is trained."""

    def groups(self, cells: Sequence[C]) -> list[list[C]]:
        """Return cells as groups that are trained together."""
        return [[cell] for cell in cells]

    def cost(self, group: Sequence[C]) -> float:
        """Return how long a group takes, in any unit."""
        return float(len(group))

    def ticks(self, group: Sequence[C]) -> int:
        """Return how often training a group calls ``tick``."""
        return 1

    def seconds(self, groups: Sequence[Sequence[C]]) -> float:
        """Return about how long groups take on one core of a CPU, if worker processes would train them faster."""
        return 0.0

    def make_plan(self) -> CellPlan[C]:
        self.check()
        cells = self.cells()
        missing = [cell for cell in cells if not self.files.has(cell)]
        return CellPlan(self.groups(missing), self.per_cell * len(cells), self.per_cell * len(missing))

    def compute(self, plan: CellPlan[C], progress: bool) -> ResultT | None:
        watch = Stopwatch()
        self._train_all(plan, progress)
        watch.lap("train")
        if not self.is_main_process:
            return None
        fields = self.analyse(progress)
        watch.lap("align")
        made = {"threads": torch.get_num_threads(), "processes": self.state.num_processes, "device": self.device.type}
        kind: Any = self.RESULT
        result: ResultT = kind(
            config=self.config.resolved(),
            seconds=watch.seconds,
            trained=plan.to_do,
            environment=environment() | made,
            **fields,
        )
        return result

    def _train_all(self, plan: CellPlan[C], progress: bool) -> None:
        shares = deal(plan.missing, self.cost, self.state.num_processes)
        own = shares.pop(self.state.process_index)
        others = [
            ("train", self.cost(group), [self.files.path(cell) for cell in group])
            for share in shares
            for group in share
        ]
        work = Work("train", sum(map(self.cost, plan.missing)))
        title = f"training {plan.to_do} encoders"
        workers = min(torch.get_num_threads(), len(own))
        log = None if self.tracker is None else partial(self._log, [cell for group in plan.missing for cell in group])
        with StudyProgress({"train": work}, title, shown=progress, others=others, log=log) as bar:

            def advance(group: Sequence[C]) -> None:
                bar.advance(self.cost(group) / self.ticks(group), "train")

            def train(group: Sequence[C], check: Callable[[], None]) -> None:
                def tick() -> None:
                    check()
                    advance(group)

                self.train(group, tick)

            if self.device.type == "cpu" and workers > 1 and self.seconds(own) > _WORTH:
                run_in_workers(partial(train_in_worker, type(self), self.config), own, workers, advance)
            else:
                run_jobs(own, train, self.device)
            meet(self.state)

    def _log(self, cells: list[C], values: Mapping[str, float]) -> None:
        """Log values, and the performance of each cell whose file has appeared, which is removed from ``cells``."""
        assert self.tracker is not None
        self.tracker.log(dict(values))
        for cell in [cell for cell in cells if self.files.path(cell).exists()]:
            with suppress(VlalignError):  # a damaged file, until its cell is computed again
                self.tracker.log({**asdict(cell), **self.performance(cell)})  # type: ignore[call-overload]
                cells.remove(cell)


@lru_cache(1)
def _study(kind: type[CellStudy[Any, Any, Any]], config: Any) -> CellStudy[Any, Any, Any]:
    return kind(config)


def train_in_worker(kind: Any, config: Any, group: Sequence[Any], tick: Callable[[], None]) -> None:
    """Train a group in a worker process, which makes its study once."""
    _study(kind, config).train(group, tick)
