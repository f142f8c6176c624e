"""What the figures have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from vlalign.display import visible
from vlalign.files import new_file

_T = TypeVar("_T")

COLOURS = ("#0072B2", "#D55E00", "#666666")  # told apart by colour-blind eyes too


def new_figure(width: float, height: float) -> Any:
    """A figure that is drawn to a file, without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, path: str | Path) -> Path:
    """Write a figure; returns the path.

    Raises:
        VlalignError: the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix.removeprefix(".").lower() or None
    with new_file(path) as part:
        figure.savefig(part, format=kind)
    return path


def plain(axes: Any) -> None:
    """Small numbers, and no frame above and to the right."""
    axes.tick_params(labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def evenly(values: Sequence[_T], most: int) -> list[_T]:
    """At most so many of the values, evenly chosen, the first and the last among them.

    >>> evenly(range(1, 11), 4), evenly([1, 2], 4)
    ([1, 4, 7, 10], [1, 2])
    """
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def named(text: str, most: int = 40) -> str:
    """A name as a label of at most so many characters: without its organisation, then without its middle.

    Matplotlib takes what stands between dollar signs for mathematics.
    """
    text = visible(text)
    if len(text) > most:
        text = text.rpartition("/")[2] or text
    return visible(text, most=most).replace("$", r"\$")


def legend(figure: Any, handles: Sequence[Any], names: Sequence[str], **options: Any) -> None:
    """A legend above the panels with as many columns as there is room for; the figure grows by its rows."""
    room = figure.get_figwidth() * 72 / (4.3 * (max(map(len, names)) + 7))  # points; letters of 7 points and a handle
    columns = max(1, min(len(names), int(room)))
    figure.set_figheight(figure.get_figheight() + 0.15 * -(-len(names) // columns))
    figure.legend(handles, names, loc="outside upper left", ncols=columns, frameon=False, fontsize=7, **options)
