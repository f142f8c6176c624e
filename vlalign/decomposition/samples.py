"""Samples of two modalities with labels, checked before anything is trained."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlalign.arrays import as_layers
from vlalign.display import quoted
from vlalign.errors import VlalignError

log = logging.getLogger(__name__)

LEAST_PER_FOLD = 5  # samples of a class
_MOST_CLASSES = 50


@dataclass(frozen=True)
class Samples:
    """Checked samples.

    Attributes:
        views: features [N, D_m] of each modality, float32.
        labels: [N], from 0 to K − 1.
        classes: K names of the labels, sorted.
    """

    views: tuple[Tensor, Tensor]
    labels: Tensor
    classes: list[str]


def check_samples(x1: Any, x2: Any, y: Any, folds: int, bins: int) -> Samples:
    """Return the samples as tensors.

    Args:
        x1, x2: features [N, D1] and [N, D2], as :func:`vlalign.arrays.as_tensor` reads them.
        y: label of each sample: whole numbers, texts or booleans; numbers with fractions are a regression target.
        folds: parts of the samples.
        bins: classes of a regression target, of equally many samples.

    Raises:
        VlalignError: features that are not [N, D], missing or infinite numbers, a modality without variation, another
            number of labels, a missing label, one class, a class with too few samples, or numbers given as texts.
    """
    views = _view(x1, "x1"), _view(x2, "x2")
    count = len(views[0])
    if len(views[1]) != count:
        raise VlalignError(f"x1 has {count} samples and x2 {len(views[1])}: rows must be paired")
    values = _labels(y)
    if len(values) != count:
        raise VlalignError(f"y has {len(values)} labels for {count} samples: give one for each, in their order")
    if values.dtype.kind == "f":
        names, labels = _binned(values, bins)
    else:
        classes, labels = np.unique(values, return_inverse=True)
        names = [str(name) for name in classes]
    sizes = np.bincount(labels)
    if len(names) < 2:
        raise VlalignError(f"y has one class, {quoted(names[0])}: give labels of at least two")
    if len(names) > _MOST_CLASSES:
        raise VlalignError(f"y has {len(names)} classes for {count} samples: merge classes, at most {_MOST_CLASSES}")
    if few := [f"{names[i]} has {sizes[i]}" for i in np.flatnonzero(sizes < LEAST_PER_FOLD * folds)]:
        raise VlalignError(
            f"y: {folds} folds need at least {LEAST_PER_FOLD * folds} samples of every class, {LEAST_PER_FOLD} a fold, "
            f"but {', '.join(few[:3])}: merge or leave out rare classes, or use fewer folds"
        )
    for name, view in zip(("x1", "x2"), views, strict=True):
        if (leak := _leaking_column(view, labels)) is not None:
            log.warning("%s: column %d (from 0) determines the label: is it a copy of it?", name, leak)
    return Samples(views, torch.from_numpy(labels.astype(np.int64)), names)


def _view(x: Any, name: str) -> Tensor:
    layers, _ = as_layers(x, name)
    if len(layers) != 1:
        raise VlalignError(f"{name} has {len(layers)} layers: give one, as [N, D]")
    view = layers[0].float().cpu()
    if bad := int((~view.isfinite()).any(dim=1).sum()):
        raise VlalignError(f"{name} has NaN or infinity in {bad} of {len(view)} rows: leave these samples out")
    if bool((view == view[0]).all()):
        raise VlalignError(f"{name} is constant: every sample has the same features")
    return view


def _labels(y: Any) -> np.ndarray:
    if isinstance(y, Tensor):
        y = y.detach().cpu().numpy()
    values = np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise VlalignError(f"y: expected one label a sample, got shape {list(values.shape)}")
    if values.dtype.kind == "O":
        if any(value is None or value != value for value in values):
            raise VlalignError("y has missing labels: leave these samples out")
        values = np.array([str(value) for value in values])
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise VlalignError("y has missing labels (NaN or infinity): leave these samples out")
        if (values == np.round(values)).all():
            values = values.astype(np.int64)
    if values.dtype.kind == "U" and sum(map(_is_fraction, values)) > len(values) / 2:
        raise VlalignError(f"y holds numbers as texts, such as {quoted(str(values[0]))}: give them as numbers")
    return values


def _is_fraction(text: str) -> bool:
    try:
        return not float(text).is_integer()
    except (ValueError, OverflowError):
        return False


def _binned(values: np.ndarray, bins: int) -> tuple[list[str], np.ndarray]:
    """Return names of the quantile bins of a regression target, and the bin of each value; equal values share one."""
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="lower"))
    edges = edges[edges < values.max()]
    texts = [f"{edge:.4g}" for edge in edges]
    names = (
        [f"up to {texts[0]}", *(f"{a} to {b}" for a, b in pairwise(texts)), f"above {texts[-1]}"] if texts else ["all"]
    )
    return names, np.searchsorted(edges, values)


def _leaking_column(view: Tensor, labels: np.ndarray) -> int | None:
    """Return a column with one value for each class and different ones for different classes."""
    target = torch.from_numpy(labels)
    first = torch.stack([view[int((target == k).nonzero()[0, 0])] for k in range(int(labels.max()) + 1)])  # [K, D]
    constant = (view == first[target]).all(dim=0)
    for column in constant.nonzero().ravel().tolist():
        if len(first[:, column].unique()) == len(first):
            return int(column)
    return None
