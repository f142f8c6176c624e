"""Preprocessing of features before they are compared: the presets ``platonic``, ``cosine`` and ``none``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from vlalign.arrays import LazyLayer, row_blocks
from vlalign.errors import VlalignError
from vlalign.metrics.base import check_features, checked_norms

_Layer = TypeVar("_Layer", Tensor, LazyLayer, Tensor | LazyLayer)


@dataclass(frozen=True)
class Preset:
    """How features are prepared."""

    name: str
    clip_quantile: float | None  # of the absolute values of all layers of a model together; None = no clipping
    normalise: bool  # L2-normalise the rows of each layer


PRESETS = {
    preset.name: preset
    for preset in (Preset("platonic", 0.95, True), Preset("cosine", None, True), Preset("none", None, False))
}


def clip_threshold(layers: Callable[[], Iterable[Tensor | LazyLayer]], q: float) -> float:
    """Compute the value at sorted position ``int(q * numel)`` of |feature| over all layers of a model together.

    This is the reference's exact threshold (arXiv 2405.07987, released code): one number for the whole model. Nothing
    is sorted or kept: positive floats order as their bits do, so a histogram of the leading 16 bits gives those of the
    value, a histogram of the next 16 bits, over the values that begin with them, gives the next 16, and so on. Layers
    are read on their device.

    Args:
        layers: called twice, four times for float64; yields the layers [N, D_l] (all float32 or all float64).
        q: 0 <= q < 1.

    >>> clip_threshold(lambda: [torch.tensor([[-4.0, 1.0]]), torch.tensor([[2.0], [-3.0]])], 0.5)
    3.0
    """
    if not 0 <= q < 1:
        raise VlalignError(f"the clip quantile must be in [0, 1), got {q}")
    value, left, position = 0, -1, -1  # known leading bits, number of bits left, position among the values that fit
    dtype = torch.float32
    while left:
        histogram = torch.zeros(2**16, dtype=torch.int64)
        shift = 0
        for layer in layers():
            dtype = layer.dtype
            shift = (8 * layer.element_size() if left < 0 else left) - 16
            for _, part in row_blocks(layer):
                bits = part.abs().flatten().view(torch.int64 if dtype == torch.float64 else torch.int32)
                unknown = bits if left < 0 else bits[bits >> left == value] & ((1 << left) - 1)
                histogram = histogram.to(bits.device) + torch.bincount(unknown >> shift, minlength=2**16)
        upto = histogram.cpu().cumsum(0)
        position = int(q * int(upto[-1])) if left < 0 else position
        digit = int(torch.searchsorted(upto, position, right=True))
        position -= int(upto[digit - 1]) if digit else 0
        value, left = value << 16 | digit, shift
    return float(torch.tensor(value, dtype=torch.int64 if dtype == torch.float64 else torch.int32).view(dtype))


def clip(layer: _Layer, threshold: float | None) -> _Layer:
    """Clamp a layer to +-``threshold``; None leaves it as it is."""
    return layer if threshold is None else layer.clamp(-threshold, threshold)


def normalise_rows(layer: _Layer, what: str = "features") -> tuple[_Layer, int]:
    """L2-normalise the rows of [N, D], and count the zero rows. ``what`` names the features in errors.

    A zero row stays zero: it has inner product 0 with every row, so its neighbours are the first k other rows.
    """
    norms = checked_norms(layer, what)
    return layer / norms.clamp_min(1e-12), int((norms == 0).sum())


def prepare_platonic(layers: list[Tensor]) -> tuple[list[Tensor], float]:
    """Apply the preset ``platonic`` to all layers [N, D_l] of a model.

    Clamp to +- the 0.95 quantile of |feature| over all layers (:func:`clip_threshold`), then L2-normalise the rows of
    each layer.

    Returns:
        The prepared layers (float32, or float64 where one was float64) and the threshold.

    Raises:
        VlalignError: for features that are not finite floating [N, D].
    """
    checked = [check_features(layer, f"layer {i}") for i, layer in enumerate(layers)]
    for i, layer in enumerate(checked):
        checked_norms(layer, f"layer {i}")  # clipping would hide an infinity
    if len({layer.dtype for layer in checked}) > 1:
        checked = [layer.double() for layer in checked]
    threshold = clip_threshold(lambda: checked, 0.95)
    return [normalise_rows(clip(layer, threshold))[0] for layer in checked], threshold
