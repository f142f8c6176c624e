"""Several processes that were launched together: what one of them decides for all."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from accelerate import PartialState

T = TypeVar("T")


def start_processes(cpu: bool) -> PartialState:
    """Accelerate's view of the processes, which find each other here.

    Args:
        cpu: stay on the CPU where there is an accelerator.
    """
    from datetime import timedelta

    import torch
    from accelerate import PartialState

    # without an accelerator, processes launched together find each other only if told that they are on CPUs;
    # ranks meet after every stage, and one of them may work for hours longer than another
    state = PartialState(cpu=cpu or not torch.accelerator.is_available(), timeout=timedelta(days=7))
    if state.backend == "gloo":
        # its threads must end before the interpreter does: else a process now and then aborts when all is done
        atexit.register(state.destroy_process_group)
    return state


def agree(state: PartialState, make: Callable[[], T]) -> T:
    """What the main process makes, told to all; what it raises ends all of them (the others by ``SystemExit``)."""
    from accelerate.utils import broadcast_object_list

    said: list[Any] = [None]
    failure: BaseException | None = None
    if state.is_main_process:
        try:
            said = [make()]
        except BaseException as error:
            failure = error
    if state.num_processes > 1:
        broadcast_object_list(said, from_process=0)
    if failure is not None:
        raise failure
    if said[0] is None:
        sys.exit(1)
    made: T = said[0]
    return made
