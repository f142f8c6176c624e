"""The console that tables are printed on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, Group
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from vlalign.display import visible


class SafeConsole(Console):
    """Shows texts as they are: no markup, no emoji codes, no colouring of numbers, no control characters.

    What has a style is a :class:`rich.text.Text`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "highlight": False, "emoji": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text, such as the cell of a table, without control characters."""
        return super().render_str(visible(text, lines=True), **options)

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of anything, texts with a style included, without control characters."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text, lines=True), segment.style)


def console() -> Console:
    """Standard output; as wide as needed when it is not a terminal, so that paths and tables are not cut in logs."""
    found = SafeConsole()
    return found if found.is_terminal else SafeConsole(width=max(found.width, 120))


def titled(title: str, table: Table) -> Group:
    """A table below its title, which may be wider."""
    return Group(Text(title, style="bold"), table)
