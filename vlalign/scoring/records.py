"""Several score records as one result: a sequence with a table, a figure, LaTeX and Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from vlalign.display.format import plural
from vlalign.display.result import Card, Result, Texts
from vlalign.display.tables import markdown_table
from vlalign.scoring import tables
from vlalign.scoring.beside import Baselines, has_baseline
from vlalign.scoring.record import ScoreRecord

if TYPE_CHECKING:
    import pandas as pd


_SHOWN = 12  # records in a terminal, and most that a card draws


class ScoreRecords(Result, Sequence[ScoreRecord]):
    """Records of several pairs or metrics; those that are still to compute are computed in order, when they are needed.

    Args:
        records: records, or functions that compute them.

    >>> import torch, vlalign
    >>> x = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    >>> records = vlalign.score_pairs({"a": x, "b": -x}, {"c": 2 * x}, k=3, permutations=0, half_samples=0)
    >>> len(records), [record.title for record in records]
    (2, ['a × c', 'b × c'])
    >>> print(records.to_markdown().splitlines()[2])
    | a | c | 1.0000 | – | 0.0769 | – | – | – | 40 |
    """

    def __init__(self, records: Iterable[ScoreRecord | Callable[[], ScoreRecord]]) -> None:
        self._records = list(records)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> ScoreRecord: ...
    @overload
    def __getitem__(self, index: slice) -> ScoreRecords: ...
    def __getitem__(self, index: int | slice) -> ScoreRecord | ScoreRecords:
        if isinstance(index, slice):
            return ScoreRecords(list(self)[index])
        place = range(len(self))[index]
        for i in range(place + 1):  # what is shared between pairs is released after its last pair
            record = self._records[i]
            if not isinstance(record, ScoreRecord):
                self._records[i] = record()
        return self._records[place]  # type: ignore[return-value]

    def __iter__(self) -> Iterator[ScoreRecord]:
        return (self[i] for i in range(len(self)))

    def lines(self) -> list[str]:
        """Return the number of records, and the best ones as the rows of a table."""
        if not self:
            return ["0"]
        table, more = self.texts(), len(self) - _SHOWN
        shown = markdown_table(table.columns, table.rows[:_SHOWN]).splitlines()
        return [str(len(self)), *shown, *([f"and {more} more"] if more > 0 else [])]

    def card(self) -> Card:
        """Return the card: the table of :meth:`to_markdown`, and the figure of :meth:`plot`."""
        figure = self.plot().figure if 0 < len(self) <= _SHOWN else None
        table = self.texts() if self else Texts([], [])
        best = max((one for one in self if not has_baseline(one)), key=lambda one: one.score, default=None)
        beside = "" if best is None else Baselines(self).text(best)
        lines = [f"{best.title} beside baselines on the same samples: {beside}"] if best and beside else []
        return Card(plural(len(self), "score"), lines, table, figure, "scores with intervals, chance and null")

    def texts(self) -> Texts:
        """Return the table that LaTeX and Markdown show: one row for each record, best first within each metric."""
        return tables.texts(self)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each record with its numbers, best first within each metric.

        q-values (false discovery rate) are over all records.
        """
        return tables.frame(self)

    def plot(self, ax: Any = None) -> Any:
        """Draw the scores as points with their intervals, the chance level and the null's 95 % point of each.

        Args:
            ax: Matplotlib axes (default: those of a new figure).

        Returns:
            The axes.
        """
        from vlalign.scoring.record_figures import draw_scores

        return draw_scores(self, ax)
