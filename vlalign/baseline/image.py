"""Trivial features of images: mean colour, colour histogram, size, and pixels of a small copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.baseline.vectors import Floats, on_circle, rank_scaled, rotated

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from vlalign.data import PairedData

VERSION = 1
_SIDE = 16  # pixels of the small copy
_LEVELS = 4  # of each colour of the histogram
_BATCH = 32  # images that a process decodes together

#: what determines each feature, for the run keys, and the widths of its layers
FEATURES: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "mean colour": ({"scale": 255}, {"rgb": 6}),
    "colour histogram": ({"levels": _LEVELS, "scale": "square root"}, {"rgb": _LEVELS**3}),
    "image size": ({"scale": "rank"}, {"pixels": 2, "aspect": 2}),
    "pixels": ({"side": _SIDE, "scale": 255, "resampling": "box"}, {"rgb": 6 * _SIDE**2}),
}


def measure(image: Image) -> Tensor:
    """Return width, height, mean colour [3], colour histogram [64] and small copy [768] of an RGB picture, as one row.

    Colours are from 0 to 1; the histogram counts shares of 4 × 4 × 4 equal cells of the colours.
    """
    import torch
    from PIL.Image import Resampling

    pixels = np.asarray(image.convert("RGB"), dtype=np.uint8).reshape(-1, 3)
    red, green, blue = (pixels[:, i].astype(np.int64) * _LEVELS // 256 for i in range(3))
    counts = np.bincount((red * _LEVELS + green) * _LEVELS + blue, minlength=_LEVELS**3)
    small = np.asarray(image.convert("RGB").resize((_SIDE, _SIDE), Resampling.BOX), dtype=np.float64) / 255
    row = np.concatenate([image.size, pixels.mean(axis=0) / 255, counts / len(pixels), small.ravel()])
    return torch.from_numpy(row.astype(np.float32))


class ImageFeatures:
    """Features of images, all from one decoding of each.

    Args:
        data: opened with images.
        workers: processes that decode, see :func:`vlalign.extraction.decoding.decode`.

    Raises:
        VlalignError: an image that cannot be read.
    """

    def __init__(self, data: PairedData, workers: int) -> None:
        from vlalign.extraction.decoding import decode
        from vlalign.models.vision import Preprocessing

        batches = [list(range(i, min(i + _BATCH, data.n))) for i in range(0, data.n, _BATCH)]
        parts = decode(data, Preprocessing(measure, {}, (_SIDE, _SIDE)), batches, workers)
        measured = np.concatenate([part.numpy() for part in parts])
        self._sizes, self._colour, self._histogram, self._small = np.split(measured, [2, 5, 5 + _LEVELS**3], axis=1)
        width, height = self._sizes.T.astype(np.float64)
        self._size = {"pixels": rank_scaled(width * height), "aspect": rank_scaled(width / height)}

    def rows(self, name: str, part: slice) -> dict[str, Floats]:
        """Return the layers [n, D] of a feature for some of the rows."""
        if name == "image size":
            return {layer: on_circle(values[part, None]) for layer, values in self._size.items()}
        if name == "colour histogram":  # cosines are then Bhattacharyya coefficients
            return {"rgb": rotated(np.sqrt(self._histogram[part].astype(np.float64)))}
        values = self._colour if name == "mean colour" else self._small
        return {"rgb": on_circle(values[part])}
