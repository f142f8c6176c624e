"""Figures of one score record: heat map of all layer pairs, permutation null, curves against N and k."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.display.figures import (
    COLOURS,
    COLUMN,
    MAP,
    font_size,
    frame_cell,
    legend,
    named,
    new_figure,
    on_paper,
    plain,
    save,
    set_ticks,
)
from vlalign.display.format import metric_title, p_equation
from vlalign.metrics.base import value_text
from vlalign.scoring.beside import is_trivial
from vlalign.scoring.summary import has_layers, p_of_record
from vlalign.scoring.tables import metric_label, model_label

if TYPE_CHECKING:
    from vlalign.scoring.record import ScoreRecord

_NEARLY_ALL = 0.9  # share of significant cells above which the others are marked
_BESIDE = 44  # most letters of two names beside each other in a row of scores
_CURVES = {"n": "samples N", "n_proportional": "samples N, k in proportion", "k": "neighbours k"}


def save_record(record: ScoreRecord, path: str | Path) -> Path:
    """Draw :func:`draw_record` into a file of the kind that its ending names; return the path.

    Raises:
        VlalignError: the file cannot be written.
    """
    return save(draw_record(record).figure, path)


def draw_record(record: ScoreRecord, axes: Any = None) -> Any:
    """Draw a record's heat map; of a single layer pair its score with interval, chance and the null's 95 % point.

    Args:
        record: with any number of layers.
        axes: Matplotlib axes (default: those of a new figure).

    Returns:
        The axes.
    """
    return draw_heat_map(record, axes) if has_layers(record) else draw_scores([record], axes)


def side_of_rows(record: ScoreRecord) -> str:
    """Return the side whose layers are the rows of heat maps: that of vision models, else x."""
    vision = [side for side in ("x", "y") if getattr(record, side).get("modality") == "vision"]
    return "y" if vision == ["y"] else "x"


def heat_map(record: ScoreRecord) -> Any:
    """Return a figure of :func:`draw_heat_map` of a size that suits the number of layers."""
    rows = side_of_rows(record)
    height, width = len(record.axes[rows]), len(record.axes["y" if rows == "x" else "x"])
    beside, below = _margins()
    if on_paper():
        cell = min(0.3, (COLUMN - beside) / width, 4.5 / height)
        figure = new_figure(COLUMN, below + max(cell * height, 0.6))
    else:
        cell = min(0.3, 10 / max(width, height))
        figure = new_figure(beside + max(cell * width, 4.2), below + max(cell * height, 1.4))
    draw_heat_map(record, figure.add_subplot())
    return figure


def _margins() -> tuple[float, float]:
    """Return the inches beside and below a heat map that its labels and colour bar take."""
    return (1.6, 0.9) if on_paper() else (2.6, 1.9)


def draw_heat_map(record: ScoreRecord, axes: Any = None) -> Any:
    """Draw a record's matrix: named axes, the best pair framed, chance marked on the colour bar.

    Layers of a vision model are the rows, those of a text model the columns; without exactly one vision model, x and y.
    Cells above the null's 95 % point are outlined; where they are more than 90 % of the cells, the others are hatched.

    Args:
        record: with any number of layers.
        axes: Matplotlib axes (default: those of a new figure).

    Returns:
        The axes.
    """
    import numpy as np

    if axes is None:
        return heat_map(record).axes[0]
    matrix = np.asarray(record.matrix, dtype=float)
    rows = side_of_rows(record)
    columns = "y" if rows == "x" else "x"
    if rows == "y":
        matrix = matrix.T
    room, (beside, below) = axes.figure.get_size_inches(), _margins()
    shown = [float(matrix.min()), float(matrix.max()), *([] if record.chance is None else [record.chance])]
    image = axes.imshow(matrix, cmap=MAP, vmin=min(shown), vmax=max(shown), aspect="equal", interpolation="nearest")
    set_ticks(axes.xaxis, record.axes[columns], room=room[0] - beside)
    set_ticks(axes.yaxis, record.axes[rows], room=room[1] - below)
    axes.tick_params(axis="x", labelrotation=90)
    longest = 30 if on_paper() else 80
    axes.set_xlabel(named(getattr(record, columns)["model"], longest))
    axes.set_ylabel(named(getattr(record, rows)["model"], longest))
    if record.null is not None:
        above = matrix > record.null["threshold"]
        if above.mean() > _NEARLY_ALL:
            _hatch(axes, ~above)
        else:
            _outline(axes, above)
    frame_cell(axes, record.best[rows]["position"] - 0.5, record.best[columns]["position"] - 0.5, 1.6)
    label = metric_title(record.metric["name"])
    if on_paper():
        bar = axes.figure.colorbar(image, ax=axes, pad=0.03, aspect=14)
        label += "\n(line: chance)" * (record.chance is not None)
    else:
        bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.0 + 0.75 / room[0], 0, 0.2 / room[0], 1)))
    bar.set_label(label)
    if record.chance is not None:
        bar.ax.axhline(record.chance, color="white", linewidth=3)
        bar.ax.axhline(record.chance, color="black", linewidth=1.2)
    if record.chance is not None and not on_paper():
        bar.ax.annotate(
            "chance", (0, record.chance), xycoords=("axes fraction", "data"), xytext=(-4, 0),
            textcoords="offset points", ha="right", va="center", fontsize=7,
        )  # fmt: skip
    if not on_paper():
        axes.set_title(_title(record), fontsize=9, loc="left")
    return axes


def save_scores(records: Sequence[ScoreRecord], path: str | Path) -> Path:
    """Draw :func:`draw_scores` into a file of the kind that its ending names; return the path.

    Raises:
        VlalignError: the file cannot be written.
    """
    return save(draw_scores(records).figure, path)


def draw_scores(records: Sequence[ScoreRecord], axes: Any = None) -> Any:
    """Draw scores as points with their intervals, best first; chance and the null's 95 % point are marked on each row.

    Beside pairs of models, the best trivial pair of each metric is a dashed line, and the others are left out.

    Args:
        records: of one metric, or of several, which then share the axis of scores.
        axes: Matplotlib axes (default: those of a new figure).

    Returns:
        The axes.
    """
    from matplotlib.ticker import MaxNLocator

    trivial = {metric_label(record): record.score for record in sorted(filter(is_trivial, records), key=_score)}
    records = [record for record in records if not is_trivial(record)] or records
    ordered = sorted(records, key=lambda record: (metric_label(record), -record.score))
    several = len({metric_label(record) for record in ordered}) > 1
    models = [[named(model_label(side, ordered), 24 if on_paper() else 40) for side in (r.x, r.y)] for r in ordered]
    stacked = on_paper() or max(map(len, map("".join, models))) > _BESIDE
    names = [("\n× " if stacked else " × ").join(pair) for pair in models]
    if several:
        metrics = [metric_title(metric_label(record, short=True)) for record in ordered]
        names = [f"{pair}\n{metric}" for pair, metric in zip(names, metrics, strict=True)]
    if axes is None:
        height = 0.28 + 0.14 * (several + stacked)
        axes = new_figure(6.4, (0.9 if on_paper() else 1.3) + height * len(ordered)).add_subplot()
    for row, record in enumerate(ordered):
        spread = record.interval
        error = None if spread is None else [[record.score - spread["low"]], [spread["high"] - record.score]]
        label = {True: "score" if spread is None else f"score, {spread['level']:.0%} interval"}.get(row == 0)
        axes.errorbar(record.score, row, xerr=error, fmt="o", color=COLOURS[0], markersize=5, capsize=2.5, label=label)
        if record.chance is not None:
            axes.plot(record.chance, row, "|", color=COLOURS[2], markersize=11, label="chance" if row == 0 else None)
        if record.null is not None:
            label = f"null's {1 - record.null['alpha']:.0%} point" if row == 0 else None
            axes.plot(record.null["threshold"], row, "4", color=COLOURS[1], markersize=8, label=label)
        if (best := trivial.get(metric_label(record))) is not None and not is_trivial(record):
            label = "best trivial pair" if row == 0 else None
            axes.plot([best, best], [row - 0.5, row + 0.5], "--", color="black", linewidth=1, label=label)
    axes.set_yticks(range(len(ordered)), labels=names)
    axes.set_ylim(len(ordered) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    counts = sorted({record.n for record in ordered})
    metric = "score" if several else metric_title(ordered[0].metric["name"])
    axes.set_xlabel(f"{metric}, N = {' or '.join(f'{n:,}' for n in counts)}")
    axes.grid(axis="x", linewidth=0.4, alpha=0.6)
    plain(axes)
    where: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": 3 + bool(trivial)}
    if on_paper():
        where |= {"ncols": 2, "columnspacing": 1, "handletextpad": 0.3}
    axes.legend(frameon=False, fontsize=font_size(7), **where)
    return axes


def _score(record: ScoreRecord) -> float:
    return record.score


def _outline(axes: Any, inside: Any) -> None:
    """Draw lines around the cells of ``inside`` [rows, columns]: white on black, visible on any colour."""
    import numpy as np
    from matplotlib.collections import LineCollection

    wide = np.pad(inside, 1).astype(int)
    lines = [((j - 0.5, i - 0.5), (j + 0.5, i - 0.5)) for i, j in np.argwhere(np.diff(wide, axis=0)[:, 1:-1])]
    lines += [((j - 0.5, i - 0.5), (j - 0.5, i + 0.5)) for i, j in np.argwhere(np.diff(wide, axis=1)[1:-1])]
    for colour, width in (("black", 2.4), ("white", 1.0)):
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, clip_on=False))


def _hatch(axes: Any, cells: Any) -> None:
    """Hatch the cells that are true in ``cells`` [rows, columns]."""
    import numpy as np
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(cells):
        axes.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="////", edgecolor="white", linewidth=0)
        )


def _title(record: ScoreRecord) -> str:
    parts = [f"N = {record.n}", *(f"{name} = {value_text(value)}" for name, value in record.metric["params"].items())]
    if record.chance is not None:
        parts.append(f"chance {record.chance:.4f}")
    if record.null is not None:
        parts.append(p_equation(p_of_record(record)))
    lines = [f"{'best ' * has_layers(record)}{record.score:.3f} at {_best(record)}", ", ".join(parts)]
    if record.null is not None:
        above = sum(value > record.null["threshold"] for row in record.matrix for value in row)
        cells = len(record.axes["x"]) * len(record.axes["y"])
        marked = "all cells" if above == cells else "hatched: not" if above > _NEARLY_ALL * cells else "outlined:"
        lines.append(f"{marked} above the null's {1 - record.null['alpha']:.0%} point")
    return "\n".join(lines)


def _best(record: ScoreRecord) -> str:
    return " × ".join(named(record.best[side]["name"]) for side in "xy")


def save_null(record: ScoreRecord, path: str | Path) -> Path:
    """Draw the maxima of a record's null, their 95 % point and the score, as a PNG. Returns the path.

    Raises:
        VlalignError: the file cannot be written.
    """
    null = record.null
    assert null is not None
    figure = new_figure(6.4, 2.1 if on_paper() else 3.2)
    axes = figure.add_subplot()
    axes.hist(null["maxima"], bins=min(20, max(5, len(null["maxima"]) // 10)), color=COLOURS[2])
    axes.axvline(null["threshold"], color=COLOURS[0], linestyle="--", label=f"{1 - null['alpha']:.0%} point")
    axes.axvline(record.score, color=COLOURS[1], linewidth=2, label=f"score {record.score:.4f}")
    if record.chance is not None:
        axes.axvline(record.chance, color=COLOURS[2], linestyle=":", label=f"chance {record.chance:.4f}")
    metric = metric_title(record.metric["name"])
    axes.set_xlabel(f"largest {metric} over all layer pairs" if has_layers(record) else metric)
    analytic = null.get("method") == "analytic"
    axes.set_ylabel("draws of the null" if analytic else "random pairings")
    pairings = "analytic null, " if analytic else f"{null['permutations']} random pairings, "
    pairings += f"{p_equation(p_of_record(record))}"
    axes.legend(frameon=False, fontsize=font_size(8))
    plain(axes, "" if on_paper() else f"{named(record.title, 90)}\n{pairings}", 9)
    return save(figure, path)


def drawable(record: ScoreRecord) -> dict[str, Any]:
    """Return the curves of a record that have more than one point."""
    return {name: curve for name, curve in (record.curves or {}).items() if len(curve["points"]) > 1}


def save_curves(record: ScoreRecord, path: str | Path) -> Path:
    """Draw the curves of a full record as a PNG: scores, chance, and scores corrected for it. Returns the path.

    Raises:
        VlalignError: the file cannot be written.
    """
    curves = drawable(record)
    if on_paper():
        panels = new_figure(COLUMN, 1.6 * len(curves) + 0.7).subplots(len(curves), 1, squeeze=False)[:, 0]
    else:
        panels = new_figure(4.2 * len(curves) + 0.6, 3.4).subplots(1, len(curves), squeeze=False, sharey=True)[0]
    for axes, (name, curve) in zip(panels, curves.items(), strict=True):
        plain(axes)
        _draw(axes, curve["points"], "largest", COLOURS[0], "largest over layer pairs")
        _draw(axes, curve["points"], "fixed", COLOURS[1], _best(record))
        levels = [(point["at"], point["chance"]) for point in curve["points"] if point.get("chance") is not None]
        if levels:  # those of earlier versions have none
            axes.plot(*zip(*levels, strict=True), "-", color="black", linewidth=0.8, label="chance")
        axes.set_xscale("log")
        ticks = [point["at"] for point in curve["points"]]
        axes.set_xticks(ticks, labels=[str(tick) for tick in ticks], fontsize=font_size(7))
        axes.minorticks_off()
        scored = record.n if name != "k" else record.metric["params"]["k"] or record.n - 1  # None: all others
        axes.axvline(scored, color=COLOURS[2], linewidth=0.8, linestyle=":")
        axes.set_xlabel(_CURVES[name] + ", k fixed" * (name == "n" and "k" in record.metric["params"]))
    figure = panels[0].figure
    if on_paper():
        figure.supylabel(metric_title(record.metric["name"]))
        legend(figure, *panels[0].get_legend_handles_labels())
    else:
        panels[0].set_ylabel(metric_title(record.metric["name"]))
        panels[0].legend(frameon=False, fontsize=7)
        figure.suptitle(f"{named(record.title, 90)}   (dotted: as scored)", fontsize=9, x=0.01, ha="left")
    return save(figure, path)


def _draw(axes: Any, points: list[dict[str, Any]], which: str, colour: str, label: str) -> None:
    """Draw one curve, and the same corrected for chance, with the standard deviations over subsets."""
    for kind, style, text in (("", "-o", label), ("_corrected", "--s", f"{label}, above chance")):
        if known := [point for point in points if point[which + kind] is not None]:
            axes.errorbar(
                [point["at"] for point in known],
                [point[which + kind]["mean"] for point in known],
                yerr=[point[which + kind]["sd"] or 0.0 for point in known],
                fmt=style, color=colour, label=text, markersize=3, linewidth=1.2, alpha=1.0 if not kind else 0.6,
            )  # fmt: skip
