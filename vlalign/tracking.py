"""Logging of long runs to trackio or Weights & Biases, by Accelerate's trackers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

#: seconds between two entries of a log
LOG_SECONDS = 5.0

#: flag of a verb that runs for long; it is no option of the run, so keys and recorded settings do not depend on it
Log = Annotated[
    Literal["trackio", "wandb"] | None, Parameter(help="log progress and results of the run to this tracker")
]


def find_tracker(log: str | None, project: str) -> GeneralTracker | None:
    """Return Accelerate's tracker of a name, not started yet; None for None.

    Args:
        log: ``trackio`` or ``wandb``.
        project: name under which the tracker lists the run.

    Raises:
        VlalignError: the package of the tracker is not installed.
    """
    if log is None:
        return None
    if find_spec(log) is None:
        raise VlalignError(f"--log {log} needs the package {log}, which is not installed: pip install {log}")
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    return LOGGER_TYPE_TO_CLASS[log](project)


@contextmanager
def started(tracker: GeneralTracker | None, settings: Mapping[str, Any]) -> Iterator[None]:
    """Start a tracker with the settings of a run (JSON values), and finish it at the end; nothing without a tracker."""
    if tracker is None:
        yield
        return
    tracker.start()
    tracker.store_init_configuration(dict(settings))
    try:
        yield
    finally:
        tracker.finish()
