"""Decomposed information on the console."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from vlalign.decomposition.result import NOTES
from vlalign.report.console import notes, table, titled

if TYPE_CHECKING:
    from vlalign.decomposition import InformationResult, SeveralInformation


def show_information(
    result: InformationResult | SeveralInformation, names: Sequence[str], files: Sequence[Path], console: Console
) -> None:
    """Print a row for each value, at most 80 columns wide for two modalities, with notes and files below."""
    for i, name in enumerate(names, 1):
        console.print(f"x{i}        {name}", soft_wrap=True)
    console.print(f"samples   {result.samples_text().replace(' samples', '', 1)}, {result.labels_text(3)}")
    texts = result.texts()
    rows = [[Text(cell, style="dim") if cell == "not detected" else cell for cell in row] for row in texts.rows]
    shown = table(texts.columns, rows, left=texts.left, no_wrap=True, collapse_padding=True, pad_edge=False)
    count = "two" if len(names) == 2 else str(len(names))
    console.print(titled(f"What the {count} modalities share about the label, and what they do not", shown))
    shuffles = (
        f"null: 95 % quantile of {result.options.permutations} shuffles of the labels of held-out samples; S must also "
        "exceed that of one modality shuffled within classes"
    )
    same = getattr(result, "independent_synergy", None)
    more = "" if same is None else f": with x1 and x2 independent there, it would be {same:.3f} {result.options.units}"
    console.print(*notes([f"{shuffles}{more}.", *NOTES]), sep="\n")
    for path in files:
        console.print(f"{'figure' if path.suffix == '.png' else 'record':<9} {path}", soft_wrap=True)
