"""Results that show themselves: lines in a terminal, a card in a notebook, a table and a figure for a paper."""

from __future__ import annotations

import base64
import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.display import visible
from vlalign.display.tables import latex_table, markdown_table

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 12  # of a card, and of a table in a terminal


@dataclass(frozen=True)
class Texts:
    """A table of texts.

    Attributes:
        columns: their names.
        rows: cells of each row.
        left: columns of words beside the first one, aligned to the left; the others hold numbers.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[str] = ()


@dataclass(frozen=True)
class Card:
    """Contents of a card; every text is escaped when it is rendered.

    Attributes:
        title: of the card.
        sentences: what the result shows.
        table: facts with their names, or a table with the names of its columns.
        figure: Matplotlib figure, if any; ``alt`` describes it for those who cannot see it.
        notes: lines below.
    """

    title: str
    sentences: Sequence[str]
    table: Texts
    figure: Any = None
    alt: str = ""
    notes: Sequence[str] = ()

    def html(self) -> str:
        """Return the card as HTML that needs nothing but itself."""
        from jinja2 import Environment

        picture = ""
        if self.figure is not None:
            content = io.BytesIO()
            self.figure.savefig(content, format="png", dpi=110)
            picture = base64.b64encode(content.getvalue()).decode()
        more = len(self.table.rows) - _ROWS
        notes = [*self.notes, *([f"and {more} more rows"] if more > 0 else [])]
        template = Path(__file__).with_name("card.html").read_text(encoding="utf-8")
        return (
            Environment(autoescape=True)
            .from_string(template)
            .render(
                title=visible(self.title),
                sentences=list(map(visible, self.sentences)),
                columns=list(map(visible, self.table.columns)),
                numbers=[visible(name) for name in self.table.columns if name not in self.table.left],
                rows=[list(map(visible, row)) for row in self.table.rows[:_ROWS]],
                figure=picture,
                alt=visible(self.alt),
                notes=list(map(visible, notes)),
            )
        )


class Result(ABC):
    """Base of results that show themselves."""

    @abstractmethod
    def lines(self) -> list[str]:
        """Return a title and up to four lines of what the result shows."""

    @abstractmethod
    def card(self) -> Card:
        """Return the contents of the card that notebooks show."""

    @abstractmethod
    def texts(self) -> Texts:
        """Return the table that LaTeX and Markdown show."""

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """Return the numbers as a data frame."""

    @abstractmethod
    def plot(self, ax: Any = None) -> Any:
        """Draw the result.

        Args:
            ax: Matplotlib axes (default: those of a new figure).

        Returns:
            The axes.
        """

    def figure(self) -> Any:
        """Return the Matplotlib figure of :meth:`plot`."""
        return self.plot().figure

    def __repr__(self) -> str:
        title, *lines = map(visible, self.lines())
        return "\n  ".join([f"{type(self).__name__}({title})", *lines])

    def _repr_html_(self) -> str:
        return self.card().html()

    def to_latex(self, **options: Any) -> str:
        """Return a LaTeX table for booktabs; ``options`` (caption, label, …) are those of pandas' ``to_latex``."""
        return latex_table(**vars(self.texts()), **options)

    def to_markdown(self) -> str:
        """Return a Markdown table."""
        table = self.texts()
        return markdown_table(table.columns, table.rows) + "\n"
