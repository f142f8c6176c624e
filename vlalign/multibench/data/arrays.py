"""Shared steps of preparing data sets: checks of arrays, standardisation, ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.row_ids import label_text

Array = np.ndarray[Any, Any]
Blocks = Callable[[], Iterable[tuple[Array, Array]]]
ROWS = 256  # samples per block: large files are never copied as a whole


def draw(seed: int, operation: str, sample: str) -> int:
    """Return a number of 128 bits that depends only on its arguments.

    >>> draw(0, "split", "a") == draw(0, "split", "a") != draw(1, "split", "a")
    True
    """
    digest = sha256("\x1f".join(("vlalign", str(seed), operation, sample)).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:16], "big")


def check_numbers(where: str, values: Array, ranks: Sequence[int] = (3,)) -> None:
    """Raise VlalignError unless ``values`` is an array of numbers with one of the ranks; ``where`` names it."""
    shape = list(values.shape)
    if values.dtype.kind == "O":
        raise VlalignError(f"{where} is an array of Python objects {shape}: expected numbers, in one array")
    if values.dtype.kind not in "fiub":
        raise VlalignError(f"{where} is an array of dtype {values.dtype} {shape}: expected numbers")
    if values.ndim not in ranks:
        expected = " or ".join("[N, T, features]" if rank == 3 else "[N, features]" for rank in sorted(ranks)[::-1])
        raise VlalignError(f"{where} has the shape {shape}: expected {expected}")
    if 0 in values.shape:
        raise VlalignError(f"{where} has the shape {shape}: it is empty")


def check_finite(where: str, blocks: Blocks) -> None:
    """Raise VlalignError for values that are not finite in blocks (row numbers, rows [n, ..., F]).

    The message has their number and the position of the first.
    """
    total, first = 0, ""
    for numbers, rows in blocks():
        bad = ~np.isfinite(rows)
        count = int(bad.sum())
        if count and not total:
            row, *rest = (int(i) for i in np.argwhere(bad)[0])
            frame = f", frame {rest[0]}" if len(rest) == 2 else ""
            first = f"{rows[(row, *rest)]:g} at sample {numbers[row]}{frame}, feature {rest[-1]}"
        total += count
    if total:
        raise VlalignError(
            f"{where} has values that are not finite ({total}), the first is {first}: correct or drop these"
        )


def row_blocks(values: Array, numbers: Array, change: Callable[[Array, Array], Array]) -> Blocks:
    """Return a function that yields rows in blocks: their numbers, and ``change`` of them and a copy of the rows."""

    def generate() -> Iterable[tuple[Array, Array]]:
        for start in range(0, len(numbers), ROWS):
            chosen = numbers[start : start + ROWS]
            yield chosen, change(chosen, values[chosen])

    return generate


def count_values(values: Array) -> dict[str, int]:
    """Return how often each value occurs, by its text.

    >>> count_values(np.array([1.0, -1.0, 1.0, 0.1], dtype=np.float32))
    {'-1': 1, '0.1': 1, '1': 2}
    """
    known, counts = np.unique(values, return_counts=True)
    texts = [label_text(value.item()) if value == np.round(value) else str(value) for value in known]
    return dict(zip(texts, counts.tolist(), strict=True))


@dataclass(frozen=True)
class Scale:
    """Mean and population standard deviation of each feature.

    Attributes:
        mean: float64 [F].
        std: float64 [F]; 1 for a constant feature.
        constant: number of constant features.
    """

    mean: Array
    std: Array
    constant: int

    def to_json(self) -> dict[str, Any]:
        """Return JSON values with which other samples can be standardised in the same way."""
        return {"constant_features": self.constant, "mean": self.mean.tolist(), "std": self.std.tolist()}

    def apply(self, rows: Array) -> Array:
        """Return standardised rows [n, T, F], float64."""
        return (rows.astype(np.float64) - self.mean) / self.std


def measure(where: str, blocks: Blocks) -> Scale:
    """Measure the scale of all values in blocks (row numbers, rows [n, ..., F]), which are read twice.

    Raises:
        VlalignError: the numbers are too large to be squared.
    """
    count = 0
    total, low, high, squares = (np.array(value) for value in (0.0, np.inf, -np.inf, 0.0))
    with np.errstate(over="ignore", invalid="ignore"):
        for _, rows in blocks():
            flat = rows.reshape(-1, rows.shape[-1]).astype(np.float64)
            count, total = count + len(flat), total + flat.sum(0)
            low, high = np.minimum(low, flat.min(0, initial=np.inf)), np.maximum(high, flat.max(0, initial=-np.inf))
        mean: Array = total / max(count, 1)
        for _, rows in blocks():
            flat = rows.reshape(-1, rows.shape[-1]).astype(np.float64)
            squares = squares + ((flat - mean) ** 2).sum(0)
        std = np.sqrt(squares / max(count, 1))
    if not (np.isfinite(mean).all() and np.isfinite(std).all()):
        raise VlalignError(f"{where} has numbers that are too large to standardise")
    constant = (low == high) | (std == 0)
    mean = np.where(low == high, low, mean)  # exactly, so that it becomes 0
    return Scale(mean, np.where(constant, 1.0, std), int(constant.sum()))


def as_float32(where: str, rows: Array) -> Array:
    """Return the rows in float32.

    Raises:
        VlalignError: a number is too large for it.
    """
    with np.errstate(over="ignore"):
        values = rows.astype(np.float32)
    if not np.isfinite(values).all():
        raise VlalignError(f"{where} has numbers that are too large for float32")
    return values


def id_texts(values: Array | None, rows: int) -> list[str]:
    """Return ids of a file ([N], or [N, k] of video, start and end) as texts; empty texts without ids.

    >>> id_texts(np.array([[b"abc", b"1.5"], [b"d", b"2"]]), 2)
    ['abc_1.5', 'd_2']
    """
    if values is None:
        return [""] * rows
    texts = []
    for value in values.reshape(len(values), -1) if values.dtype != object else values:
        parts = np.asarray(value, dtype=object).reshape(-1) if not isinstance(value, bytes | str) else [value]
        texts.append("_".join(_id_text(part) for part in parts))
    return texts


def _id_text(part: Any) -> str:
    if isinstance(part, tuple):
        return "_".join(map(_id_text, part))
    text = part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part)
    return "".join(letter if letter.isprintable() else "?" for letter in text.strip("\0"))
