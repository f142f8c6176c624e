"""Pooling inside forward hooks: a state becomes one vector per sample the moment it appears, on its own device.

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


Reduce = Callable[["Tensor", Tap], "Tensor"]


class StatePooler:
    """Hooks on the taps of a model; use as a context manager around its forwards.

    Args:
        module: the model.
        taps: the layer axis. A tap without a module is added with :meth:`add`.
        reduce: ``[B, T, D]`` tokens or a ``[B, C, H, W]`` map to ``[B, D]`` float32.
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
        self._pooled: dict[str, Tensor] = {}
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

    def collect(self) -> list[Tensor]:
        """Return the pooled states of the last forward in the order of the taps, ``[B, D_layer]`` float32 on the CPU.

        Raises:
            MisshapenState: a block did not run as a module.
        """
        pooled, self._pooled = self._pooled, {}
        if absent := [tap.name for tap in self._taps if tap.name not in pooled]:
            raise MisshapenState(f"no state for {absent[0]}")
        return to_cpu([pooled[tap.name] for tap in self._taps])

    def discard(self) -> None:
        """Discard the states of a forward that failed."""
        self._pooled.clear()


def to_cpu(states: Sequence[Tensor]) -> list[Tensor]:
    """Return states ``[B, D_layer]`` on the CPU; those of one GPU come in one copy through page-locked memory."""
    import torch

    device = states[0].device
    if device.type != "cuda" or any(state.device != device for state in states):
        return [state.cpu() for state in states]
    joined = torch.cat(list(states), dim=1)
    pinned = torch.empty(joined.shape, dtype=joined.dtype, pin_memory=True)
    pinned.copy_(joined, non_blocking=True)
    torch.cuda.current_stream(device).synchronize()
    return list(pinned.split([state.shape[1] for state in states], dim=1))


def mean_over_tokens(state: Tensor, mask: Tensor) -> Tensor:
    """Average the states of real tokens.

    Args:
        state: ``[B, T, D]``.
        mask: ``[B, T]`` bool, true for real tokens.

    Returns:
        ``[B, D]`` float32, summed in float32 whatever the dtype of the states.
    """
    import torch

    mask = mask.to(state.device)
    # a product rather than a fill, so that BLAS sums; padding states are finite, because they attend to real tokens
    weights = mask.to(torch.float32) / mask.sum(1, keepdim=True)
    return torch.bmm(weights[:, None], state.float())[:, 0]


def last_token(state: Tensor, mask: Tensor) -> Tensor:
    """Select the state of the last real token: ``[B, T, D]``, mask ``[B, T]`` (right-padded) to ``[B, D]`` float32."""
    import torch

    last = mask.to(state.device).sum(1) - 1
    return state[torch.arange(len(state), device=state.device), last].float()


def pool_vision(state: Tensor, tap: Tap, pool: str, prefix_tokens: int) -> Tensor:
    """Select the class token, or average over patches or positions of a map.

    Args:
        state: tokens ``[B, T, D]``, or a map ``[B, C, H, W]`` or ``[B, H, W, C]``.
        tap: its width is the number of channels, which distinguishes the two layouts of a map.
        pool: ``cls`` or ``avg``.
        prefix_tokens: leading tokens that are not patches.

    Returns:
        ``[B, D]`` float32.
    """
    import torch

    if state.ndim == 4:
        channels_last = state.shape[-1] == tap.width and state.shape[1] != tap.width
        return state.mean((1, 2) if channels_last else (2, 3), dtype=torch.float32)
    if pool == "cls":
        return state[:, 0].float()
    return state[:, prefix_tokens:].mean(1, dtype=torch.float32)
