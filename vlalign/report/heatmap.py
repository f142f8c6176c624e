"""The heat map of a layer × layer matrix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.metrics.base import value_text
from vlalign.report.figures import named, new_figure, save
from vlalign.report.format import p_text

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord

MAP = "viridis"  # perceptually even, and the same to colour-blind eyes


def save_heatmap(record: ScoreRecord, path: str | Path) -> Path:
    """Draws a record's matrix as a PNG: named axes, the best pair marked, chance marked on the colour bar.

    The longer axis lies horizontally. Returns the path.

    Raises:
        VlalignError: the file cannot be written.
    """
    import numpy as np
    from matplotlib.patches import Rectangle

    matrix = np.asarray(record.matrix, dtype=float)
    rows, columns = "x", "y"
    if matrix.shape[0] > matrix.shape[1]:
        matrix, rows, columns = matrix.T, "y", "x"
    height, width = matrix.shape
    cell = min(0.3, 10 / width)
    size = (2.6 + max(cell * width, 4.2), 1.9 + max(cell * height, 1.4))
    figure = new_figure(*size)
    axes = figure.add_subplot()
    shown = [float(matrix.min()), float(matrix.max()), *([] if record.chance is None else [record.chance])]
    image = axes.imshow(matrix, cmap=MAP, vmin=min(shown), vmax=max(shown), aspect="equal", interpolation="nearest")
    set_ticks(axes.xaxis, record.axes[columns], room=figure.get_figwidth() - 2.6)
    set_ticks(axes.yaxis, record.axes[rows], room=figure.get_figheight() - 1.9)
    axes.tick_params(axis="x", labelrotation=90)
    axes.set_xlabel(named(getattr(record, columns)["model"], 80))
    axes.set_ylabel(named(getattr(record, rows)["model"], 80))
    if record.null is not None:
        _outline(axes, matrix > record.null["threshold"])
    row, column = record.best[rows]["position"], record.best[columns]["position"]
    for colour, line in (("black", 3.2), ("white", 1.6)):
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=colour, linewidth=line))
    bar = figure.colorbar(image, cax=axes.inset_axes((1.0 + 0.75 / size[0], 0, 0.2 / size[0], 1)))
    bar.set_label(record.metric["name"].replace("_", "-"))
    if record.chance is not None:
        bar.ax.axhline(record.chance, color="white", linewidth=3)
        bar.ax.axhline(record.chance, color="black", linewidth=1.2)
        bar.ax.annotate(
            "chance", (0, record.chance), xycoords=("axes fraction", "data"), xytext=(-4, 0),
            textcoords="offset points", ha="right", va="center", fontsize=7,
        )  # fmt: skip
    axes.set_title(_title(record), fontsize=9, loc="left")
    return save(figure, path)


def _outline(axes: Any, inside: Any) -> None:
    """Lines around the cells of ``inside`` [rows, columns]: white on black, seen on any colour."""
    import numpy as np
    from matplotlib.collections import LineCollection

    wide = np.pad(inside, 1).astype(int)
    lines = [((j - 0.5, i - 0.5), (j + 0.5, i - 0.5)) for i, j in np.argwhere(np.diff(wide, axis=0)[:, 1:-1])]
    lines += [((j - 0.5, i - 0.5), (j - 0.5, i + 0.5)) for i, j in np.argwhere(np.diff(wide, axis=1)[1:-1])]
    for colour, width in (("black", 2.4), ("white", 1.0)):
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, clip_on=False))


def _title(record: ScoreRecord) -> str:
    best = record.best
    first = f"best {record.score:.3f} at {named(best['x']['name'])} × {named(best['y']['name'])}"
    parts = [f"N = {record.n}", *(f"{name} = {value_text(value)}" for name, value in record.metric["params"].items())]
    if record.chance is not None:
        parts.append(f"chance {record.chance:.4f}")
    if record.null is not None:
        parts.append(f"p {p_text(record)}" if p_text(record).startswith("≤") else f"p = {p_text(record)}")
    if record.null is not None:
        parts.append(f"outlined: above the null's {1 - record.null['alpha']:.0%} point")
    return f"{first}\n{', '.join(parts)}"


def set_ticks(axis: Any, layers: list[dict[str, Any]], room: float) -> None:
    """Layer names, every so many where they would touch; the last one is always named."""
    count = len(layers)
    step = max(1, -(-count * 11 // int(room * 72)))  # 11 points a label of 7 points
    shown = list(range(0, count, step))
    if shown[-1] != count - 1:
        shown = [i for i in shown if count - 1 - i >= step] + [count - 1]
    axis.set_ticks(shown, labels=[named(str(layers[i]["name"])) for i in shown], fontsize=7)
