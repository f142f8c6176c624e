"""Layer axis of a model: the blocks, or stages of a hierarchical vision model, whose states are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from torch import Tensor, nn

#: config attributes in which the families keep their number of blocks and their longest input
DEPTH_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")

#: names of the families' tables of learned positions (tables of relative and of two-dimensional ones are others)
_POSITION_TABLES = frozenset(
    {"position_embeddings", "position_embedding", "embed_positions", "positions_embed", "pos_embeddings", "wpe"}
)


@dataclass(frozen=True)
class Tap:
    """One entry of the layer axis: which state of the network it is.

    Attributes:
        name: ``embeddings``, ``block_0`` … or ``stage_0`` …
        width: number of features.
        convention: which state this is, in words (before or after the final norm, which pooling of a map).
        module: dotted name of the module that the state enters (text) or leaves (vision).
        prefix: leading tokens of an image that are not patches (class token and registers).
        suffix: trailing ones (detection tokens).
    """

    name: str
    width: int
    convention: str
    module: str
    prefix: int = 0
    suffix: int = 0


def depth_of(config: Any) -> int | None:
    """Return the number of blocks that a transformers config states, or None."""
    for key in DEPTH_KEYS:
        value = getattr(config, key, None)
        if isinstance(value, int):
            return value
    return None


def find_blocks(model: nn.Module, depth: int) -> str:
    """Return the dotted name of the list of ``depth`` blocks: the outermost ``ModuleList`` of that length.

    Lists of patch embeddings and norms, which hierarchical models have besides that of their stages, do not count.

    Raises:
        VlalignError: the model has no such list.
    """
    from torch import nn

    names = [
        name
        for name, m in model.named_modules()
        if isinstance(m, (nn.ModuleList, nn.Sequential))
        and len(m) == depth
        and not re.search("embed|norm", name.rpartition(".")[2])
    ]
    if not names:
        raise VlalignError(
            f"{type(model).__name__}: the model has no list of {depth} blocks, so its layers cannot be read; "
            "please open an issue that names the model"
        )
    return min(names, key=lambda name: (name.count("."), names.index(name)))


def stage_taps(module: nn.Module) -> list[Tap]:
    """Return the layer axis of a hierarchical model, one tap a stage.

    Taps have a module if the stages are modules. They have none if they are not (PVT, SegFormer), or if a stage ends
    with states of another width than its config states (Swin joins patches): then the states that the model returns
    are read, ``hidden_states`` without the input of the first stage.

    Raises:
        VlalignError: the stages are no modules and the model returns no states.
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
    first = int(len(states) == stated + 1)  # skips the input of the first stage
    read, sides = states[first:], _sides(config)  # PVT has a class token in its last stage
    known = widths if widths and len(widths) == len(read) else [None] * len(read)
    return [
        Tap(
            f"stage_{i}",
            _channels(state, width),
            f"spatial average of hidden_states[{first + i}] of transformers",
            "",
            prefix=int(state.ndim == 3 and not is_grid(state.shape[1], sides) and is_grid(state.shape[1] - 1, sides)),
        )
        for i, (state, width) in enumerate(zip(read, known, strict=True))
    ]


def _blank(module: nn.Module, **arguments: Any) -> Any:
    """Return the output of a model for one blank image (also on the meta device)."""
    import torch

    weight, channels = next(module.parameters()), getattr(module.config, "num_channels", 3)
    pixels = torch.zeros(1, channels, *_sides(module.config), device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        return module.eval()(pixels, **arguments)


def _sides(config: Any) -> tuple[int, ...]:
    """Return the (height, width) of the images that a config states, in pixels."""
    size = getattr(config, "image_size", 224)
    return (size, size) if isinstance(size, int) else tuple(size)


def is_grid(tokens: int, sides: Sequence[int]) -> bool:
    """Return whether this number of tokens can be the patches of an image: one for each step along both its sides.

    Args:
        tokens: their number.
        sides: (height, width) of the image in pixels.

    >>> is_grid(196, (224, 224)), is_grid(197, (224, 224)), is_grid(6, (32, 48))
    (True, False, True)
    """
    steps = range(1, max(sides) + 1)
    height, width = sides
    return any(tokens in (height // s * (width // s), -(-height // s) * -(-width // s)) for s in steps)


def _fit(module: nn.Module, taps: Sequence[Tap]) -> bool:
    """Return whether every tap gives exactly one state in a forward, of the tap's width."""
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
        len(states) == 1 and tap.width in (states[0][-1], states[0][1] if len(states[0]) == 4 else None)
        for tap, states in zip(taps, shapes.values(), strict=True)
    )


def _channels(state: Tensor, stated: int | None) -> int:
    """Return the width of a state: the last axis of tokens; of a map, the axis of the stated length.

    Where no axis has it, the sides of a map are equal.

    Raises:
        VlalignError: a map of unequal sides whose width is not stated.
    """
    if state.ndim == 3:
        return int(state.shape[-1])
    _, first, rows, last = state.shape
    if stated in (first, last):
        return int(stated)
    if rows not in (first, last):
        raise VlalignError(
            f"a map of shape {list(state.shape[1:])} does not show which axis holds its channels, and the config does "
            "not state their number: please open an issue that names the model"
        )
    return int(first if rows == last else last)


def layout_of(taps: Sequence[Tap], shapes: Mapping[str, Sequence[int]]) -> bool | None:
    """Return whether a model's maps have their channels last, from those whose shape shows it; None if none does.

    Args:
        taps: the layer axis.
        shapes: of their states, by the name of the tap; tokens ``[B, T, D]`` are not counted.
    """
    maps = [(tap, shape) for tap in taps if len(shape := shapes.get(tap.name, ())) == 4]
    layouts = {shape[-1] == tap.width for tap, shape in maps if (shape[1] == tap.width) != (shape[-1] == tap.width)}
    return layouts.pop() if len(layouts) == 1 else None


def has_channels_last(shape: Sequence[int], tap: Tap, layout: bool | None = None) -> bool:
    """Return whether a map is ``[B, H, W, C]`` rather than ``[B, C, H, W]``.

    Args:
        shape: of the map.
        tap: its width is the number of channels.
        layout: of the model's other maps, see :func:`layout_of`; it decides for a map with as many rows as channels.

    Raises:
        VlalignError: the map's width is another, or nothing decides.
    """
    first, last = shape[1] == tap.width, shape[-1] == tap.width
    if first != last:
        return last
    if not first:
        raise VlalignError(f"{tap.name} gives maps of shape {list(shape[1:])} instead of {tap.width} features")
    if layout is None:
        raise VlalignError(
            f"{tap.name} gives maps of shape {list(shape[1:])}, which do not show which axis holds the {tap.width} "
            "channels, and no other layer does: use another --image-size"
        )
    return layout


def position_rows(model: nn.Module) -> int | None:
    """Return the longest input in tokens that a model's table of learned positions has rows for; None without a table.

    RoBERTa and its relatives count positions from ``padding_idx + 1``, OPT from its ``offset``: rows before are unused.
    """
    from torch import Tensor

    rows = []
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if name.rpartition(".")[2] not in _POSITION_TABLES or not isinstance(weight, Tensor) or weight.ndim != 2:
            continue
        padding, offset = getattr(module, "padding_idx", None), getattr(module, "offset", None)
        unused = offset if isinstance(offset, int) else 0 if padding is None else padding + 1
        rows.append(weight.shape[0] - unused)
    return min(rows, default=None)


def first_tensor(output: Any) -> Tensor:
    """Return the hidden state in the output of a block or model: a tensor, or something that begins with it."""
    if hasattr(output, "to_tuple"):
        output = output.to_tuple()
    return first_tensor(output[0]) if isinstance(output, (tuple, list)) else output


def count_parameters(model: nn.Module) -> int:
    """Return the number of weights; 4-bit weights, which bitsandbytes packs two in a byte, count one each."""
    total = 0
    for parameter in model.parameters():
        shape = getattr(getattr(parameter, "quant_state", None), "shape", None)
        total += parameter.numel() if shape is None else int(shape.numel())
    return total
