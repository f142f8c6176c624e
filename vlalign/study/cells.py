"""Cells of a study's grid: computed once, each kept in a file under the settings it depends on and a checksum."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.store.checksums import canonical, sha256_bytes
from vlalign.store.tensors import load_tensors, save_tensors

log = logging.getLogger(__name__)

T = TypeVar("T")


class Cell(Protocol):
    """A cell of a grid, a frozen dataclass of JSON values."""

    @property
    def name(self) -> str:
        """Name of its file; nothing is ever read back from it."""


C = TypeVar("C", bound=Cell)
V = TypeVar("V")


class CellFiles(Generic[C, V]):
    """Files of finished cells, named tensors each; a study with other values overrides ``pack`` and ``unpack``.

    Args:
        folder: of the files.
        settings: everything a cell depends on beside itself; files of other settings are not read.
    """

    def __init__(self, folder: Path, settings: Any = None) -> None:
        self.folder, self.key = folder, key_of(settings)

    def path(self, cell: C) -> Path:
        """Return the path of a cell's file."""
        return self.folder / cell.name

    def has(self, cell: C) -> bool:
        """Return whether a cell was computed; a damaged file is named in a warning and counts as missing."""
        if not self.path(cell).exists():
            return False
        try:
            self.load(cell)
        except VlalignError as error:
            log.warning("%s; it is computed again", error)
            return False
        return True

    def save(self, cell: C, value: V) -> None:
        """Write a cell's file, whole or not at all.

        Raises:
            VlalignError: it cannot be written.
        """
        save_tensors(self.path(cell), self.pack(value), self.metadata(cell))

    def load(self, cell: C) -> V:
        """Read a cell's file.

        Raises:
            VlalignError: it is missing, damaged, or of other settings.
        """
        tensors = load_tensors(self.path(cell), self.metadata(cell))
        try:
            return self.unpack(cell, tensors)
        except ValueError as error:
            raise VlalignError(f"{self.path(cell)} is damaged: {error}") from error

    def metadata(self, cell: C) -> dict[str, Any]:
        """Return what a cell's file is identified by."""
        return {"key": self.key, "cell": asdict(cell)}  # type: ignore[call-overload]

    def pack(self, value: V) -> Mapping[str, Tensor]:
        """Return the tensors of a value."""
        return value  # type: ignore[return-value]

    def unpack(self, cell: C, tensors: dict[str, Tensor]) -> V:
        """Return the value of tensors; raise ValueError if they are not those of the cell."""
        return tensors  # type: ignore[return-value]


def key_of(settings: Any) -> str:
    """Return the hash of settings, JSON values."""
    return sha256_bytes(canonical(settings).encode())


def grouped(items: Iterable[T], key: Callable[[T], Hashable], size: int | None = None) -> list[list[T]]:
    """Return items with equal keys as lists of at most ``size``, in the order in which keys first appear.

    >>> grouped([1, 2, 3, 5, 7], lambda number: number % 2, 2)
    [[1, 3], [5, 7], [2]]
    """
    groups: dict[Hashable, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return [
        group[start : start + (size or len(group))]
        for group in groups.values()
        for start in range(0, len(group), size or len(group))
    ]
