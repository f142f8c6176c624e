"""Trial reading of a loaded vision model, which shows where the patches are and in which order a map has its axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.extraction.pool import StatePooler
from vlalign.models.structure import Tap, is_grid, layout_of
from vlalign.models.vision import VisionModel

if TYPE_CHECKING:
    from torch import Tensor, nn

_SAME = 1e-5  # relative difference between two images of a token that does not depend on them


def read_states(model: VisionModel, pooler: StatePooler, pixels: Tensor) -> None:
    """Give the states of images ``[B, 3, H, W]`` to a pooler with hooks on the model."""
    import torch

    pixels = pixels.to(model.device, model.dtype, non_blocking=True)
    with torch.inference_mode():
        if model.taps[0].module:
            model.module(pixels, **model.arguments)
        else:
            states = model.module(pixels, output_hidden_states=True, **model.arguments).hidden_states
            for tap, state in zip(model.taps, states[-len(model.taps) :], strict=True):
                pooler.add(tap, state)


def try_images(model: VisionModel, name: str, size: tuple[int, int]) -> bool | None:
    """Read two images of noise; return the layout of maps, see :func:`~vlalign.models.structure.layout_of`.

    What enters the first block differs between two images in the patches alone. Class tokens, registers and detection
    tokens are the same, so they must be where the layer axis has them, and every later state has as many patches.

    Args:
        model: loaded.
        name: shown in messages.
        size: (height, width) of its images in pixels.

    Raises:
        VlalignError: the patches are not where the layer axis has them, so an average over them would be wrong.
    """
    import torch

    shapes: dict[str, tuple[int, ...]] = {}
    entering: list[Tensor] = []

    def note(state: Tensor, tap: Tap) -> list[Tensor]:
        shapes[tap.name] = tuple(state.shape)
        return []

    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        entering.extend([one for one in (*args, *kwargs.values()) if isinstance(one, torch.Tensor)][:1])

    first = model.taps[0]
    target = model.module.get_submodule(first.module) if first.module else torch.nn.Identity()
    handle = target.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        with StatePooler(model.module, model.taps, note, entering=False) as pooler:
            for seed in (0, 1):
                read_states(model, pooler, torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(seed)))
                pooler.discard()
    finally:
        handle.remove()
    patches = None
    if len(entering) == 2 and entering[0].ndim == 3:
        patches = _check_first(name, first, torch.cat(entering).float())
    for tap in model.taps:
        if len(shape := shapes.get(tap.name, ())) == 3:
            count = shape[1] - tap.prefix - tap.suffix
            if (count != patches) if patches and tap.name.startswith("block") else not is_grid(count, size):
                raise VlalignError(
                    f"{name}: {tap.name} gives {shape[1]} tokens for an image of {size[0]} × {size[1]} pixels, which "
                    f"are not the {patches or 'patches of a grid'}{_beside(tap)}, so patches {_UNKNOWN}"
                )
    return layout_of(model.taps, shapes)


_UNKNOWN = "cannot be distinguished from other tokens; please open an issue that names the model"


def _check_first(name: str, tap: Tap, states: Tensor) -> int:
    """Return how many tokens that enter the first block, ``[2, T, D]``, are patches."""
    one, other = states
    constant = ((one - other).norm(dim=1) <= _SAME * one.norm(dim=1)).tolist()
    patches = len(constant) - tap.prefix - tap.suffix
    if states.isfinite().all() and constant != [True] * tap.prefix + [False] * patches + [True] * tap.suffix:
        raise VlalignError(
            f"{name}: {constant.count(False)} of the {len(constant)} tokens that enter its first block depend on the "
            f"image, and not {patches} after {tap.prefix} others and before {tap.suffix}, so patches {_UNKNOWN}"
        )
    return patches


def _beside(tap: Tap) -> str:
    return f" beside {tap.prefix + tap.suffix} others" if tap.prefix + tap.suffix else ""
