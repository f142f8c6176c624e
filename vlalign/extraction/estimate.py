"""Estimated cost of an extraction, from the model's config alone: weights, disk, arithmetic, time."""

from __future__ import annotations

import functools
import gc
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError, short_line
from vlalign.extraction.pool import MisshapenState, StatePooler
from vlalign.models.precision import BYTES_PER_WEIGHT
from vlalign.models.source import ModelSource, load_config, model_errors
from vlalign.models.structure import Tap, count_parameters, has_channels_last, layout_of, position_rows
from vlalign.models.text import base_factory, text_taps
from vlalign.models.vision import build_vision_model, once_misread, vision_taps

if TYPE_CHECKING:
    import torch
    from torch import nn

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sketch:
    """A model built without weights.

    Attributes:
        taps: the layer axis.
        parameters: number of weights.
        has_cls: whether a vision model has a class token.
        flops: floating-point operations per token (text) or image (vision); None where they cannot be counted.
        vocabulary: rows of a text model's token embedding; None where the model has no such table.
        positions: tokens that a text model's table of learned positions has rows for; None without a table.
        own_states: whether the layer axis is known to be the states that the model returns, because its blocks run
            more than once (text) or its stages are no modules (vision).
        marks: what the run key of a vision model holds beside its preprocessing, where an earlier version read other
            states.
    """

    taps: list[Tap]
    parameters: int
    has_cls: bool
    flops: float | None
    vocabulary: int | None = None
    positions: int | None = None
    own_states: bool = False
    marks: dict[str, Any] = field(default_factory=dict)

    def weight_bytes(self, dtype: str, quantization: str) -> int:
        """Memory of the weights, in bytes."""
        return round(self.parameters * BYTES_PER_WEIGHT[dtype if quantization == "none" else quantization])


@functools.lru_cache(maxsize=128)
def sketch(source: ModelSource, image_size: tuple[int, int] | None, requested_size: int | None) -> Sketch:
    """Build the model on PyTorch's meta device (no memory, no weights) and describe it, once in a process.

    Args:
        source: the model.
        image_size: (height, width) of a vision model's input, in pixels.
        requested_size: ``--image-size`` if given.
    """
    import torch

    with model_errors(source, "config"), torch.device("meta"), _uncached():
        if source.modality == "vision":
            module, arguments = build_vision_model(source, requested_size, pretrained=False)
            taps, has_cls = vision_taps(module, source)
            inputs: tuple[Any, ...] = (torch.empty(1, 3, *(image_size or (224, 224))),)
            flops, shapes = _try(module.eval(), taps, inputs, arguments, source)
            own, marks = not taps[0].module, _marks(taps, shapes)
            if once_misread(module):
                marks["tokens"] = "patches alone"
            return Sketch(taps, count_parameters(module), has_cls, flops, own_states=own, marks=marks)
        config = load_config(source)
        base = base_factory(config).from_config(config, trust_remote_code=source.trust_remote_code)
        base = getattr(base, "text_model", base)
        taps, tokens = text_taps(base, base.config), 16
        try:
            (flops, _), loops = _try(base.eval(), taps, (torch.zeros(1, tokens, dtype=torch.long),), {}, source), False
        except MisshapenState:
            flops, loops = None, True
        rows, positions = _rows(base), position_rows(base)
        return Sketch(taps, count_parameters(base), False, flops and flops / tokens, rows, positions, loops)


def _rows(base: Any) -> int | None:
    """Return the rows of the token embedding; None for models that embed otherwise, such as by hashing."""
    from torch import nn

    try:
        table = base.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    return table.num_embeddings if isinstance(table, nn.Embedding) else None


@contextmanager
def _uncached() -> Iterator[None]:
    """Clear what functions of the libraries cache inside the block: tensors on the meta device have no values.

    BEiT caches the index of its relative positions by the window's size; one from the meta device would give a loaded
    model of that size wrong features.
    """
    try:
        yield
    finally:
        caches = [one for one in gc.get_objects() if type(one) is functools._lru_cache_wrapper]
        for cache in caches:
            if (cache.__module__ or "").startswith(("transformers.models.", "timm.")):
                cache.cache_clear()


def _try(
    module: nn.Module, taps: Sequence[Tap], inputs: tuple[Any, ...], arguments: dict[str, Any], source: ModelSource
) -> tuple[float | None, dict[str, tuple[int, ...]]]:
    """Count the operations of one forward on the meta device, and note and check the shapes of the states.

    Where the forward cannot run there, the count is None and there are no shapes.

    Raises:
        VlalignError: a layer has another shape than its tap states, so its features would be wrong.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    shapes: dict[str, tuple[int, ...]] = {}

    def note(state: torch.Tensor, tap: Tap) -> list[torch.Tensor]:
        shapes[tap.name] = tuple(state.shape)
        return []

    try:
        with (
            StatePooler(module, taps, note, entering=source.modality == "text"),
            torch.no_grad(),
            FlopCounterMode(display=False) as counter,
        ):
            module.requires_grad_(False)(*inputs, **arguments)  # the counter cannot follow parameters without a graph
    except (RuntimeError, NotImplementedError, TypeError, ValueError, AssertionError) as error:
        if "match model" in str(error):  # a size, in messages of timm and transformers
            raise VlalignError(
                f"{source.location}: the model cannot read the images of its preprocessing ({short_line(error)})"
            ) from error
        logger.debug("%s cannot be tried without weights: %s", source.spec.alias, error)
        return None, {}
    except AttributeError as error:
        raise VlalignError(f"{source.location}: its layers cannot be read ({error})") from error
    for tap in taps:
        shape = shapes.get(tap.name, (tap.width,))
        if shape[-1] != tap.width and not (len(shape) == 4 and shape[1] == tap.width):
            raise VlalignError(
                f"{source.spec.alias}: its layers cannot be read, because {tap.name} gives {list(shape)} instead of "
                f"{tap.width} features; please open an issue that names the model"
            )
    return float(counter.get_total_flops()), shapes


def _marks(taps: Sequence[Tap], shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Return entries of the run key that keep out features of an earlier version, which read other states.

    Raises:
        VlalignError: the layout of a map cannot be determined.
    """
    layout = layout_of(taps, shapes)
    maps = [(tap, shape) for tap in taps if len(shape := shapes.get(tap.name, ())) == 4]
    open_ones = [tap for tap, shape in maps if shape[1] == tap.width and has_channels_last(shape, tap, layout)]
    return {"layout": "channels last"} if open_ones else {}


@functools.cache
def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the floating-point operations per second of a matrix product: the ceiling for estimates."""
    import torch

    size = 4096 if device.type == "cuda" else 1024
    a = torch.ones(size, size, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(4):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        a @ a
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
