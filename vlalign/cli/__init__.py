"""The command line: one module per verb; ``vlalign <verb>`` and ``scripts/<verb>.py`` call the same function."""

from vlalign.cli.app import main

__all__ = ["main"]
