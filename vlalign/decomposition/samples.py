"""Samples of several modalities with labels, paired and checked before anything is trained."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlalign.arrays import as_float32, as_tensor, refuse_infinite, varying_columns, whole
from vlalign.decomposition.sample_groups import Ints, SampleGroups, read_sample_groups
from vlalign.display import quoted
from vlalign.errors import VlalignError
from vlalign.row_ids import by_row, is_missing, refuse_alike
from vlalign.scoring.inputs import Side, check_pairing, is_run, pairing_notes, sample_names
from vlalign.stats.checks import repeats_warning

log = logging.getLogger(__name__)

LEAST_IN_FOLD = 5  # samples of a class
_MOST_CLASSES = 50
_EQUAL = 0.9999  # correlation of a column with the label
_REMEDY = "give the group of each sample (groups=, --groups)"


@dataclass(frozen=True)
class Samples:
    """Checked samples.

    Attributes:
        views: features [N, D_m] of each modality, float32.
        target: values [N] of a regression, float64; None for classes.
        labels: class of each sample [N], from 0 to K − 1, or bin of its value.
        classes: K names of the labels, sorted.
        units: groups of the samples, or the samples.
    """

    views: tuple[Tensor, ...]
    target: Tensor | None
    labels: Tensor
    classes: list[str]
    units: SampleGroups


def check_samples(views: Sequence[Any], y: Any, folds: int, bins: int, groups: Any = None) -> Samples:
    """Return the samples as tensors.

    Args:
        views: features of each modality, as :func:`paired_views` reads them.
        y: label of each sample, as :func:`check_labels` reads them.
        folds: parts of the samples.
        bins: classes of a regression target, of equally many samples.
        groups: of the samples, as :func:`vlalign.decomposition.sample_groups.read_sample_groups` reads them, or None.

    Raises:
        VlalignError: features, labels or groups that are refused, a group with two labels, or a class with too few
            samples or groups; one line that names it.
    """
    names = [f"x{i}" for i in range(1, len(views) + 1)]
    paired, ids = paired_views(views, names)
    paired, count = [as_float32(view) for view in paired], len(paired[0])
    target, classes = check_labels(y, ids, count, _MOST_CLASSES)
    for view, name in zip(paired, names, strict=True):
        warn_of_leak(view, target, classes, name)
        if groups is None:
            warn_of_repeats(view, name)
    units = read_sample_groups(groups, ids, count)
    _refuse_mixed(units, target, classes)
    labels = target
    if not classes:
        classes, labels = _binned(target, bins, units.first)
    what = "samples" if groups is None else "groups"
    refuse_rare(labels[units.first], classes, LEAST_IN_FOLD * folds, f"{what}, for {folds} folds")
    return Samples(tuple(paired), target if labels is not target else None, labels, list(classes), units)


def paired_views(
    values: Sequence[Any], names: Sequence[str], constant: bool = False
) -> tuple[list[Tensor], list[str] | None]:
    """Return features [N, D_m] of each modality, float32 or float64, and the ids of their rows or an index, if any.

    Rows are paired by id where all have ids (runs, and frames with an index), else by their order.

    Args:
        values: of each modality a run of a feature store, whose last layer is used, or features [N, D] or [N], as
            :func:`vlalign.arrays.as_tensor` reads them.
        names: of the modalities, for errors.
        constant: allow features that are all constant.

    Raises:
        VlalignError: features that are not [N, D], other ids or another number of rows, missing or infinite numbers, or
            features without variation.
    """
    sides = [_side(value, name) for value, name in zip(values, names, strict=True)]
    views = []
    for side, name in zip(sides, names, strict=True):
        if side is not sides[0]:
            by = check_pairing(sides[0], side)
            if by == "id" and sides[0].ids is not None:
                side.put_in_order(sides[0].ids)
            for note in pairing_notes(sides[0], side, by):
                log.warning(note)
        view = whole(side.load(len(side.axis) - 1)).cpu().contiguous()
        view = view if view.dtype == torch.float64 else view.float()
        refuse_infinite(view, name)
        if not constant and not bool(varying_columns(view).any()):
            raise VlalignError(
                f"{name} has the same values in every row, up to rounding: there is nothing to learn from it"
            )
        views.append(view)
    return views, sample_names(*sides)


def _side(value: Any, name: str) -> Side:
    if not is_run(value) and getattr(value, "ndim", 0) == 1 and (column := as_tensor(value, name)).ndim == 1:
        value = value.to_frame() if hasattr(value, "to_frame") else column[:, None]
    side = Side(value, name)
    if side.run is None and len(side.axis) > 1:
        raise VlalignError(f"{name} has {len(side.axis)} layers: give one, as features [N, D]")
    return side


def check_labels(
    y: Any, ids: Sequence[str] | None, n: int, most: int, regression: bool = False
) -> tuple[Tensor, tuple[str, ...]]:
    """Return the class of each sample from 0, int64 [N], with the names; or values float64 [N] without names.

    Args:
        y: a label of each sample, in their order, or by id (a mapping, or a series with an index): texts, whole numbers
            or booleans are classes, numbers with fractions a regression target.
        ids: of the samples.
        n: number of samples.
        most: largest number of classes.
        regression: whole numbers are a regression target, too.

    Raises:
        VlalignError: another number of labels, a missing or infinite one, one class, too many, or numbers as texts.
    """
    values = by_row(y, ids, n, "labels")
    values = [value[0] if isinstance(value, list | tuple) and len(value) == 1 else value for value in values]
    for i, value in enumerate(values):
        if isinstance(value, list | tuple | dict) or is_missing(value):
            raise VlalignError(f"label {i} (from 0) is {quoted(value)}: give one text or number a sample")
        if value in (float("inf"), float("-inf")):
            raise VlalignError(f"label {i} (from 0) is infinite: leave that sample out")
    texts = [value for value in values if isinstance(value, str)]
    if texts:
        if len(texts) == n and sum(map(_is_fraction, texts)) > n / 2:
            raise VlalignError(f"the labels are numbers as texts, such as {quoted(texts[0])}: give them as numbers")
    elif regression or any(map(_is_fraction, values)):
        target = torch.tensor([float(value) for value in values], dtype=torch.float64)
        if not bool(varying_columns(target[:, None])):
            raise VlalignError("the labels are all equal: there is nothing to learn")
        return target, ()
    numbers = all(isinstance(value, int | float | np.number) for value in values)
    keys = [int(value) if numbers else str(value) for value in values]
    counts = Counter(keys)
    refuse_alike(counts, "labels")
    if len(counts) < 2:
        raise VlalignError(f"all labels are {quoted(str(keys[0]))}: give two classes or more")
    if len(counts) > min(most, n // 2):
        raise VlalignError(
            f"the labels have {len(counts)} different values in {n} samples, too many for classes (at most "
            f"{min(most, n // 2)}): merge classes, or give a regression target as numbers with fractions"
        )
    order = {key: i for i, key in enumerate(sorted(counts))}
    return torch.tensor([order[key] for key in keys]), tuple(map(str, order))


def _is_fraction(value: Any) -> bool:
    try:
        return not float(value).is_integer()
    except (TypeError, ValueError, OverflowError):
        return False


def refuse_rare(labels: Tensor, classes: Sequence[str], need: int, where: str) -> None:
    """Refuse samples with fewer than ``need`` of a class.

    Args:
        labels: class of each sample [N], from 0.
        classes: their names.
        need: least number of samples.
        where: the samples, as the message names them.

    Raises:
        VlalignError: naming the rarest class.
    """
    counts = labels.bincount(minlength=len(classes))
    least = int(counts.argmin())
    if counts[least] < need:
        raise VlalignError(
            f"class {quoted(classes[least])} has {counts[least]} of {len(labels)} {where}: give {need} or more of each "
            f"class{', or fewer folds' if 'fold' in where else ''}, or leave the class out"
        )


def _refuse_mixed(units: SampleGroups, target: Tensor, classes: Sequence[str]) -> None:
    """Refuse groups with several labels, whose labels cannot be exchanged with those of other groups."""
    if not (other := (target != target[units.first][units.of]).nonzero().ravel().tolist()):
        return
    group = units.of[other[0]]
    rows = [int(units.first[group]), other[0]]
    one, two = (quoted(classes[int(target[i])] if classes else f"{float(target[i]):g}") for i in rows)
    raise VlalignError(
        f"groups: {quoted((units.names or ())[group])} has the labels {one} and {two}, and shuffles need one label a "
        "group: give other groups, or use `vlalign probe --groups`"
    )


def warn_of_leak(view: Tensor, target: Tensor, classes: Sequence[str], name: str) -> None:
    """Warn of a column that is the label: one value for each class, or its value up to shift and scale."""
    columns, aim = view - view.mean(0), target.double() - target.double().mean()
    aim = (aim / aim.norm()).float()
    leaks = (aim @ columns).abs() > _EQUAL * columns.norm(dim=0)
    if classes:
        first = torch.stack([view[int((target == k).nonzero()[0, 0])] for k in range(len(classes))])  # [K, D]
        for column in (view == first[target]).all(dim=0).nonzero().ravel().tolist():
            leaks[column] |= len(first[:, column].unique()) == len(first)
    if leaks.any():
        column = int(leaks.nonzero()[0, 0])
        log.warning("%s: column %d (from 0) equals the label: if it was made from it, leave it out", name, column)


def warn_of_repeats(view: Tensor, name: str, remedy: str = _REMEDY) -> None:
    """Warn of rows [N, D] that are repeated: as samples of several folds they leak labels from training to test."""
    if line := repeats_warning(view, name, remedy):
        log.warning(line)


def _binned(target: Tensor, bins: int, some: Ints) -> tuple[tuple[str, ...], Tensor]:
    """Return names of the quantile bins of a regression target, and the bin of each value; equal values share one.

    Bins have equally many of ``some`` samples: all, or one of each group.
    """
    values = target.double().numpy()
    edges = np.unique(np.quantile(values[some], np.arange(1, bins) / bins, method="lower"))
    edges = edges[edges < values.max()]
    if not len(edges):
        raise VlalignError("nearly all labels are equal: there is nothing to learn")
    texts = [f"{edge:.4g}" for edge in edges]
    names = (f"up to {texts[0]}", *(f"{a} to {b}" for a, b in pairwise(texts)), f"above {texts[-1]}")
    return names, torch.from_numpy(np.searchsorted(edges, values))
