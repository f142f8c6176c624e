"""Paired data of the experiment: features of both modalities, a target, more pairs without one, and the folds."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlalign.arrays import as_tensor, content_digest, refuse_infinite
from vlalign.display import quoted
from vlalign.errors import VlalignError, short_line
from vlalign.files import parse_json
from vlalign.stats.null import generator
from vlalign.store.checksums import canonical
from vlalign.store.tensors import load_tensors, save_tensors

log = logging.getLogger(__name__)

FILE = "data.safetensors"
SPLITS = ("train", "valid", "test")
LEAST_IN_FOLD = 5
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
    """

    x: tuple[Tensor, Tensor]
    target: Tensor
    classes: tuple[str, ...]
    extra: tuple[Tensor, Tensor]
    split: Tensor
    names: tuple[str, str] = ("first", "second")

    def __len__(self) -> int:
        return len(self.target)

    @property
    def groups(self) -> Tensor:
        """Classes, or fifths of a regression target, int64 [N]: what the control within classes keeps."""
        if self.classes:
            return self.target
        rank = self.target.argsort(stable=True).argsort()
        return rank * _BINS // len(rank)

    @property
    def fingerprint(self) -> str:
        """Hash of everything that the experiment uses."""
        return content_digest(
            [*self.x, *self.extra, self.target.unsqueeze(1), self.split.unsqueeze(1)], canonical([*self.classes])
        )

    def folds(self, seed: int, count: int) -> list[tuple[Ints, Ints, Ints]]:
        """Return sample numbers to train, validate and test, of each fold; the given split alone, if there is one.

        Folds are drawn by seed and stratified by class. Each is tested on once, and validates for the one before it.
        """
        if len(self.split):
            split = self.split.numpy()
            train, valid, test = (np.flatnonzero(split == part) for part in range(3))
            return [(train, valid, test)]
        order = generator("advice folds", seed, len(self)).permutation(len(self))
        fold = np.empty(len(self), dtype=np.int64)
        fold[order[np.argsort(self.groups.numpy()[order], kind="stable")]] = np.arange(len(self)) % count
        parts = []
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
        save_tensors(folder / FILE, tensors | {"target": self.target, "split": self.split}, about)


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
    return PairedData((t["x1"], t["x2"]), t["target"], classes, (t["extra1"], t["extra2"]), t["split"], names)


def make_data(
    x1: Any, x2: Any, y: Any, unlabelled: Any = None, split: Any = None, names: Sequence[str] = ("first", "second")
) -> PairedData:
    """Check arrays and return them as data.

    Args:
        x1: features [N, D1] of the first modality, as :func:`vlalign.arrays.as_tensor` reads them.
        x2: features [N, D2] of the second, rows paired.
        y: labels [N]: texts or whole numbers are classes, fractions a regression target.
        unlabelled: two arrays [M, D1] and [M, D2] of more pairs, or None.
        split: [N] of "train", "valid" and "test", or None for folds.
        names: of the modalities.

    Raises:
        VlalignError: what makes the experiment impossible; one line that names it.
    """
    sides = _pair(x1, x2, names)
    target, classes = _target(y, len(sides[0]))
    extra = (torch.empty(0, sides[0].shape[1]), torch.empty(0, sides[1].shape[1]))
    if unlabelled is not None:
        if not isinstance(unlabelled, list | tuple) or len(unlabelled) != 2:
            raise VlalignError("unlabelled must be two arrays, of the first and the second modality")
        extra = _pair(unlabelled[0], unlabelled[1], [f"unlabelled {name}" for name in names], constant=True)
        for side, more, name in zip(sides, extra, names, strict=True):
            if side.shape[1] != more.shape[1]:
                raise VlalignError(
                    f"unlabelled {name} has {more.shape[1]} columns and {name} has {side.shape[1]}: give features of "
                    "the same model"
                )
    for side, name in zip(sides, names, strict=True):
        _warn_of_leak(side, target, name)
    return PairedData(sides, target, classes, extra, _split(split, len(target)), (str(names[0]), str(names[1])))


def check_folds(data: PairedData, folds: int) -> None:
    """Refuse data with too few samples: of a class in a fold or in a part of the given split.

    Raises:
        VlalignError: naming the class.
    """
    parts = [np.arange(len(data))] if not len(data.split) else list(data.folds(0, folds)[0])
    for i, part in enumerate(parts):
        where = f"{SPLITS[i]} samples" if len(data.split) else f"labelled samples, for {folds} folds"
        need = LEAST_IN_FOLD * (1 if len(data.split) else folds)
        if not data.classes:
            if len(part) < 4 * need:
                raise VlalignError(f"there are {len(part)} {where}: give {4 * need} or more")
            continue
        counts = np.bincount(data.target.numpy()[part], minlength=len(data.classes))
        least = int(counts.argmin())
        if counts[least] < need:
            advice = "" if len(data.split) or folds == 3 else ", or fewer folds"
            raise VlalignError(
                f"class {quoted(data.classes[least])} has {counts[least]} of {len(part)} {where}: give {need} or more "
                f"of each class{advice}, or leave the class out"
            )


def _pair(x1: Any, x2: Any, names: Sequence[str], constant: bool = False) -> tuple[Tensor, Tensor]:
    """Return two features [N, D] as float32, checked; ``constant`` allows columns that are all constant."""
    sides = []
    for value, name in ((x1, names[0]), (x2, names[1])):
        side = as_tensor(value, name)
        if side.ndim == 1:
            side = side.unsqueeze(1)
        if side.ndim != 2 or 0 in side.shape:
            raise VlalignError(f"{name} must be features [N, D], got shape {list(side.shape)}")
        refuse_infinite(side, name)
        side = side.float().cpu().contiguous()
        if not constant and bool((side == side[0]).all()):
            raise VlalignError(f"{name} has the same values in every row: there is nothing to learn from it")
        sides.append(side)
    if len(sides[0]) != len(sides[1]):
        raise VlalignError(
            f"{names[0]} has {len(sides[0])} rows and {names[1]} has {len(sides[1])}: rows are pairs, so N must agree"
        )
    return sides[0], sides[1]


def _target(y: Any, n: int) -> tuple[Tensor, tuple[str, ...]]:
    """Return classes from 0 with their names, or values without."""
    convert = next((getattr(y, name) for name in ("tolist", "to_list", "to_pylist") if hasattr(y, name)), None)
    values = y if convert is None else convert()
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise VlalignError(f"the labels must be one value a sample, not {type(y).__name__}")
    if len(values) != n:
        raise VlalignError(f"there are {len(values)} labels for {n} samples: give one for each, in their order")
    for i, value in enumerate(values):
        if isinstance(value, list | tuple | dict) or value is None or value != value:
            raise VlalignError(f"label {i} (from 0) is {quoted(value)}: give one text or number a sample")
        if value in (float("inf"), float("-inf")):
            raise VlalignError(f"label {i} (from 0) is infinite: leave that sample out")
    texts = [value for value in values if isinstance(value, str)]
    if texts:
        if len(texts) == n and sum(map(_is_fraction, texts)) > n / 2:
            raise VlalignError(f"the labels are numbers as texts, such as {quoted(texts[0])}: give them as numbers")
    elif any(value != int(value) for value in values):
        target = torch.tensor([float(value) for value in values], dtype=torch.float32)
        if float(target.std()) == 0:
            raise VlalignError("the labels are all equal: there is nothing to learn")
        return target, ()
    keys = [str(value) if texts else int(value) for value in values]
    counts = Counter(keys)
    if len(counts) < 2:
        raise VlalignError(f"all labels are {quoted(str(keys[0]))}: give two classes or more")
    if len(counts) > min(_MOST_CLASSES, n // 2):
        raise VlalignError(
            f"the labels have {len(counts)} different values in {n} samples, too many for classes: give classes, or "
            "a regression target as numbers with fractions"
        )
    order = {key: i for i, key in enumerate(sorted(counts))}
    return torch.tensor([order[key] for key in keys]), tuple(map(str, order))


def _is_fraction(text: str) -> bool:
    try:
        return not float(text).is_integer()
    except (ValueError, OverflowError):
        return False


def _split(split: Any, n: int) -> Tensor:
    if split is None:
        return torch.empty(0, dtype=torch.int64)
    values = [str(value) for value in (split.tolist() if hasattr(split, "tolist") else split)]
    if len(values) != n or set(values) != set(SPLITS):
        raise VlalignError(f"split must hold train, valid or test for each of the {n} samples, and all three")
    return torch.tensor([SPLITS.index(value) for value in values])


def _warn_of_leak(side: Tensor, target: Tensor, name: str) -> None:
    """Warn of columns that are the label, up to shift and scale."""
    columns = side - side.mean(0)
    aim = target.float() - target.float().mean()
    norms = columns.norm(dim=0) * aim.norm()
    r = (aim @ columns).abs() / norms.clamp_min(1e-12)
    leaks = torch.nonzero(r > 0.9999).flatten().tolist()
    if leaks:
        log.warning("%s: column %d equals the label: if it was made from it, leave it out", name, leaks[0])
