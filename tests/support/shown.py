"""What is printed on a console."""

from __future__ import annotations

from rich.console import Console


def text_of(shown: object, width: int = 80) -> str:
    """The text of something that is printed, or of all that a function prints on the console it is given."""
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        if callable(shown):
            shown(console)
        else:
            console.print(shown)
    return captured.get()
