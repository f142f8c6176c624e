"""Options that a command line gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlalign.cli.app import program


def options_of(words: Sequence[str]) -> Any:
    """Return the options of a verb that words such as ``["synthetic", "run", "--clip", "2"]`` give."""
    import pydantic  # noqa: F401  # as the program does

    _, bound, _ = program().parse_args(list(words), exit_on_error=False, print_error=False)
    return bound.arguments["options"]
