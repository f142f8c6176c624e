"""Preprocessing of features before they are compared: the presets ``platonic``, ``cosine`` and ``none``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from vlalign.arrays import LazyLayer, row_blocks
from vlalign.errors import VlalignError
from vlalign.metrics.base import check_features, checked_norms, normalise_rows

_Layer = TypeVar("_Layer", Tensor, LazyLayer, Tensor | LazyLayer)
_STEP = 257  # between two values of the sample that bounds the clip threshold
_FEW = 2**27  # values of which those between the bounds are held


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

    This is the reference's exact threshold (arXiv 2405.07987, released code): one number for the whole model. Every
    257th value gives bounds that it almost surely lies between, and the few values between them are sorted. Where they
    do not hold it, or layers are large, :func:`_threshold_of_bits` finds it. Layers are read on their device.

    Args:
        layers: called two to five times; yields the layers [N, D_l] (all float32 or all float64).
        q: 0 <= q < 1.

    >>> clip_threshold(lambda: [torch.tensor([[-4.0, 1.0]]), torch.tensor([[2.0], [-3.0]])], 0.5)
    3.0
    """
    if not 0 <= q < 1:
        raise VlalignError(f"the clip quantile must be in [0, 1), got {q}")
    some, count = [], 0
    for layer in layers():
        for _, part in row_blocks(layer):
            some.append(part.flatten()[::_STEP].abs().cpu())
            count += part.numel()
    if count <= _FEW:
        sample = torch.cat(some).sort().values
        middle, margin = q * len(sample), 6 * (len(sample) * q * (1 - q)) ** 0.5 + 2
        low = float(sample[int(middle - margin)]) if middle > margin else 0.0
        high = float(sample[int(middle + margin)]) if middle + margin < len(sample) else math.inf
        below, between = 0, []
        for layer in layers():
            for _, part in row_blocks(layer):
                values = _at_least(part.abs(), low)
                below += part.numel() - len(values)
                between.append(values[values <= high].cpu())
        inside, position = torch.cat(between), int(q * count) - below
        if 0 <= position < len(inside):
            return float(np.partition(inside.numpy(), position)[position])
    return _threshold_of_bits(layers, q)


def _at_least(values: Tensor, low: float) -> Tensor:
    """Return the values [N, D] that are not below ``low``, as [M]; NaN is not."""
    if values.device.type != "cpu":
        return values[~(values < low)]
    array = values.numpy()  # whose choice by a mask is faster
    return torch.from_numpy(array[~(array < array.dtype.type(low))])


def _threshold_of_bits(layers: Callable[[], Iterable[Tensor | LazyLayer]], q: float) -> float:
    """Compute :func:`clip_threshold` in memory that does not depend on the layers.

    Positive floats order as their bits do, so a histogram of the leading 16 bits gives those of the value, a histogram
    of the next 16 bits, over the values that begin with them, gives the next 16, and so on.
    """
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
