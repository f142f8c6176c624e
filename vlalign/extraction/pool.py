"""Forward hooks: a state is pooled to vectors per sample the moment it appears, on its own device.

No stack of layers × batch × tokens × width ever exists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.models.structure import Tap, first_tensor

if TYPE_CHECKING:
    from torch import Tensor, nn


class MisshapenState(VlalignError):
    """States that are not one vector for each token of each text after each block."""


#: a state to float32 tensors ``[B, …]``, one for each pool and one of measurements
Reduce = Callable[["Tensor", Tap], "Sequence[Tensor]"]


class StatePooler:
    """Hooks on the taps of a model; use as a context manager around its forwards.

    Args:
        module: the model.
        taps: the layer axis. A tap without a module is added with :meth:`add`.
        reduce: ``[B, T, D]`` tokens or a ``[B, C, H, W]`` map to float32 tensors ``[B, …]``, as many at every tap.
        entering: pool what enters each module (text) rather than what leaves it (vision).
        hooked: the taps to hook; by default all that have a module.
    """

    def __init__(
        self,
        module: nn.Module,
        taps: Sequence[Tap],
        reduce: Reduce,
        *,
        entering: bool,
        hooked: Sequence[Tap] | None = None,
    ) -> None:
        self._module, self._taps, self._reduce, self._entering = module, taps, reduce, entering
        self._hooked = [tap for tap in (taps if hooked is None else hooked) if tap.module]
        self._pooled: dict[str, Sequence[Tensor]] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> StatePooler:
        for tap in self._hooked:
            target = self._module.get_submodule(tap.module)
            if self._entering:
                self._handles.append(target.register_forward_pre_hook(partial(self._before, tap), with_kwargs=True))
            else:
                self._handles.append(target.register_forward_hook(partial(self._after, tap)))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _before(self, tap: Tap, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.add(tap, args[0] if args else kwargs["hidden_states"])

    def _after(self, tap: Tap, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self.add(tap, first_tensor(output))

    def add(self, tap: Tap, state: Tensor) -> None:
        """Pool one state.

        Raises:
            MisshapenState: a block runs more than once in a forward.
        """
        if tap.name in self._pooled:
            raise MisshapenState(f"{tap.module} runs more than once")
        self._pooled[tap.name] = self._reduce(state, tap)

    def collect(self) -> list[list[Tensor]]:
        """Return what ``reduce`` made of the last forward, on the CPU: a list over the taps for each of its tensors.

        Raises:
            MisshapenState: a block did not run as a module.
        """
        pooled, self._pooled = self._pooled, {}
        if absent := [tap.name for tap in self._taps if tap.name not in pooled]:
            raise MisshapenState(f"no state for {absent[0]}")
        every = [pooled[tap.name] for tap in self._taps]
        local = to_cpu([tensor for tensors in every for tensor in tensors])
        kinds = len(every[0])
        return [local[kind::kinds] for kind in range(kinds)]

    def discard(self) -> None:
        """Discard the states of a forward that failed."""
        self._pooled.clear()


def to_cpu(states: Sequence[Tensor]) -> list[Tensor]:
    """Return float32 tensors ``[B, …]`` on the CPU; those of one GPU come in one copy through page-locked memory."""
    import torch

    device = states[0].device
    if device.type != "cuda" or any(state.device != device for state in states):
        return [state.cpu() for state in states]
    joined = torch.cat(list(states), dim=1)
    pinned = torch.empty(joined.shape, dtype=joined.dtype, pin_memory=True)
    pinned.copy_(joined, non_blocking=True)
    torch.cuda.current_stream(device).synchronize()
    return list(pinned.split([state.shape[1] for state in states], dim=1))
