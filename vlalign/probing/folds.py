"""Samples to train probes with, to choose with and to test with: by a stable hash of ids, or as given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlalign.display import quoted
from vlalign.errors import VlalignError
from vlalign.probing.targets import Targets

Ints = NDArray[np.int64]
PARTS = ("train", "valid", "test")
_ALIASES = {"val": "valid", "validation": "valid", "dev": "valid", "training": "train", "testing": "test"}
_SHARES = (0.15, 0.3)  # of test samples, and of these and the validation samples, of one split


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows to train with, to choose with and to test with."""

    train: Ints
    valid: Ints
    test: Ints


def hashed_folds(names: Sequence[str], count: int, seed: int) -> list[Fold]:
    """Return folds by a hash of names, so that a sample's part depends on nothing but its name, the count and the seed.

    Args:
        names: of the samples, or of their groups, which then are in one part [N].
        count: 3 or more for cross-fitting: each part is tested once, and the next one chooses; 1 for one split.
        seed: of the hash.

    >>> [fold.test.tolist() for fold in hashed_folds(["p", "q", "p", "r"], 3, 0)]
    [[1], [0, 2], [3]]
    """
    draws = np.array([_uniform(name, seed) for name in names])
    if count == 1:
        test, valid = draws < _SHARES[0], (draws >= _SHARES[0]) & (draws < _SHARES[1])
        return [Fold(*(np.flatnonzero(rows) for rows in (draws >= _SHARES[1], valid, test)))]
    part = (draws * count).astype(np.int64)
    folds = []
    for i in range(count):
        test, valid = part == i, part == (i + 1) % count
        folds.append(Fold(np.flatnonzero(~test & ~valid), np.flatnonzero(valid), np.flatnonzero(test)))
    return folds


def given_fold(split: Sequence[Any], groups: Sequence[str] | None) -> list[Fold]:
    """Return the split as given.

    Raises:
        VlalignError: another name than train, valid or test, a part without samples, or a group in two parts.
    """
    parts = [_ALIASES.get(str(name).lower(), str(name).lower()) for name in split]
    if strange := [name for name in parts if name not in PARTS]:
        raise VlalignError(f"a split is train, valid or test, not {quoted(strange[0])}")
    if groups is not None:
        held: dict[str, str] = {}
        for group, part in zip(groups, parts, strict=True):
            if held.setdefault(group, part) != part:
                raise VlalignError(f"the group {quoted(group)} is in {held[group]} and {part}: keep it in one part")
    rows = [np.flatnonzero(np.array(parts) == part) for part in PARTS]
    if empty := [part for part, members in zip(PARTS, rows, strict=True) if not len(members)]:
        raise VlalignError(f"the split has no {empty[0]} samples: give train, valid and test")
    return [Fold(*rows)]


def check_folds(folds: Sequence[Fold], targets: Targets) -> None:
    """Check that every fold can train and choose, and that the test samples have every class.

    Raises:
        VlalignError: too few samples in a part, or a class or label that a part lacks.
    """
    for i, fold in enumerate(folds):
        for part, rows in vars(fold).items():
            if len(rows) < 2:
                raise VlalignError(f"{part} of fold {i} has {len(rows)} samples: give more samples, or fewer folds")
        _check_part(targets, fold.train, f"fold {i} has no training sample")
    _check_part(targets, np.concatenate([fold.test for fold in folds]), "there is no test sample")


def _check_part(targets: Targets, rows: Ints, problem: str) -> None:
    values = targets.values[rows]
    if targets.task == "regression":
        if constant := [name for name, one in zip(targets.names, values.T, strict=True) if one.min() == one.max()]:
            raise VlalignError(f"{problem} with another value of {constant[0]}: give more samples, or another seed")
        return
    for words, counts in (("with", values.sum(axis=0)), ("without", (~values).sum(axis=0))):
        if (few := np.flatnonzero(counts == 0)).size:
            name = quoted(targets.names[few[0]])
            raise VlalignError(f"{problem} {words} {name}: give more samples, another seed or split, or leave it out")


def _uniform(name: str, seed: int) -> float:
    content = "\x1f".join(("vlalign", str(seed), "probe", name)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(content).digest()[:6], "big") / 2**48
