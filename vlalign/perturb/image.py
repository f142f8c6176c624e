"""Edits of one image's pixels [height, width, 3], uint8, before any resizing and normalisation of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlalign.perturb.draws import chosen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

GRID = 14  # patches a side, as a ViT/16 cuts 224 pixels


def pixel_delete(pixels: Pixels, rate: float, draw: np.random.RandomState) -> Pixels:
    """Set each pixel, with probability rate/100, to the image's mean colour."""
    import numpy as np

    return np.where(_hit(pixels, rate, draw), _to_bytes(pixels.mean((0, 1))), pixels)


def pixel_noise(pixels: Pixels, rate: float, draw: np.random.RandomState) -> Pixels:
    """Set each pixel (its three channels), with probability rate/100, to Gaussian noise (arXiv 2502.16282).

    The noise has the mean and the standard deviation of all values of the image, drawn for each channel separately,
    rounded and clipped to 0 … 255.
    """
    import numpy as np

    hit = _hit(pixels, rate, draw)
    noise = pixels.mean() + pixels.std() * draw.standard_normal(pixels.shape)
    return np.where(hit, _to_bytes(noise), pixels)


def patch_delete(pixels: Pixels, rate: float, draw: np.random.RandomState, grid: int = GRID) -> Pixels:
    """Set ``int(n · rate / 100)`` of ``grid`` × ``grid`` patches to the image's mean colour."""
    import numpy as np

    height, width = pixels.shape[:2]
    rows, columns = (np.minimum(np.arange(side) * grid // side, grid - 1) for side in (height, width))
    patches = len(np.unique(rows)), len(np.unique(columns))  # fewer than the grid if the image is smaller
    gone = np.zeros(patches, dtype=bool)
    gone.ravel()[chosen(gone.size, rate, draw)] = True
    at = gone[np.unique(rows, return_inverse=True)[1]][:, np.unique(columns, return_inverse=True)[1]]
    return np.where(at[:, :, None], _to_bytes(pixels.mean((0, 1))), pixels)


def _hit(pixels: Pixels, rate: float, draw: np.random.RandomState) -> Any:
    return (draw.random_sample(pixels.shape[:2]) < rate / 100)[:, :, None]


def _to_bytes(values: NDArray[np.float64]) -> Pixels:
    import numpy as np

    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
