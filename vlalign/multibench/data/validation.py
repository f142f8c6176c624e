"""Validation of prepared data sets: tasks, splits, shapes, labels and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from torch import Tensor

    from vlalign.multibench.data.prepared import PreparedSplit

SPLITS = ("train", "valid", "test")
TASKS = ("classification", "sentiment", "regression")
POOLS = ("cls", "mean")
_ROWS = 256  # samples per block: masks of a whole large file would be as large as the file


def check_task(where: str, name: str, task: str, classes: int | None, pool: str) -> None:
    """Raise VlalignError unless name, task, classes and pool of a data set have allowed values."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or set(name) & set("/\\"):
        raise VlalignError(f"{where}: name is {name!r}: give a plain word")
    for key, value, allowed in (("task", task, TASKS), ("pool", pool, POOLS)):
        if value not in allowed:
            raise VlalignError(f"{where}: {key} is {value!r}: choose {', '.join(allowed)}")
    if task != "classification" and classes is not None:
        raise VlalignError(f"{where}: classes is {classes!r}: a {task} task has none")
    if task == "classification" and (not isinstance(classes, int) or isinstance(classes, bool) or classes < 2):
        raise VlalignError(f"{where}: classes is {classes!r}: a classification has at least 2")


def check_splits(where: str, modalities: tuple[str, ...], splits: Mapping[str, PreparedSplit]) -> None:
    """Raise VlalignError unless all splits exist, with the same modalities and shapes and unique ids."""
    if set(splits) != set(SPLITS):
        raise VlalignError(f"{where} has the splits {', '.join(splits) or 'none'}: expected {', '.join(SPLITS)}")
    if len(modalities) < 2 or len(set(modalities)) < len(modalities):
        raise VlalignError(f"{where} has the modalities {', '.join(modalities) or 'none'}: expected two or more")
    for name in modalities:
        if not isinstance(name, str) or not name.isidentifier() or name[0] == "_" or name in ("labels", "ids"):
            raise VlalignError(f"{where}: {name!r} cannot be the name of a modality: use letters, digits and _")
    seen: dict[str, str] = {}
    for title, split in splits.items():
        if tuple(split.inputs) != modalities:
            raise VlalignError(f"{where}: {title} has {', '.join(split.inputs)}, not {', '.join(modalities)}")
        for name in modalities:
            shape, first = (
                f"[N, {', '.join(map(str, one.inputs[name].shape[1:]))}]" for one in (split, splits[SPLITS[0]])
            )
            if shape != first:
                raise VlalignError(
                    f"{where}: {name} is {shape} in {title}, {first} in {SPLITS[0]}: splits must agree in frames and "
                    "features"
                )
        for name in split.ids:
            if not isinstance(name, str):
                raise VlalignError(f"{where}: {title} has the id {name!r}, which is no text")
            if name in seen:
                raise VlalignError(f"{where}: the id {name!r} is in {seen[name]} and again in {title}")
            seen[name] = title


def check_split(where: str, split: PreparedSplit, modalities: tuple[str, ...], classes: int | None) -> None:
    """Raise VlalignError unless shapes, dtypes, lengths and labels of a split are valid."""
    import torch

    count = len(split.ids)
    if not count:
        raise VlalignError(f"{where}: no samples")
    for name in modalities:
        values = split.inputs[name]
        if values.dtype != torch.float32 or values.ndim != 3 or len(values) != count or not values.numel():
            raise VlalignError(f"{where}: {name} is {_described(values)}: expected float32 [{count}, T, F]")
    for name, lengths in split.lengths.items():
        if name not in modalities or lengths.dtype != torch.int64 or lengths.shape != (count,):
            raise VlalignError(f"{where}: lengths of {name} are {_described(lengths)}: expected int64 [{count}]")
        low, high, most = int(lengths.min()), int(lengths.max()), split.inputs[name].shape[1]
        if low < 1 or high > most:
            raise VlalignError(f"{where}: lengths of {name} are {low} to {high}: expected 1 to {most}")
    kind = torch.float32 if classes is None else torch.int64
    if split.labels.dtype != kind or split.labels.shape != (count,):
        expected = str(kind).removeprefix("torch.")
        raise VlalignError(f"{where}: labels are {_described(split.labels)}: expected {expected} [{count}]")
    if classes is None and not bool(torch.isfinite(split.labels).all()):
        raise VlalignError(f"{where}: labels have values that are not finite")
    if classes is not None:
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < 0 or high >= classes:
            raise VlalignError(f"{where}: labels are {low} to {high}: expected 0 to {classes - 1}")


def check_finite(where: str, split: PreparedSplit) -> None:
    """Raise VlalignError for a feature that is not finite or padding that is not zero; reads everything."""
    import torch

    for name, values in split.inputs.items():
        frames = torch.arange(values.shape[1])
        for start in range(0, len(values), _ROWS):
            rows = values[start : start + _ROWS]
            if not bool(torch.isfinite(rows).all()):
                row = int((~torch.isfinite(rows)).flatten(1).any(1).nonzero()[0])
                raise VlalignError(f"{where}: {name} of sample {split.ids[start + row]} has values that are not finite")
            if name in split.lengths:
                padding = frames >= split.lengths[name][start : start + _ROWS, None]
                if bool(rows[padding].any()):
                    row = int(((rows != 0).any(2) & padding).any(1).nonzero()[0])
                    raise VlalignError(f"{where}: {name} of sample {split.ids[start + row]} is not zero in its padding")


def _described(values: Tensor) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} {list(values.shape)}"
