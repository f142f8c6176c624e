"""Forward hooks: a state is pooled to vectors per sample the moment it appears, on its own device.

No stack of layers × batch × tokens × width ever exists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.models.structure import Tap, first_tensor

if TYPE_CHECKING:
    from torch import Tensor, nn


class MisshapenState(VlalignError):
    """States that are not one vector for each token of each text after each block."""


@dataclass(frozen=True)
class Pooled:
    """Pooled states of a batch, on the CPU.

    Attributes:
        kinds: for each tensor that ``reduce`` returns, ``[B, …]`` of every tap.
        sums: of all values of each sample, ``[B]``: finite only if they all are.
    """

    kinds: list[list[Tensor]]
    sums: Tensor


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

    def collect(self) -> Pooled:
        """Return what ``reduce`` made of the last forward.

        Raises:
            MisshapenState: a block did not run as a module.
        """
        pooled, self._pooled = self._pooled, {}
        if absent := [tap.name for tap in self._taps if tap.name not in pooled]:
            raise MisshapenState(f"no state for {absent[0]}")
        every = [pooled[tap.name] for tap in self._taps]
        local, sums = to_cpu([tensor for tensors in every for tensor in tensors])
        kinds = len(every[0])
        return Pooled([local[kind::kinds] for kind in range(kinds)], sums)

    def discard(self) -> None:
        """Discard the states of a forward that failed."""
        self._pooled.clear()


def to_cpu(states: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Return float32 tensors ``[B, …]`` on the CPU, and the sum of all values of each row, ``[B]``.

    They are joined and summed where they are, and copied together: from a GPU through page-locked memory, with a single
    synchronisation. The results share no memory with whole states, of which a class token is a view.
    """
    import torch

    if any(state.device != states[0].device for state in states):
        states = [state.cpu() for state in states]
    joined = torch.cat(list(states), dim=1)
    local = [joined, joined.sum(1)]
    if joined.device.type == "cuda":
        pinned = [torch.empty(one.shape, dtype=one.dtype, pin_memory=True) for one in local]
        local = [here.copy_(there, non_blocking=True) for here, there in zip(pinned, local, strict=True)]
        torch.cuda.current_stream(joined.device).synchronize()
    joined, sums = (one.cpu() for one in local)
    return list(joined.split([state.shape[1] for state in states], dim=1)), sums
