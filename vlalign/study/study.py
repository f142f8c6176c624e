"""Base of all studies: plan, run and report."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vlalign.arithmetic import exact_float32
from vlalign.files import check_space
from vlalign.processes import agree, meet, start_processes
from vlalign.study.config import StudyConfig, check_folder, write_config
from vlalign.study.results import StudyResult
from vlalign.tracking import started

if TYPE_CHECKING:
    import torch
    from accelerate import PartialState
    from accelerate.tracking import GeneralTracker
    from rich.console import Console

ConfigT = TypeVar("ConfigT", bound=StudyConfig)
PlanT = TypeVar("PlanT")
ResultT = TypeVar("ResultT", bound=StudyResult)


class Study(ABC, Generic[ConfigT, PlanT, ResultT]):
    """A study on the processes that were launched together.

    Args:
        config: its settings.

    Attributes:
        config: the settings.
        state: Accelerate's view of the processes.
        tracker: that a run logs to, on the main process; None for no log.
        fingerprint: hash of the data that the settings name, where a study has data.
    """

    def __init__(self, config: ConfigT, fingerprint: str = "", state: PartialState | None = None) -> None:
        self.config, self.fingerprint = config, fingerprint
        self.state = state or start_processes(config.cpu)
        self.tracker: GeneralTracker | None = None

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        device: torch.device = self.state.device
        return device

    @property
    def is_main_process(self) -> bool:
        """Whether this is the main process."""
        return bool(self.state.is_main_process)

    @exact_float32()
    def plan(self) -> PlanT:
        """Check everything, scan finished cells on the main process, and broadcast the plan.

        Raises:
            VlalignError: the folder holds another study or cannot be written, or a setting does not fit the data;
                ``SystemExit`` on the other processes.
        """
        return agree(self.state, self._plan)

    def _plan(self) -> PlanT:
        check_space(Path(self.config.out))
        check_folder(self.config, self.fingerprint)
        return self.make_plan()

    @exact_float32()
    def run(
        self,
        plan: PlanT | None = None,
        *,
        progress: bool = False,
        report: bool = True,
        tracker: GeneralTracker | None = None,
    ) -> ResultT | None:
        """Compute what is missing, analyse all cells, and write the tables. Finished cells are kept when it is stopped.

        Args:
            plan: of :meth:`plan`, which is called by default.
            progress: show a bar with the time left on the main process.
            report: also write figures and report.html.
            tracker: of Accelerate, to log time left and the numbers of finished cells to.

        Returns:
            The result on the main process, None on the others.

        Raises:
            VlalignError: as :meth:`plan`; or a cell cannot be computed.
        """
        plan = plan or self.plan()
        if self.is_main_process:
            write_config(self.config, self.fingerprint)
        meet(self.state)
        self.tracker = tracker if self.is_main_process else None
        with started(self.tracker, self.config.resolved()):
            result = self.compute(plan, progress and self.is_main_process)
        if result is None:
            return None
        result.save(self.config.out)
        if report:
            self.report(result, self.config.out)
        return result

    @abstractmethod
    def make_plan(self) -> PlanT:
        """Return what is missing, after checks of the settings; on the main process only."""

    @abstractmethod
    def compute(self, plan: PlanT, progress: bool) -> ResultT | None:
        """Compute what is missing on all processes; return the result on the main process, None on the others."""

    @classmethod
    def report(
        cls, result: Any, folder: str | Path, console: Console | None = None, *, metric: str | None = None
    ) -> list[Path]:
        """Write figures and report.html of a result into a folder, with ``write_report`` of the study's ``report``.

        Args:
            result: of a study.
            folder: of the files; made if missing.
            console: where to show the results and the files, if at all.
            metric: that is shown, where a study has several; None for the first.

        Returns:
            The paths, the page last.

        Raises:
            VlalignError: the study has no such metric, or a file cannot be written.
        """
        report = import_module(f"{cls.__module__.rpartition('.')[0]}.report")  # slow: Matplotlib
        files: list[Path] = report.write_report(result, Path(folder), console, metric=metric)
        return files
