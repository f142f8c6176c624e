"""What the arrays of a data set of one's own are: modalities, labels, ids, splits, lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.multibench.data.arrays import Array, check_finite_blocks, check_numbers, id_texts
from vlalign.multibench.data.checks import SPLITS
from vlalign.multibench.data.read import ALIASES, Source

LABELS, IDS, LENGTHS = ("labels", "label"), ("ids", "id"), "_lengths"


def find_modalities(source: Source, parts: Mapping[str, Mapping[str, Array]]) -> tuple[str, ...]:
    """Keys that are modalities, in order, after checking the shapes of all arrays.

    Raises:
        VlalignError: there are fewer than two, or an array does not fit the others.
    """
    aside = {*LABELS, *IDS, "split"}
    first, arrays = next(iter(parts.items()))
    found = tuple(key for key in arrays if key not in aside and not key.endswith(LENGTHS))
    if len(found) < 2:
        raise VlalignError(
            f"{source.path} has the modalities {', '.join(found) or 'none'} (keys {', '.join(arrays) or 'none'}): "
            "expected are two or more beside labels, ids and split"
        )
    for split, arrays in parts.items():
        if lacking := [key for key in found if key not in arrays]:
            raise VlalignError(f"{source.path}: {split} lacks {', '.join(lacking)}, which {first} has")
        for key in found:
            check_numbers(source.title(split, key), arrays[key], (2, 3))
            if arrays[key].shape[1:] != parts[first][key].shape[1:]:
                shapes = [f"[N, {', '.join(map(str, one.shape[1:]))}]" for one in (arrays[key], parts[first][key])]
                raise VlalignError(f"{source.title(split, key)} is {shapes[0]}: expected is {shapes[1]}, as in {first}")
        count = len(arrays[found[0]])
        for key, values in arrays.items():
            if values.ndim == 0 or len(values) != count:
                there = len(values) if values.ndim else "no"
                raise VlalignError(
                    f"{source.title(split, key)} has {there} samples, {found[0]} has {count}: expected {count} samples"
                )
            if key.endswith(LENGTHS) and key.removesuffix(LENGTHS) not in found:
                raise VlalignError(f"{source.title(split, key)} is of no modality: there is {', '.join(found)}")
    return found


def find_labels(source: Source, split: str, arrays: Mapping[str, Array]) -> Array:
    """Labels [N] of a split: numbers or texts.

    Raises:
        VlalignError: they are missing, of another shape, or neither.
    """
    key = next((one for one in LABELS if one in arrays), None)
    if key is None:
        raise VlalignError(f"{source.title(split, 'labels')} is missing: there is {', '.join(arrays)}")
    values = arrays[key]
    if values.size != len(values):
        raise VlalignError(f"{source.title(split, key)} has the shape {list(values.shape)}: expected is [N]")
    values = values.reshape(-1)
    if values.dtype.kind in "OS":
        texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values.tolist()]
        values = np.array(texts)
        if values.dtype.kind not in "fiubU" or len({isinstance(text, str) for text in texts}) > 1:
            raise VlalignError(f"{source.title(split, key)} is neither numbers nor texts: expected is one kind")
    if values.dtype.kind == "f":
        check_finite_blocks(source.title(split, key), lambda: [(np.arange(len(values)), values[:, None])])
    return values


def make_targets(
    source: Source, raw: Mapping[str, Array], task: str | None
) -> tuple[dict[str, Array], str, int | None, list[str]]:
    """Labels by split as int64 classes or as floats, the task, number and names of the classes (None, [] without).

    Raises:
        VlalignError: the labels do not fit the task.
    """
    kinds = {values.dtype.kind for values in raw.values()}
    if kinds & {"U"} and kinds != {"U"}:
        raise VlalignError(f"{source.path}: labels are texts in one split and numbers in another")
    if task is None:
        task = "regression" if "f" in kinds else "classification"
    if task != "classification":
        if "U" in kinds:
            raise VlalignError(f"{source.path}: labels are texts: a {task} needs numbers")
        return {split: values.astype(np.float64) for split, values in raw.items()}, task, None, []
    if "f" in kinds and not all((values == np.round(values)).all() for values in raw.values()):
        raise VlalignError(f"{source.path}: labels are no whole numbers: a classification needs classes")
    every = np.concatenate(list(raw.values()))
    known = np.unique(every)
    if len(known) < 2 or (len(known) > 1000 and len(known) > len(every) // 2):
        raise VlalignError(f"{source.path}: labels have {len(known)} values: a classification needs 2 or more classes, "
                           "and samples of each (--task regression takes numbers)")  # fmt: skip
    names = [f"{value:g}" if isinstance(value, float) else str(value) for value in known.tolist()]
    classes = {split: np.searchsorted(known, values).astype(np.int64) for split, values in raw.items()}
    return classes, task, len(known), names


def check_classes(source: Source, labels: Mapping[str, Array], rows: Mapping[str, Any], names: list[str]) -> None:
    """Raise VlalignError for a class that train has no sample of."""
    part, numbers = rows[SPLITS[0]]
    if names and (lacking := [names[c] for c in range(len(names)) if c not in set(labels[part][numbers].tolist())]):
        raise VlalignError(f"{source.path}: train has no sample with the label {', '.join(lacking[:5])}")


def find_ids(source: Source, split: str, arrays: Mapping[str, Array]) -> list[str]:
    """Ids of a split: those of the file, or rows.

    Raises:
        VlalignError: one is there twice.
    """
    key = next((one for one in IDS if one in arrays), None)
    count = len(next(iter(arrays.values())))
    if key is None:
        return [f"{split or 'sample'}-{row:05d}" for row in range(count)]
    found = id_texts(arrays[key], count)
    if len(set(found)) < count:
        twice = next(one for at, one in enumerate(found) if one in found[:at])
        raise VlalignError(f"{source.title(split, key)} has {twice!r} twice: expected are ids that are unique")
    return found


def given_splits(source: Source) -> dict[str, Array]:
    """Rows of each split by the array ``split``.

    Raises:
        VlalignError: it has another name, or a split has no samples.
    """
    values = id_texts(source.flat["split"], len(source.flat["split"]))
    found: dict[str, list[int]] = {split: [] for split in SPLITS}
    for row, value in enumerate(values):
        split = ALIASES.get(value, value)
        if split not in found:
            raise VlalignError(f"{source.title('', 'split')} has {value[:40]!r} at sample {row}: expected are train, "
                               "valid and test")  # fmt: skip
        found[split].append(row)
    if empty := [split for split, rows in found.items() if not rows]:
        raise VlalignError(f"{source.title('', 'split')} has no {', '.join(empty)}: expected are train, valid and test")
    return {split: np.array(rows, dtype=np.int64) for split, rows in found.items()}


def find_lengths(source: Source, split: str, key: str) -> Array | None:
    """int64 [N], how many frames of a modality count; None where the file does not say.

    Raises:
        VlalignError: a length is out of range.
    """
    arrays = source.splits.get(split, source.flat)
    if key + LENGTHS not in arrays:
        return None
    values, where = arrays[key + LENGTHS], source.title(split, key + LENGTHS)
    frames = arrays[key].shape[1] if arrays[key].ndim == 3 else 1
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise VlalignError(f"{where} is {values.dtype} {list(values.shape)}: expected are whole numbers [N]")
    if values.min() < 1 or values.max() > frames:
        raise VlalignError(f"{where} has {values.min()} to {values.max()}: expected is 1 to {frames}")
    return values.astype(np.int64)
