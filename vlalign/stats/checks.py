"""Checks of the data that change the meaning of a score: duplicates, hubs, collapsed layers, clipping."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.arrays import LazyLayer, row_blocks
from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.metrics.base import check_features, checked_norms, normalise_rows
from vlalign.metrics.engine.neighbours import DEVICE_BLOCK_BYTES, knn
from vlalign.metrics.engine.ties import row_labels

if TYPE_CHECKING:
    from torch import Tensor

NEAR = 0.999  # cosine beyond which two samples are near-duplicates

#: Share of samples with a duplicate that is worth a warning. Where both sides hold the same duplicates each such sample
#: certainly shares a neighbour, which adds 1/k of the share to mutual-kNN: at 1 % and k = 10 that is 0.001, about the
#: sd of the permutation null at N = 1,024.
DUPLICATE_SHARE = 0.01
#: Share of pairs that are near-duplicates beyond which these are no repeats of samples: all samples have one direction.
OFFSET_SHARE = 0.5
#: Skewness of the numbers of times that samples are listed as neighbours. Independent Gaussian features with normalised
#: rows stay below 0.5, in 3 to 768 dimensions (N = 256 and 1,024, k = 10); four times that is far from evenly spread.
HUB_SKEWNESS = 2.0
#: Share of samples that no other lists. Without hubs it is about exp(-k), 0.00005 at k = 10.
UNLISTED_SHARE = 0.2
#: Effective dimensions below which neighbours are decided by very few directions, often one outlier feature.
EFFECTIVE_DIMENSION = 3.0
#: Share of clipped values of one layer. The preset clips 5 % over all layers together; a layer of which five times as
#: much is clipped differs in scale from the others and is scored by signs rather than by values.
CLIPPED_SHARE = 0.25

_BLOCK_BYTES = 32 * 2**20  # of inner products held at once
_UNIT = 1e-5  # deviation from 1 of the norm of a normalised row
_LISTED_ROWS = 8192  # compared with one neighbour each together
_LAZY_ROWS = 4096  # compared together with each block of rows that are computed again


def check_side(
    layer: Tensor | LazyLayer,
    k: int = 10,
    *,
    near: float = NEAR,
    neighbours: Tensor | None = None,
    unclipped: Tensor | LazyLayer | None = None,
    clip_threshold: float | None = None,
) -> dict[str, Any]:
    """Check one layer [N, D], as it is scored, for what changes the meaning of its scores.

    Args:
        layer: features after the preset.
        k: neighbours, for hubness; 1 <= k < N.
        near: cosine beyond which two samples count as near-duplicates.
        neighbours: existing lists [N, k] of the layer, whose k is then used.
        unclipped, clip_threshold: the layer before clipping, and the threshold; both are needed for the clipped share.

    Returns:
        JSON-able: ``n``; ``zero_rows`` (samples whose features are all zero); ``duplicates`` (other samples whose row
        another one has too) and ``largest_group`` of identical rows, without zero rows; ``near``, ``near_duplicates``
        (samples with another one of cosine > near, identical ones included) and ``near_pairs``; ``k``,
        ``hub_skewness``, ``largest_hub`` (times the most listed sample is listed), ``unlisted`` (share of samples that
        are in no list); ``effective_dimension``; ``clipped`` (share or None).

    Raises:
        VlalignError: features that are not finite floating [N, D], or k outside 1..N-1.
    """
    layer = layer if isinstance(layer, LazyLayer) else check_features(layer, "layer")
    labels = row_labels(layer)
    zero = torch.cat([~part.any(dim=1) for _, part in row_blocks(layer)]).cpu().numpy()
    sizes = np.bincount(labels[~zero], minlength=1)
    lists = knn(layer, k) if neighbours is None else neighbours
    samples, pairs = near_duplicates(layer, near, lists)
    clipped = None if unclipped is None or clip_threshold is None else clipped_share(unclipped, clip_threshold)
    return {
        "n": len(layer),
        "zero_rows": int(zero.sum()),
        "duplicates": int(sizes[sizes > 1].sum()),
        "largest_group": int(sizes.max()),
        "near": near,
        "near_duplicates": samples,
        "near_pairs": pairs,
        "k": lists.shape[1],
        **hubness(lists),
        "effective_dimension": effective_dimension(layer),
        "clipped": clipped,
    }


def repeats_warning(layer: Tensor, name: str, remedy: str) -> str | None:
    """Return one line if more than :data:`DUPLICATE_SHARE` of the rows [N, D] are repeated, which folds would share.

    Args:
        layer: features.
        name: of the features, for the line.
        remedy: what to do where the repeats are of one sample, such as "name the groups they form".

    >>> import torch
    >>> repeats_warning(torch.tensor([[0.5], [0.5], [0.7]]), "image", "keep one")  # doctest: +ELLIPSIS
    'image: 2 of 3 rows are exact repeats (up to 2 alike)...
    """
    sizes = np.bincount(row_labels(layer))
    repeated = int(sizes[sizes > 1].sum())
    if repeated <= DUPLICATE_SHARE * len(layer):
        return None
    return (
        f"{name}: {repeated} of {len(layer)} rows are exact repeats (up to {sizes.max()} alike): if they are of one "
        f"sample (captions of one image), training and test share it and results are too good: {remedy}; features of "
        "few possible values repeat anyway"
    )


def near_duplicates(layer: Tensor | LazyLayer, near: float = NEAR, neighbours: Tensor | None = None) -> tuple[int, int]:
    """Count the samples of a layer [N, D] that have another one of cosine > ``near``, and the pairs of such samples.

    A zero row has no direction and is near no other. ``neighbours``: as for :func:`near_counts`.
    """
    counts = near_counts(layer, near, neighbours)
    return int((counts > 0).sum()), int(counts.sum()) // 2


def near_counts(layer: Tensor | LazyLayer, near: float = NEAR, neighbours: Tensor | None = None) -> Tensor:
    """Count for each sample of a layer [N, D] the others of cosine > ``near``, int64 [N] on the CPU.

    Args:
        layer: features.
        near: cosine, between -1 and 1.
        neighbours: existing lists [N, k] of the layer, nearest first. Where its rows are normalised, only samples whose
            neighbours are all near are compared with every sample.
    """
    if not -1 < near < 1:
        raise VlalignError(f"the cosine of near-duplicates must lie between -1 and 1, got {near}")
    norms = checked_norms(layer, "layer")
    if neighbours is None or near <= 0 or not bool((((norms - 1).abs() < _UNIT) | (norms == 0)).all()):
        return _near_rows(normalise_rows(layer)[0], near)
    counts, left, lists = torch.zeros(len(layer), dtype=torch.int64), torch.arange(len(layer)), neighbours.cpu().long()
    for others in lists.T:  # the next of each sample whose neighbours so far are near
        cosines = [
            (layer[rows] * layer[others[rows.cpu()].to(layer.device)]).sum(dim=1).cpu()
            for rows in left.to(layer.device).split(_LISTED_ROWS)
        ]
        left = left[torch.cat(cosines) > near]
        counts[left] += 1
        if not len(left):
            return counts
    counts[left] = _near_rows(normalise_rows(layer)[0], near)[left]
    return counts


def _near_rows(rows: Tensor | LazyLayer, near: float) -> Tensor:
    """Count for each of the normalised rows [N, D] the others of inner product > ``near``, in row blocks."""
    parts = []
    held = _BLOCK_BYTES if rows.device.type == "cpu" else DEVICE_BLOCK_BYTES
    step = max(1, held // (len(rows) * rows.element_size())) if isinstance(rows, torch.Tensor) else _LAZY_ROWS
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        counts = torch.zeros(len(part), dtype=torch.int64, device=part.device)
        for low, others in [(0, rows)] if isinstance(rows, torch.Tensor) else row_blocks(rows):
            above = part @ others.T > near
            above.diagonal(start - low).fill_(False)
            counts += above.sum(dim=1)
        parts.append(counts.cpu())
    return torch.cat(parts)


def hubness(neighbours: Tensor) -> dict[str, Any]:
    """Compute skewness, maximum and share of zeros of how often samples are in lists [N, k]; equal counts: 0 skew.

    The measures of Radovanović et al. 2010, "Hubs in space".

    >>> import torch
    >>> hubness(torch.tensor([[1], [0], [0], [0]]))["unlisted"]
    0.5
    """
    n = len(neighbours)
    listed = np.bincount(neighbours.cpu().numpy().ravel(), minlength=n)
    sd = float(listed.std())
    skewness = float(np.mean((listed - listed.mean()) ** 3)) / sd**3 if sd > 0 else 0.0
    return {"hub_skewness": skewness, "largest_hub": int(listed.max()), "unlisted": float(np.mean(listed == 0))}


def effective_dimension(layer: Tensor | LazyLayer) -> float:
    """Compute the participation ratio ``(tr C)² / tr C²`` of the covariance C of a layer [N, D], 1 to min(N - 1, D).

    ``tr C²`` is the sum of squares of C, or of the Gram matrix if that is smaller, in row blocks: no eigenvalues
    needed. 0 where all rows are the same.
    """
    if isinstance(layer, LazyLayer):
        return _dimension_of_rows(layer)
    x = layer.detach().double()
    x = x - x.mean(dim=0)
    scale = float(x.abs().max())
    if scale <= 1e-12 * float(layer.abs().max()):
        return 0.0
    x = x / scale
    side = x if len(x) <= x.shape[1] else x.T
    squares = 0.0
    for rows in side.split(max(1, _BLOCK_BYTES // (len(side) * 8))):
        squares += float((rows @ side.T).square().sum())
    return float(x.square().sum()) ** 2 / squares


def _dimension_of_rows(layer: LazyLayer) -> float:
    """Compute :func:`effective_dimension` from the covariance, summed over blocks of rows."""
    n, width = layer.shape
    mean = sum((part.sum(dim=0, dtype=torch.float64) for _, part in row_blocks(layer)), torch.zeros(width)) / n
    covariance = torch.zeros((width, width), dtype=torch.float64)
    largest = deviation = 0.0
    for _, part in row_blocks(layer):
        x = part - mean
        covariance += x.T @ x
        largest, deviation = max(largest, float(part.abs().max())), max(deviation, float(x.abs().max()))
    if deviation <= 1e-12 * largest:
        return 0.0
    return float(covariance.trace()) ** 2 / float(covariance.square().sum())


def clipped_share(unclipped: Tensor | LazyLayer, threshold: float) -> float:
    """Compute the share of the values of a layer [N, D] that clipping at ±``threshold`` changes."""
    clipped = sum(int((part.abs() > threshold).sum()) for _, part in row_blocks(unclipped))
    return clipped / math.prod(unclipped.shape)


def warnings(
    checks: Mapping[str, Any], name: str = "layer", grouped: bool = False, neighbours: bool = True
) -> list[str]:
    """Return one line for each value of :func:`check_side` that changes how a score should be read.

    ``grouped``: the samples that belong together are known, so duplicates need no warning. ``neighbours``: the metric
    compares nearest neighbours.
    """
    n, lines = checks["n"], []
    if zero := checks["zero_rows"]:
        lines.append(
            f"{zero} of {n} samples {'is a row of zeros, which has' if zero == 1 else 'are rows of zeros, which have'} "
            "no direction and arbitrary neighbours: leave such samples out, or see why they have no features"
        )
    if checks["duplicates"] > DUPLICATE_SHARE * n and not grouped:
        lines.append(
            f"{checks['duplicates']} of {n} samples are exact duplicates (up to {checks['largest_group']} alike), "
            "which are each other's neighbours: if they are repeats of one sample, name the groups they form, or "
            "p-values are too small"
        )
    elif (pairs := checks["near_pairs"] / (n * (n - 1) / 2)) > OFFSET_SHARE:
        lines.append(
            f"{pairs:.0%} of the pairs of samples have a cosine > {checks['near']:g}: the features have a large common "
            "offset, which hides their differences: subtract the mean of each feature"
        )
    elif checks["near_duplicates"] > DUPLICATE_SHARE * n and not grouped:
        lines.append(
            f"{checks['near_duplicates']} of {n} samples have a near-duplicate (cosine > {checks['near']:g}): if they "
            "belong together (captions of one image, frames of one film), name the groups"
        )
    if neighbours and (checks["hub_skewness"] > HUB_SKEWNESS or checks["unlisted"] > UNLISTED_SHARE):
        lines.append(
            f"a few samples are neighbours of many (one of {checks['largest_hub']}) and {checks['unlisted']:.0%} of "
            f"none (skewness {checks['hub_skewness']:.1f} at k={checks['k']}): compare with a metric without neighbours"
        )
    if checks["effective_dimension"] < EFFECTIVE_DIMENSION:
        lines.append(f"{checks['effective_dimension']:.1f} effective dimensions: very few directions decide the score")
    if checks["clipped"] is not None and checks["clipped"] > CLIPPED_SHARE:
        lines.append(
            f"{checks['clipped']:.0%} of the values are clipped, so it is scored by signs more than by values: compare "
            "with the preset cosine"
        )
    return [f"{name}: {line}" for line in lines]
