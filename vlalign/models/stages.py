"""Stages of the hierarchical vision models of transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.models.structure import Tap, find_blocks, first_tensor

if TYPE_CHECKING:
    from torch import Tensor, nn


def stage_taps(module: nn.Module) -> list[Tap]:
    """Return the layer axis of a hierarchical model, one tap a stage.

    Taps have a module where stages are modules. They have none where they are not (PVT, SegFormer), or where a stage
    ends with states of another width than its config says (Swin joins patches): the states that the model returns are
    read then, ``hidden_states`` without what enters the first stage.

    Raises:
        VlalignError: neither is there.
    """
    config: Any = module.config
    widths = getattr(config, "hidden_sizes", None)
    if widths:
        with suppress(VlalignError):
            stages = find_blocks(module, len(widths))
            taps = [
                Tap(f"stage_{i}", width, f"spatial average of {stages}.{i}", f"{stages}.{i}")
                for i, width in enumerate(widths)
            ]
            if _fit(module, taps):
                return taps
    states = _blank(module, output_hidden_states=True).get("hidden_states")
    if not states or any(getattr(state, "ndim", None) not in (3, 4) for state in states):
        raise VlalignError(
            f"{type(module).__name__}: its stages are no modules, and it returns no hidden states, so its layers "
            "cannot be read"
        )
    stated = len(getattr(config, "depths", None) or widths or ())
    first = int(len(states) == stated + 1)  # what enters the first stage
    return [
        Tap(f"stage_{i}", _channels(state), f"spatial average of hidden_states[{first + i}] of transformers", "")
        for i, state in enumerate(states[first:])
    ]


def _blank(module: nn.Module, **arguments: Any) -> Any:
    """What a model gives for one blank image (also on the meta device)."""
    import torch

    size = getattr(module.config, "image_size", 224)
    sides = (size, size) if isinstance(size, int) else tuple(size)
    weight = next(module.parameters())
    pixels = torch.zeros(1, getattr(module.config, "num_channels", 3), *sides, device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        return module.eval()(pixels, **arguments)


def _fit(module: nn.Module, taps: Sequence[Tap]) -> bool:
    """Whether every tap gives one state in a forward, of the tap's width."""
    shapes: dict[str, list[tuple[int, ...]]] = {tap.name: [] for tap in taps}

    def note(tap: Tap) -> Callable[..., None]:
        return lambda module, args, output: shapes[tap.name].append(tuple(first_tensor(output).shape))

    handles = [module.get_submodule(tap.module).register_forward_hook(note(tap)) for tap in taps]
    try:
        _blank(module)
    finally:
        for handle in handles:
            handle.remove()
    return all(
        len(found := shapes[tap.name]) == 1 and tap.width in (found[0][-1], found[0][1] if len(found[0]) == 4 else None)
        for tap in taps
    )


def _channels(state: Tensor) -> int:
    """Features of a state: the last axis of tokens, the second of a map (the last where the sides are equal)."""
    if state.ndim == 4 and state.shape[2] == state.shape[3]:
        return int(state.shape[1])
    return int(state.shape[-1])
