"""Console and tables that reports are printed with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from vlalign.display import visible
from vlalign.report import page


class SafeConsole(Console):
    """Console that prints texts as they are: no markup, no emoji codes, no colouring of numbers, no control characters.

    Texts with a style are :class:`rich.text.Text`.
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
    """Return standard output; at least 120 wide when it is not a terminal, so that logs cut no paths and tables."""
    output = SafeConsole()
    return output if output.is_terminal else SafeConsole(width=max(output.width, 120))


def table(
    columns: Sequence[str], rows: Iterable[Iterable[RenderableType | None]] = (), *, left: Sequence[str] = (),
    no_wrap: bool = False, **options: Any,
) -> Table:  # fmt: skip
    """Return a table of texts: words in the first column and those of ``left``, numbers in the others.

    Args:
        columns: their names.
        rows: cells of each row, strings or styled texts.
        left: columns of words, which break where they are too long.
        no_wrap: keep numbers on one line.
        **options: of :class:`rich.table.Table`.
    """
    result = Table(box=box.SIMPLE_HEAD, title_justify="left", **options)
    for i, name in enumerate(columns):
        if i == 0 or name in left:
            result.add_column(name, overflow="fold")
        else:
            result.add_column(name, justify="right", no_wrap=no_wrap)
    for row in rows:
        result.add_row(*row)
    return result


def facts(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """Return names, dimmed, with their values beside them."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for row in rows:
        grid.add_row(*row)
    return grid


def titled(title: str, table: Table) -> Group:
    """Return a table below its title, which may be wider."""
    return Group(Text(title, style="bold"), table)


def of_page(part: page.Table, **options: Any) -> Group:
    """Return a table of a page for the console; ``options`` are those of :func:`table`."""
    return titled(part.caption, table(part.columns, part.rows, left=part.left, **options))


def notes(texts: Iterable[str], style: str = "dim") -> list[Text]:
    """Return notes as lines below a table."""
    return [Text(visible(f"  {text}"), style=style, overflow="fold") for text in texts]
