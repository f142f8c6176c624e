"""Whether what a file of the Hub tells has the type and range that readers rely on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_MOST = 2**31  # of rows, widths and indices: lists of Parquet are not longer
_LONGEST = 80  # characters of a value in an error


def is_whole(value: object, least: int = 0, below: int = _MOST) -> bool:
    """A whole number, and no truth value.

    >>> is_whole(3), is_whole(True), is_whole(0, least=1), is_whole(10**400)
    (True, False, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < below


def is_ratio(value: object) -> bool:
    """A number from 0 to 1."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def is_text(value: object, pattern: str = "(?s).*") -> bool:
    """A text that the pattern fits as a whole."""
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def mapping(value: Any, name: str) -> dict[str, Any]:
    """The value, an object.

    Raises:
        TypeError: it is something else; ``name`` says what.
    """
    if not isinstance(value, dict):
        raise TypeError(f"{name} is {short(value)}")
    return value


def short(value: object) -> str:
    """A value on one line of an error, cut if it is long."""
    text = " ".join((repr(value) if isinstance(value, str) else str(value)).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def flaw_of(told: Mapping[str, Any]) -> str | None:
    """What is wrong with the entries of a layer, an extra, a shard or a Parquet file, None if nothing is.

    >>> flaw_of({"name": "block_0", "width": "x"})
    "width is 'x'"
    """
    return next((f"{name} is {short(value)}" for name, value in told.items() if not _FITS[name](value)), None)


_FITS: dict[str, Callable[[Any], bool]] = {
    "index": lambda value: is_whole(value, -1),
    "name": lambda value: is_text(value, "(?s).+"),
    "width": lambda value: is_whole(value, 1),
    "convention": is_text,
    "column": is_text,
    "dtype": is_text,
    "shape": lambda value: all(is_whole(length) for length in value),
    "file": is_text,
    "path": is_text,
    "sha256": lambda value: is_text(value, "[0-9a-f]{64}"),
    "bytes": lambda value: is_whole(value, below=2**60),
    "start": is_whole,
    "stop": is_whole,
}
