"""Parts that the figures share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from vlalign.display import visible
from vlalign.files import new_file

_T = TypeVar("_T")

COLOURS = ("#0072B2", "#D55E00", "#666666")  # distinguishable by colour-blind eyes, too
MAP = "viridis"  # perceptually even, and the same to colour-blind eyes


def new_figure(width: float, height: float) -> Any:
    """Return a figure of a size in inches that is drawn to a file, without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, path: str | Path, *, pdf: bool = False) -> Path:
    """Write a figure, with ``pdf`` also as PDF beside it; return the path.

    Raises:
        VlalignError: the file cannot be written.
    """
    from matplotlib import rc_context

    path = Path(path)
    for target in [path, path.with_suffix(".pdf")][: 1 + pdf]:
        kind = target.suffix.removeprefix(".").lower() or None
        date = {"pdf": "CreationDate", "svg": "Date"}.get(kind or "")  # the same figure is the same file
        with new_file(target) as part, rc_context({"svg.hashsalt": "vlalign", "svg.fonttype": "none"}):
            figure.savefig(part, format=kind, metadata=None if date is None else {date: None})
    return path


def with_pdf(paths: Sequence[Path]) -> list[Path]:
    """Return the paths of figures, each followed by that of its PDF."""
    return [file for path in paths for file in (path, path.with_suffix(".pdf"))]


def panels(figure: Any, count: int, columns: int, **options: Any) -> list[Any]:
    """Return panels in rows of ``columns``; the lowest of each column is labelled below."""
    grid = figure.subplots(-(-count // columns), columns, squeeze=False, **options).flat
    for axes in grid[count:]:
        axes.set_visible(False)
    for axes in grid[count - columns : count]:
        axes.tick_params(labelbottom=True)
    return list(grid[:count])


def plain(axes: Any, title: str = "", size: float = 8) -> None:
    """Set small numbers and a title of some size on the left, if any; remove the frame above and to the right."""
    axes.tick_params(labelsize=7)
    if title:
        axes.set_title(title, fontsize=size, loc="left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def frame_cell(axes: Any, row: float, column: float, width: float = 1.3) -> None:
    """Frame a cell of a heat map, given by its lower corner: white on black, visible on any colour."""
    from matplotlib.patches import Rectangle

    for colour, line in (("black", 2 * width), ("white", width)):
        axes.add_patch(
            Rectangle((column, row), 1, 1, fill=False, edgecolor=colour, linewidth=line, clip_on=False)
        )  # fmt: skip


def colour_bar(figure: Any, image: Any, axes: Any, label: str, **options: Any) -> Any:
    """Draw a colour bar beside the axes."""
    bar = figure.colorbar(image, ax=axes, **options)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return bar


def set_ticks(axis: Any, layers: Sequence[Mapping[str, Any]], room: float) -> None:
    """Name the layers, as many as fit into ``room`` (inches) without touching, the last one always."""
    count = len(layers)
    step = max(1, -(-count * 11 // int(room * 72)))  # 11 points a label of 7 points
    shown = list(range(0, count, step))
    if shown[-1] != count - 1:
        shown = [i for i in shown if count - 1 - i >= step] + [count - 1]
    axis.set_ticks(shown, labels=[named(str(layers[i]["name"])) for i in shown], fontsize=7)


def evenly(values: Sequence[_T], most: int) -> list[_T]:
    """Return at most ``most`` of the values, evenly chosen, the first and the last among them.

    >>> evenly(range(1, 11), 4), evenly([1, 2], 4)
    ([1, 4, 7, 10], [1, 2])
    """
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def named(text: str, most: int = 40) -> str:
    """Return a name as a label of at most ``most`` characters: without its organisation, then without its middle.

    Dollar signs are escaped, since Matplotlib reads text between them as mathematics.
    """
    text = visible(text)
    if len(text) > most:
        text = text.rpartition("/")[2] or text
    return visible(text, most=most).replace("$", r"\$")


def legend(figure: Any, handles: Sequence[Any], names: Sequence[str], **options: Any) -> None:
    """Draw a legend above the panels in as many columns as fit; the figure grows by its rows."""
    room = figure.get_figwidth() * 72 / (4.3 * (max(map(len, names)) + 7))  # points; letters of 7 points and a handle
    columns = max(1, min(len(names), int(room)))
    figure.set_figheight(figure.get_figheight() + 0.15 * -(-len(names) // columns))
    figure.legend(handles, names, loc="outside upper left", ncols=columns, frameon=False, fontsize=7, **options)
