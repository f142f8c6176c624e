"""Console and tables that reports are printed with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
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


class FittedTable:
    """Table of texts that fits the width of the console, so that names and numbers stay on one line.

    Where the columns are too wide, the first of ``stacks`` becomes one column, its cells below each other, then the
    second; then the columns of ``omit`` are left out, the least important first, and a line below names them. Only then
    long words fold.
    """

    def __init__(
        self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: Sequence[str] = (),
        stacks: Sequence[Sequence[str]] = (), omit: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Keep what the table shows.

        Args:
            columns: their names, each one once.
            rows: cells of each row.
            left: columns of words, beside the first.
            stacks: columns that share one, in this order; a cell of a stack also breaks before × and (.
            omit: columns to leave out, in this order.
        """
        self.rows = [dict(zip(columns, row, strict=True)) for row in rows]
        self.columns, self.left, self.stacks = columns, {columns[0], *left} if columns else {*left}, stacks
        self.omit = [name for name in omit if name in columns]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the widest form of the table that fits, and the names of the columns that are left out."""
        steps = [(i, 0) for i in range(len(self.stacks))]
        for stacked, omitted in [*steps, *((len(self.stacks), i) for i in range(len(self.omit) + 1))]:
            shown = self._table(self.stacks[:stacked], self.omit[:omitted])
            if console.measure(shown, options=options.update(max_width=10_000)).maximum <= options.max_width:
                break
        yield shown
        if omitted:
            yield from notes([f"left out for the width: {', '.join(self.omit[:omitted])}"])

    def _table(self, stacks: Sequence[Sequence[str]], omit: Sequence[str]) -> Table:
        """Return the table with these stacks, without these columns."""
        shown = [name for name in self.columns if name not in omit]
        groups = dict.fromkeys(next((tuple(s) for s in stacks if name in s), (name,)) for name in shown)
        cells: dict[str, list[str]] = {}
        for group in groups:
            names = [name for name in group if name in shown]
            indent = "\n  " if names[0] in self.left else "\n"
            texts = [indent.join(row[name] for name in names) for row in self.rows]
            stacked = group in map(tuple, stacks)
            cells[indent.join(names)] = [re.sub(r" (?=[×(])", indent, text) for text in texts] if stacked else texts
        left = [name for name in cells if name.split("\n")[0] in self.left]
        return table(list(cells), zip(*cells.values(), strict=True), left=left, no_wrap=True, collapse_padding=True)


def facts(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """Return names, dimmed, with their values beside them."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for row in rows:
        grid.add_row(*row)
    return grid


def titled(title: str, table: RenderableType) -> Group:
    """Return a table below its title, which may be wider."""
    return Group(Text(title, style="bold"), table)


def of_page(part: page.Table, **options: Any) -> Group:
    """Return a table of a page for the console; ``options`` are those of :func:`table`."""
    return titled(part.caption, table(part.columns, part.rows, left=part.left, **options))


def notes(texts: Iterable[str], style: str = "dim") -> list[Text]:
    """Return notes as lines below a table."""
    return [Text(visible(f"  {text}"), style=style, overflow="fold") for text in texts]
