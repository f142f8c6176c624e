"""Style of the figures and parts that they share.

``with figure_style("paper"):`` draws everything inside for one column of a paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from vlalign.display import visible
from vlalign.errors import VlalignError
from vlalign.files import check_space, new_file
from vlalign.paths import user_path

_T = TypeVar("_T")

COLOURS = ("#0072B2", "#D55E00", "#666666")  # distinguishable by colour-blind eyes, too
MAP = "viridis"  # perceptually even, and the same to colour-blind eyes

#: kinds of files that figures are written as
FigureKind = Literal["png", "pdf", "svg"]
#: styles of figures
Style = Literal["screen", "paper"]
COLUMN = 3.25  # inches: width of a column of a two-column paper
_POINTS = 8.0  # size of all text on paper
_TEXTS = (
    "font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize",
    "figure.titlesize", "figure.labelsize",
)  # fmt: skip
#: settings of files: text of a PDF as TrueType, which venues accept, and of an SVG as text; the same file each time
_FILES = {"pdf.fonttype": 42, "svg.hashsalt": "vlalign", "svg.fonttype": "none"}
_PAPER = dict.fromkeys(_TEXTS, _POINTS) | _FILES | {
    "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5,
    "ytick.major.size": 2.5, "xtick.major.pad": 2, "ytick.major.pad": 2, "axes.labelpad": 2,
    "figure.constrained_layout.w_pad": 0.03, "figure.constrained_layout.h_pad": 0.04,
}  # fmt: skip
_style: ContextVar[Style] = ContextVar("style of figures", default="screen")


@contextmanager
def figure_style(style: Style) -> Iterator[None]:
    """Draw the figures inside in a style.

    Args:
        style: ``screen``; or ``paper``: 3.25 inches wide, one column of a two-column paper, all text in 8 pt, and no
            titles that state what a caption does (panels keep theirs).

    >>> with figure_style("paper"):
    ...     new_figure(7.0, 2.5).get_size_inches().tolist()
    [3.25, 2.5]
    """
    token = _style.set(style)
    try:
        if style == "screen":
            yield  # without Matplotlib, which nothing inside may need
        else:
            from matplotlib import rc_context

            with rc_context(_PAPER):
                yield
    finally:
        _style.reset(token)


def on_paper() -> bool:
    """Return whether figures are drawn in the style ``paper``."""
    return _style.get() == "paper"


def font_size(size: float) -> float:
    """Return the size of a text: ``size`` on the screen, 8 points on paper."""
    return _POINTS if on_paper() else size


def new_figure(width: float, height: float) -> Any:
    """Return a figure of a size in inches, on paper one column wide, that is drawn to a file, without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (COLUMN if on_paper() else width, height)
    figure = Figure(figsize=size, dpi=300 if on_paper() else 150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, path: str | Path, *, pdf: bool = False) -> Path:
    """Write a figure, with ``pdf`` also as PDF beside it; return the path.

    Raises:
        VlalignError: the file cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path = Path(path)
    for target in [path, path.with_suffix(".pdf")][: 1 + pdf]:
        kind = target.suffix.removeprefix(".").lower() or None
        date = {"pdf": "CreationDate", "svg": "Date"}.get(kind or "")  # the same figure is the same file
        with new_file(target) as part, rc_context(_FILES):
            if kind == "png":
                FigureCanvasAgg(figure).print_png(part)  # savefig draws twice
            else:
                figure.savefig(part, format=kind, metadata=None if date is None else {date: None})
        figure.set_layout_engine("none")  # the PDF has the layout of the PNG, which takes half of the time
    return path


def check_figure(path: str | Path) -> Path:
    """Return the path of a figure, after a check that its ending names a kind and that its folder can be written.

    Raises:
        VlalignError: another ending, or a folder that cannot be created or written.
    """
    path = user_path(path)
    kinds = [f".{kind}" for kind in get_args(FigureKind)]
    if path.suffix.lower() not in kinds:
        raise VlalignError(f"figures are drawn as {', '.join(kinds)}: {visible(path)} ends in none of these")
    check_space(path.absolute().parent)
    return path


def with_pdf(paths: Sequence[Path]) -> list[Path]:
    """Return the paths of figures, each followed by that of its PDF."""
    return [file for path in paths for file in (path, path.with_suffix(".pdf"))]


def per_row(most: int) -> int:
    """Return how many panels a row has at most: ``most`` on the screen, two on paper."""
    return min(most, 2) if on_paper() else most


def panels(figure: Any, count: int, columns: int, **options: Any) -> list[Any]:
    """Return panels in rows of ``columns``; the lowest of each column is labelled below."""
    grid = figure.subplots(-(-count // columns), columns, squeeze=False, **options).flat
    for axes in grid[count:]:
        axes.set_visible(False)
    for axes in grid[count - columns : count]:
        axes.tick_params(labelbottom=True)
    return list(grid[:count])


def plain(axes: Any, title: str = "", size: float = 8) -> None:
    """Set small numbers and the title of a panel on the left, if any; remove the frame above and to the right."""
    axes.tick_params(labelsize=font_size(7))
    if title:
        axes.set_title(title, fontsize=font_size(size), loc="left")
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
    bar.set_label(label, fontsize=font_size(8))
    bar.ax.tick_params(labelsize=font_size(7))
    return bar


def set_ticks(axis: Any, layers: Sequence[Mapping[str, Any]], room: float) -> None:
    """Name the layers, as many as fit into ``room`` (inches) without touching, the last one always."""
    count = len(layers)
    step = max(1, -(-count * int(font_size(7) + 4) // int(room * 72)))  # 11 points a label of 7 points
    shown = list(range(0, count, step))
    if shown[-1] != count - 1:
        shown = [i for i in shown if count - 1 - i >= step] + [count - 1]
    axis.set_ticks(shown, labels=[named(str(layers[i]["name"])) for i in shown], fontsize=font_size(7))


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
    room = (
        figure.get_figwidth() * 72 / (0.61 * font_size(7) * (max(map(len, names)) + 7))
    )  # points; letters and a handle
    columns = max(1, min(len(names), int(room)))
    figure.set_figheight(figure.get_figheight() + 0.15 * -(-len(names) // columns))
    figure.legend(
        handles, names, loc="outside upper left", ncols=columns, frameon=False, fontsize=font_size(7), **options
    )
