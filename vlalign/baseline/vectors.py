"""Vectors of trivial features whose cosine neighbours are the samples with the nearest values.

Metrics of neighbours compare normalised features. A single positive number would be the same direction for all samples,
so each number is encoded as a point of a quarter circle; counts are kept as directions, and spread over all dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import blake2b

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def rank_scaled(values: ArrayLike) -> Floats:
    """Return the ranks of values [N] scaled to [0, 1]; equal values share their mean rank.

    >>> rank_scaled([30, 10, 10, 20, 90]).tolist()
    [0.75, 0.125, 0.125, 0.5, 1.0]
    """
    _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    mean = np.cumsum(counts) - (counts + 1) / 2
    return mean[inverse] / max(1, len(inverse) - 1)


def on_circle(z: Floats) -> Floats:
    """Encode numbers [N, M] in [0, 1] as points [N, 2 M] of quarter circles, (cos πz/2, sin πz/2).

    Cosines are means over M of cos π(z − z')/2, so neighbours by cosine are the nearest values, and for small
    differences the nearest by Euclidean distance. The order of neighbours of one number is exact.

    >>> on_circle(np.array([[0.0], [1.0]])).round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    angle = np.pi / 2 * np.asarray(z, dtype=np.float64)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def hashed(bags: Sequence[Mapping[str, float]], width: int) -> Floats:
    """Add up the values of each bag in buckets [N, width] with signs, both by a hash of the name (arXiv 0902.2206).

    The signs make products of hashed vectors unbiased: what shares a bucket by chance cancels on average.
    """
    result = np.zeros((len(bags), width))
    for row, bag in zip(result, bags, strict=True):
        for name in sorted(bag):  # in one order, so that equal bags give equal vectors
            bucket, sign = _place(name, width)
            row[bucket] += sign * bag[name]
    return result


@cache
def _place(name: str, width: int) -> tuple[int, int]:
    number = int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
    return number % width, 1 if number >> 63 else -1


def rotated(x: Floats) -> Floats:
    """Rotate vectors [N, D], D a power of 2, by the Walsh–Hadamard matrix over √D.

    Cosines and distances stay as they are. Vectors that are 0 in most dimensions become vectors without zeros, of
    which the preset `platonic` clips the largest 5 %; of the former it would clip everything.

    >>> rotated(np.array([[0.0, 2.0, 0.0, 0.0]])).tolist()
    [[1.0, -1.0, 1.0, -1.0]]
    """
    n, width = x.shape
    step = 1
    while step < width:
        halves = x.reshape(n, -1, 2, step)
        x = np.stack([halves[:, :, 0] + halves[:, :, 1], halves[:, :, 0] - halves[:, :, 1]], axis=2).reshape(n, width)
        step *= 2
    return x / np.sqrt(width)
