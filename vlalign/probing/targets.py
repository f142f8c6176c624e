"""Targets of probes: classes, several labels a sample, or numbers, checked before anything is read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlalign.display import quoted
from vlalign.errors import VlalignError
from vlalign.row_ids import is_missing, label_text, refuse_alike

LEAST = 10  # samples of every class, with and without every label
_MOST_CLASSES = 1000


@dataclass(frozen=True, eq=False)
class Targets:
    """What probes predict.

    Attributes:
        task: classes, labels or regression.
        values: bool [N, C], whether a sample has each class or label; of a regression float64 [N, C].
        names: C names of classes, labels or numbers.
    """

    task: str
    values: NDArray[Any]
    names: list[str]

    @property
    def sha256(self) -> str:
        """Digest of names and values, in hexadecimal digits."""
        content = hashlib.sha256(repr((self.task, self.names, self.values.shape)).encode())
        content.update(np.ascontiguousarray(self.values).tobytes())
        return content.hexdigest()


def make_targets(rows: Sequence[Any], task: str | None = None, names: Sequence[str] = ()) -> Targets:
    """Return the targets of samples.

    Args:
        rows: of each sample a class (text, whole number or boolean), a list of labels, a row of 0 and 1, or a number.
        task: None infers it.
        names: of the columns of rows.

    Raises:
        VlalignError: missing values, one class, classes or labels with fewer than ten samples, text in a regression.
    """
    for i, value in enumerate(rows):
        if is_missing(value):
            raise VlalignError(f"sample {i} (from 0) has no label: leave it out, or give it one")
    lists = any(isinstance(value, list | tuple) for value in rows)
    if task is None:
        task = _task_of(rows, lists)
    if task == "regression":
        return _regression(rows, names)
    if task == "labels":
        return _labels(rows, names)
    if lists:
        raise VlalignError("classes are one value a sample, but samples have lists: choose the task labels")
    texts = [label_text(value) for value in rows]
    classes = _sorted(set(texts))
    refuse_alike(classes, "labels")
    if len(classes) < 2:
        raise VlalignError(f"all samples have one class, {quoted(classes[0])}: give at least two")
    if len(classes) > _MOST_CLASSES:
        raise VlalignError(f"{len(classes)} classes are more than {_MOST_CLASSES}: are these numbers (regression)?")
    place = {name: i for i, name in enumerate(classes)}
    values = np.zeros((len(texts), len(classes)), dtype=bool)
    values[np.arange(len(texts)), [place[text] for text in texts]] = True
    _refuse_rare("class", classes, values.sum(axis=0))
    return Targets("classes", values, classes)


def _task_of(rows: Sequence[Any], lists: bool) -> str:
    if lists:
        numbers = [entry for row in rows if isinstance(row, list | tuple) for entry in row]
        fractions = any(isinstance(entry, float) and entry not in (0, 1) for entry in numbers)
        return "regression" if fractions else "labels"
    numbers = [_number(value) for value in rows]
    return (
        "regression" if None not in numbers and any(value % 1 for value in numbers if value is not None) else "classes"
    )


def _number(value: Any) -> float | None:
    """Return a value as a number; None where it is not a finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _sorted(names: set[str]) -> list[str]:
    """Return names in order, whole numbers by their value."""
    return sorted(names, key=lambda name: (0, int(name), name) if name.lstrip("-").isdecimal() else (1, 0, name))


def _regression(rows: Sequence[Any], names: Sequence[str]) -> Targets:
    table = [list(row) if isinstance(row, list | tuple) else [row] for row in rows]
    if len({len(row) for row in table}) != 1:
        raise VlalignError("a regression needs as many numbers for each sample")
    for i, row in enumerate(table):
        for value in row:
            if _number(value) is None:
                raise VlalignError(f"sample {i} (from 0) has {quoted(value)}: a regression needs finite numbers")
    values = np.array([[float(value) for value in row] for row in table])
    titles = list(names) or (["value"] if values.shape[1] == 1 else [f"value_{i}" for i in range(values.shape[1])])
    if constant := [name for name, column in zip(titles, values.T, strict=True) if column.min() == column.max()]:
        raise VlalignError(f"the target {constant[0]} is constant: it cannot be predicted")
    return Targets("regression", values, titles)


def _labels(rows: Sequence[Any], names: Sequence[str]) -> Targets:
    if not all(isinstance(row, list | tuple) for row in rows):
        raise VlalignError("several labels a sample are lists, or rows of 0 and 1")
    entries = {entry for row in rows for entry in row}
    if len({len(row) for row in rows}) == 1 and len(rows[0]) > 1 and entries <= {0, 1}:
        values = np.array(rows, dtype=bool)
        titles = list(names) or [f"label_{i}" for i in range(values.shape[1])]
    elif all(isinstance(entry, str) or (isinstance(entry, int) and not isinstance(entry, bool)) for entry in entries):
        titles = _sorted({str(entry) for entry in entries})
        refuse_alike(titles, "labels")
        place = {name: i for i, name in enumerate(titles)}
        values = np.zeros((len(rows), len(titles)), dtype=bool)
        for i, row in enumerate(rows):
            values[i, [place[str(entry)] for entry in row]] = True
    else:
        raise VlalignError("labels must be texts or whole numbers, or rows of 0 and 1")
    if not titles:
        raise VlalignError("no sample has a label")
    _refuse_rare("label", titles, np.minimum(values.sum(axis=0), (~values).sum(axis=0)))
    return Targets("labels", values, titles)


def _refuse_rare(kind: str, names: Sequence[str], counts: NDArray[Any]) -> None:
    if rare := [f"{quoted(names[i])} has {counts[i]}" for i in np.flatnonzero(counts < LEAST).tolist()]:
        more = f" and {len(rare) - 3} more" if len(rare) > 3 else ""
        without = " (with it, or without it)" if kind == "label" else ""
        advice = "merge or leave out rare ones" + (", or choose the task regression for numbers" * (kind == "class"))
        raise VlalignError(f"every {kind} needs {LEAST} samples{without}, but {', '.join(rare[:3])}{more}: {advice}")
