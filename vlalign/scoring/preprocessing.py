"""Preprocessing of features before they are compared: the presets ``platonic``, ``cosine`` and ``none``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.base import check_features, checked_norms


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


def clip_threshold(layers: Callable[[], Iterable[Tensor]], q: float) -> float:
    """Compute the value at sorted position ``int(q * numel)`` of |feature| over all layers of a model together.

    This is the reference's exact threshold (arXiv 2405.07987, released code): one number for the whole model. Nothing
    is sorted: positive floats order as their bits do, so a histogram of the leading 16 bits gives the bin of the value,
    which is selected from that bin alone. Layers are read on their device.

    Args:
        layers: called twice; yields the layers [N, D_l] (all float32 or all float64).
        q: 0 <= q < 1.

    >>> clip_threshold(lambda: [torch.tensor([[-4.0, 1.0]]), torch.tensor([[2.0], [-3.0]])], 0.5)
    3.0
    """
    if not 0 <= q < 1:
        raise VlalignError(f"the clip quantile must be in [0, 1), got {q}")
    histogram = torch.zeros(2**15, dtype=torch.int64)
    for layer in layers():
        for part in _parts(layer):
            histogram = histogram.to(part.device) + torch.bincount(_leading_bits(part), minlength=2**15)
    histogram = histogram.cpu()
    position = int(q * int(histogram.sum()))
    upto = histogram.cumsum(0)
    wanted = int(torch.searchsorted(upto, position, right=True))
    inside = position - (int(upto[wanted - 1]) if wanted else 0)
    values = torch.cat([part[_leading_bits(part) == wanted] for layer in layers() for part in _parts(layer)])
    return float(values.cpu().kthvalue(inside + 1).values)


def _parts(layer: Tensor) -> Iterator[Tensor]:
    for part in layer.detach().split(max(1, 2**22 // layer.shape[1])):
        yield part.abs().flatten()


def _leading_bits(magnitudes: Tensor) -> Tensor:
    if magnitudes.dtype == torch.float64:
        return magnitudes.view(torch.int64) >> 48
    return magnitudes.view(torch.int32) >> 16


def clip(layer: Tensor, threshold: float | None) -> Tensor:
    """Clamp a layer to +-``threshold``; None leaves it as it is."""
    return layer if threshold is None else layer.clamp(-threshold, threshold)


def normalise_rows(layer: Tensor, what: str = "features") -> tuple[Tensor, int]:
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
