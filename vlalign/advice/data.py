"""Paired data of the experiment: features of both modalities, a target, more pairs without one, and the folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlalign.arrays import as_float32, content_digest
from vlalign.decomposition.sample_groups import SampleGroups, read_sample_groups
from vlalign.decomposition.samples import (
    LEAST_IN_FOLD,
    check_labels,
    paired_views,
    refuse_rare,
    warn_of_leak,
    warn_of_repeats,
)
from vlalign.display import quoted
from vlalign.errors import VlalignError, short_line
from vlalign.files import parse_json
from vlalign.row_ids import by_row
from vlalign.stats.null import generator
from vlalign.store.checksums import canonical
from vlalign.store.tensors import load_tensors, save_tensors

FILE = "data.safetensors"
SPLITS = ("train", "valid", "test")
_BINS = 5  # of a regression target, in place of classes
_MOST_CLASSES = 1000
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PairedData:
    """Pairs of two modalities.

    Attributes:
        x: features float32 [N, D1] and [N, D2] of the labelled pairs.
        target: classes int64 [N] from 0, or values float32 [N] of a regression.
        classes: names of the classes; empty for a regression.
        extra: features [M, D1] and [M, D2] of pairs without a label; M may be 0.
        split: int64 [N], 0 train, 1 valid, 2 test; empty if folds are drawn.
        names: of the modalities.
        group: int64 [N], number of each sample's group from 0; empty if samples stand alone.
    """

    x: tuple[Tensor, Tensor]
    target: Tensor
    classes: tuple[str, ...]
    extra: tuple[Tensor, Tensor]
    split: Tensor
    names: tuple[str, str] = ("first", "second")
    group: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.target)

    @cached_property
    def units(self) -> SampleGroups:
        """Groups of the samples, or the samples: what folds and intervals keep whole."""
        return SampleGroups(self.group.numpy() if len(self.group) else np.arange(len(self)))

    @property
    def strata(self) -> Tensor:
        """Classes, or fifths of a regression target, int64 [N]: what the control within classes keeps."""
        if self.classes:
            return self.target
        rank = self.target.argsort(stable=True).argsort()
        return rank * _BINS // len(rank)

    @property
    def fingerprint(self) -> str:
        """Hash of everything that the experiment uses."""
        columns = [self.target, self.split, *([self.group] if len(self.group) else [])]
        return content_digest(
            [*self.x, *self.extra, *(column.unsqueeze(1) for column in columns)], canonical([*self.classes])
        )

    def folds(self, seed: int, count: int) -> list[tuple[Ints, Ints, Ints]]:
        """Return sample numbers to train, validate and test, of each fold; the given split alone, if there is one.

        Folds are drawn by seed and stratified by class; groups are in one fold each. Each fold is tested on once, and
        validates for the one before it.
        """
        if len(self.split):
            split = self.split.numpy()
            train, valid, test = (np.flatnonzero(split == part) for part in range(3))
            return [(train, valid, test)]
        strata = self.strata.numpy()[self.units.first]
        order = generator("advice folds", seed, len(self)).permutation(len(strata))
        dealt = np.empty(len(strata), dtype=np.int64)
        dealt[order[np.argsort(strata[order], kind="stable")]] = np.arange(len(strata)) % count
        fold, parts = dealt[self.units.of], []
        for tested in range(count):
            validated = (tested + 1) % count
            in_test, in_valid = fold == tested, fold == validated
            parts.append((np.flatnonzero(~in_test & ~in_valid), np.flatnonzero(in_valid), np.flatnonzero(in_test)))
        return parts

    def save(self, folder: Path) -> None:
        """Write the data into the folder of a study, whole or not at all; the same data stay as they are.

        Raises:
            VlalignError: the file cannot be written.
        """
        about = {"classes": list(self.classes), "names": list(self.names), "fingerprint": self.fingerprint}
        tensors = {"x1": self.x[0], "x2": self.x[1], "extra1": self.extra[0], "extra2": self.extra[1]}
        samples = {"target": self.target, "split": self.split, "group": self.group}
        save_tensors(folder / FILE, tensors | samples, about)


def read_data(folder: Path) -> PairedData:
    """Read the data of a study that :meth:`PairedData.save` wrote.

    Raises:
        VlalignError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / FILE
    try:
        with safe_open(path, framework="pt") as file:
            about = parse_json((file.metadata() or {})["vlalign"])
        about.pop("sha256")
        names = (str(about["names"][0]), str(about["names"][1]))
        classes = tuple(map(str, about["classes"]))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise VlalignError(f"{path} is missing or damaged ({short_line(error)}): run the study again") from error
    t = load_tensors(path, about)
    group = t.get("group", torch.empty(0, dtype=torch.int64))
    return PairedData((t["x1"], t["x2"]), t["target"], classes, (t["extra1"], t["extra2"]), t["split"], names, group)


def make_data(
    x1: Any, x2: Any, y: Any, unlabelled: Any = None, split: Any = None, names: Sequence[str] = ("first", "second"),
    regression: bool = False, groups: Any = None,
) -> PairedData:  # fmt: skip
    """Check arrays and return them as data.

    Args:
        x1, x2: features [N, D1] and [N, D2] of both modalities, as
            :func:`vlalign.decomposition.samples.paired_views` reads them: arrays, or runs of a store.
        y: labels, as :func:`vlalign.decomposition.samples.check_labels` reads them.
        unlabelled: the same of M more pairs without labels, or None.
        split: "train", "valid" or "test" of each sample, by row or by id as ``y``; or None for folds.
        names: of the modalities.
        regression: labels that are whole numbers are a regression target, too.
        groups: of the samples, as :func:`vlalign.decomposition.sample_groups.read_sample_groups` reads them, or None.

    Raises:
        VlalignError: what makes the experiment impossible; one line that names it.
    """
    sides, ids = paired_views([x1, x2], names)
    target, classes = check_labels(y, ids, len(sides[0]), _MOST_CLASSES, regression)
    extra = [torch.empty(0, side.shape[1]) for side in sides]
    if unlabelled is not None:
        if not isinstance(unlabelled, list | tuple) or len(unlabelled) != 2:
            raise VlalignError("unlabelled must be two arrays, of the first and the second modality")
        extra, _ = paired_views(unlabelled, [f"unlabelled {name}" for name in names], constant=True)
    for side, more, name in zip(sides, extra, names, strict=True):
        if side.shape[1] != more.shape[1]:
            raise VlalignError(
                f"unlabelled {name} has {more.shape[1]} columns and {name} has {side.shape[1]}: give features of the "
                "same model"
            )
    n = len(target)
    whole = [as_float32(torch.cat(parts)) for parts in zip(sides, extra, strict=True)]
    sides, extra = [side[:n] for side in whole], [side[n:] for side in whole]
    for side, name in zip(sides, names, strict=True):
        warn_of_leak(side, target, classes, name)
        if groups is None:
            warn_of_repeats(side, name)
    if not classes:
        target = as_float32(target[:, None])[:, 0]
    units, parts = read_sample_groups(groups, ids, n), _split(split, ids, n)
    _refuse_divided(units, parts)
    return PairedData(
        (sides[0], sides[1]), target, classes, (extra[0], extra[1]), parts, (str(names[0]), str(names[1])),
        torch.empty(0, dtype=torch.int64) if groups is None else torch.from_numpy(units.of),
    )  # fmt: skip


def check_folds(data: PairedData, folds: int) -> None:
    """Refuse data with too few samples, or groups: of a class in a fold or in a part of the given split.

    Raises:
        VlalignError: naming the class.
    """
    parts = [np.arange(len(data))] if not len(data.split) else list(data.folds(0, folds)[0])
    what = "groups" if len(data.group) else "samples"  # a group counts once for each of its classes
    for i, rows in enumerate(parts):
        label = data.target[rows].numpy() if data.classes else 0
        part = rows[np.unique(data.units.of[rows] * (len(data.classes) + 1) + label, return_index=True)[1]]
        where = f"{SPLITS[i]} {what}" if len(data.split) else f"labelled {what}, for {folds} folds"
        need = LEAST_IN_FOLD * (1 if len(data.split) else folds)
        if not data.classes:
            if len(part) < 4 * need:
                raise VlalignError(f"there are {len(part)} {where}: give {4 * need} or more")
            continue
        refuse_rare(data.target[part], data.classes, need, where)


def _refuse_divided(units: SampleGroups, split: Tensor) -> None:
    """Refuse a given split, int64 [N] or empty, that divides a group."""
    if len(split) and (other := (split != split[units.first][units.of]).nonzero().ravel().tolist()):
        group = units.of[other[0]]
        one, two = (SPLITS[int(split[i])] for i in (int(units.first[group]), other[0]))
        raise VlalignError(
            f"the group {quoted((units.names or ())[group])} is in {one} and {two}: keep it in one part of the split"
        )


def _split(split: Any, ids: Sequence[str] | None, n: int) -> Tensor:
    if split is None:
        return torch.empty(0, dtype=torch.int64)
    values = [str(value) for value in by_row(split, ids, n, "values of split")]
    if set(values) != set(SPLITS):
        raise VlalignError(f"split must hold train, valid or test for each of the {n} samples, and all three")
    return torch.tensor([SPLITS.index(value) for value in values])
