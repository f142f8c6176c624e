"""Options that a command line gives, and its exit status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vlalign.cli import main
from vlalign.cli.app import program


def options_of(words: Sequence[str]) -> Any:
    """Return the options of a verb that words such as ``["synthetic", "run", "--clip", "2"]`` give."""
    import pydantic  # noqa: F401  # as the program does

    _, bound, _ = program().parse_args(list(words), exit_on_error=False, print_error=False)
    return bound.arguments["options"]


def status_of(words: Iterable[object]) -> int:
    """Return the exit status of a command, also of one that ends with a mistake in its words."""
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return int(stop.code or 0)
