"""Figures of a uniqueness study: alignment against U, performance against alignment, layer maps at every U.

The functions that save one draw it as PNG and PDF and return the path of the PNG, or None, and write nothing, where
there is nothing to draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.display.figures import (
    COLOURS,
    COLUMN,
    MAP,
    colour_bar,
    evenly,
    font_size,
    frame_cell,
    legend,
    named,
    new_figure,
    on_paper,
    panels,
    per_row,
    plain,
    save,
    set_ticks,
)
from vlalign.display.format import coefficient
from vlalign.errors import VlalignError
from vlalign.scoring.record import ScoreRecord
from vlalign.scoring.record_figures import side_of_rows
from vlalign.stats.correlations import rho_text
from vlalign.uniqueness.points import Point
from vlalign.uniqueness.report.text import chosen_models, curve_rho, edits_text, metric_name, rate_text, readable_fits

if TYPE_CHECKING:
    from vlalign.stats import Correlation
    from vlalign.uniqueness import FamilyCurve, PerformanceFit, UniquenessResult

Load = Callable[[Point], ScoreRecord | None]

MUTED = ("#88CCEE", "#CC6677", "#DDCC77", "#117733", "#AA4499", "#44AA99", "#999933", "#882255")  # Paul Tol's
_INK = "#1a1a1a"
_ROWS = 5  # panel rows of the performance figure
_COLUMNS = 4  # and columns


def save_alignment_vs_u(result: UniquenessResult, path: str | Path) -> Path | None:
    """Draw alignment against U: a panel per family, a thin line per pair, a thick one for their maximum.

    Raises:
        VlalignError: the file cannot be written.
    """
    families = result.curves
    if not families:
        return None
    columns = per_row(len(families) if len(families) <= 4 else 4 if len(families) in (7, 8) else 3)
    rows = -(-len(families) // columns)
    figure = new_figure(max(3.1 * columns, 4.6) + 0.4, (1.6 if on_paper() else 2.5) * rows + 0.6)
    grid = panels(figure, len(families), columns, sharex=True, sharey=True)
    shades = _shades(result.points)
    drawn: dict[str, Any] = {}
    for axes, curve in zip(grid, families, strict=True):
        for other, line in _lines(result.points, curve.family):
            name, colour = shades[other]
            thin = axes.plot(
                *zip(*line, strict=True), color=colour, linewidth=0.9, marker=".", markersize=2.5, zorder=5
            )[0]
            drawn.setdefault(name, thin)
        drawn |= _maximum(axes, curve)
        if len(curve.rates) == 1:
            axes.set_xticks(curve.rates)
        family = named(curve.family, 20 if on_paper() else 36)
        plain(axes, f"{family}\n{_short(curve.rho) if on_paper() else curve_rho(curve)}".strip())
    figure.supxlabel(f"{edits_text(result)} (%)", fontsize=font_size(9))
    figure.supylabel(f"{metric_name(result)} of the best layers", fontsize=font_size(9))
    shown = sorted(drawn.items(), key=lambda item: item[0] not in _KEY)  # the key of every panel first
    legend(figure, [handle for _, handle in shown], [named(name) for name, _ in shown])
    return save(figure, path, pdf=True)


def draw_main(result: UniquenessResult, axes: Any = None, metric: str | None = None) -> Any:
    """Draw the largest alignment of each family against U on one pair of axes, with intervals and the null.

    Args:
        result: of the study.
        axes: Matplotlib axes (default: those of a new figure).
        metric: not used: a study has one.

    Returns:
        The axes.

    Raises:
        VlalignError: no pair of models has a score.
    """
    if not result.curves:
        raise VlalignError("no pair of models has a score, so there is nothing to draw")
    if axes is None:
        axes = new_figure(6.4, 2.4 if on_paper() else 4.0).add_subplot()
    _families(axes, result, lambda rate: rate)
    axes.set_xlabel(f"{edits_text(result)} (%)", fontsize=font_size(9))
    axes.set_ylabel(f"largest {metric_name(result)}", fontsize=font_size(9))
    axes.legend(frameon=False, fontsize=font_size(7))
    return axes


def save_alignment_vs_similarity(result: UniquenessResult, path: str | Path) -> Path | None:
    """Draw the largest alignment of each family against U and, beside it, against measured similarity, 1 at the left.

    Raises:
        VlalignError: the file cannot be written.
    """
    places = result.similarities
    if not places or not result.curves:
        return None
    figure = new_figure(7.6, 2.4 if on_paper() else 3.6)
    grid = panels(figure, 2, per_row(2), sharey=True)
    _families(grid[0], result, lambda rate: rate)
    _families(grid[1], result, places.get)
    grid[0].set_xlabel(f"{edits_text(result)} (%)", fontsize=font_size(9))
    grid[1].set_xlabel("mean cosine to the original captions", fontsize=font_size(9))
    grid[1].invert_xaxis()
    figure.supylabel(f"largest {metric_name(result)}", fontsize=font_size(9))
    grid[0].legend(frameon=False, fontsize=font_size(7))
    return save(figure, path, pdf=True)


def _families(axes: Any, result: UniquenessResult, place: Callable[[float], float | None]) -> None:
    """Draw the largest alignment of each family where ``place`` puts each rate, with intervals and the null."""
    for i, curve in enumerate(result.curves):
        colour = MUTED[i % len(MUTED)]
        rows = [
            (at, largest, low, high, null)
            for rate, largest, low, high, null in zip(
                curve.rates, curve.maxima, curve.low, curve.high, curve.thresholds, strict=True
            )
            if (at := place(rate)) is not None
        ]
        line = [(at, largest) for at, largest, *_ in rows]
        axes.plot(*zip(*line, strict=True), "-o", color=colour, markersize=3.5, label=named(curve.family, 30))
        for at, _, low, high, _ in rows:
            if low is not None and high is not None:
                axes.vlines(at, low, high, color=colour, alpha=0.5, linewidth=2)
        if null := [(at, value) for at, *_, value in rows if value is not None]:
            axes.plot(*zip(*null, strict=True), "--", color=colour, linewidth=0.9)
    axes.plot([], [], "--", color=COLOURS[2], linewidth=0.9, label="null's 95 % point")
    plain(axes)


_KEY = ("largest of all pairs", "its 95 % interval", "null's 95 % point", "chance")


def _short(rho: Correlation | None) -> str:
    """Return ρ alone, or an empty text where it is undefined."""
    return "" if rho is None else f"ρ = {coefficient(rho.r)}"


def _maximum(axes: Any, curve: FamilyCurve) -> dict[str, Any]:
    """Draw a family's maximum with its interval, the null's 95 % point and chance; return handles for the legend."""
    drawn: dict[str, Any] = {}
    drawn[_KEY[0]] = axes.plot(curve.rates, curve.maxima, "-o", color=_INK, linewidth=2, markersize=3.5, zorder=4)[0]
    wide = [
        (rate, low, high)
        for rate, low, high in zip(curve.rates, curve.low, curve.high, strict=True)
        if low is not None and high is not None
    ]
    if wide:
        rates, low, high = zip(*wide, strict=True)
        if len(wide) > 1:
            drawn[_KEY[1]] = axes.fill_between(rates, low, high, color=_INK, alpha=0.18, linewidth=0, zorder=3)
        else:
            drawn[_KEY[1]] = axes.vlines(rates, low, high, color=_INK, alpha=0.5, linewidth=3, zorder=3)
    for name, values, style in ((_KEY[2], curve.thresholds, "--"), (_KEY[3], curve.chance, ":")):
        at = [(rate, value) for rate, value in zip(curve.rates, values, strict=True) if value is not None]
        if len(at) == 1:  # a line needs two ends
            at = [(at[0][0] + shift, at[0][1]) for shift in (-1, 1)]
        if at:
            drawn[name] = axes.plot(*zip(*at, strict=True), style, color=COLOURS[1], linewidth=1.1, zorder=2)[0]
    return drawn


def save_performance(result: UniquenessResult, path: str | Path) -> Path | None:
    """Draw performance against alignment: a row per U, a column per x model, a numbered point per language model.

    At most four x models are shown (the best ones of their families first) and at most five U, evenly chosen. Panels
    with fewer than five language models are left out.

    Raises:
        VlalignError: the file cannot be written.
    """
    from matplotlib.lines import Line2D

    fits = readable_fits(result)
    if not fits:
        return None
    models = chosen_models(
        result.points,
        list(dict.fromkeys(fit.x for fit in fits)),
        per_row(_COLUMNS),
        side="y" if fits[0].swapped else "x",
    )
    rates = evenly(sorted({fit.rate for fit in fits}), _ROWS)
    numbers = {name: i + 1 for i, name in enumerate(dict.fromkeys(name for fit in fits for name in fit.y))}
    height = 1.5 if on_paper() else 2.0
    figure = new_figure(max(2.3 * len(models), 4.6) + 0.5, height * len(rates) + 0.8)
    grid = figure.subplots(len(rates), len(models), sharey="row", squeeze=False)
    at = {(fit.x, fit.rate): fit for fit in fits}
    for row, rate in zip(grid, rates, strict=True):
        for axes, model in zip(row, models, strict=True):
            if fit := at.get((model, rate)):
                plain(axes, _performances(axes, fit, numbers), 7)
                axes.margins(x=0.14, y=0.2)
                axes.locator_params(axis="x", nbins=3 if on_paper() else 5)
            else:
                axes.set_visible(False)
    figure.supxlabel(f"{metric_name(result)} of the best layers", fontsize=font_size(9))
    figure.supylabel("performance: − bits per byte of the captions", fontsize=font_size(9))
    handles = [Line2D([], [], linestyle="") for _ in numbers]
    legend(figure, handles, [f"{n}  {named(name)}" for name, n in numbers.items()], handlelength=0, handletextpad=0)
    return save(figure, path, pdf=True)


def _performances(axes: Any, fit: PerformanceFit, numbers: dict[str, int]) -> str:
    """Draw numbered points and the line of performance on alignment; return the panel's title."""
    slope, start = fit.performance_slope, fit.performance_intercept
    facts = [rho_text(fit.rho, fit.reason)]
    if slope is not None and start is not None:
        ends = [min(fit.scores), max(fit.scores)]
        axes.plot(ends, [start + slope * end for end in ends], color=COLOURS[1], linewidth=1.2, zorder=1)
        facts.insert(0, f"slope {slope:.3g}".replace("-", "−"))
    axes.scatter(fit.scores, fit.performances, s=14, color=COLOURS[0], zorder=2, linewidths=0)
    for score, performance, name in zip(fit.scores, fit.performances, fit.y, strict=True):
        place: dict[str, Any] = {"xytext": (-3, 3), "textcoords": "offset points", "ha": "right"}
        axes.annotate(numbers[name], (score, performance), fontsize=font_size(6.5), **place)
    if on_paper():
        return f"{named(fit.x, 20)}\nU = {rate_text(fit.rate)}, {_short(fit.rho)}".rstrip(", ")
    return f"{named(fit.x, 24)}, U = {rate_text(fit.rate)}\n{', '.join(facts)}"


def save_layer_maps(result: UniquenessResult, load: Load, path: str | Path, x: str, y: str) -> Path | None:
    """Draw the layer × layer matrices of one pair: a panel per U, one scale of colour, best cells framed.

    Layers of a vision model are the rows.

    Args:
        result: of the study.
        load: return the record of a point, or None.
        path: of the figure.
        x, y: names of the models.

    Raises:
        VlalignError: the file cannot be written.
    """
    import numpy as np

    points = sorted((p for p in result.points if (p.x, p.y) == (x, y)), key=lambda point: point.rate)
    drawn = [(point, record) for point in points if (record := load(point)) is not None]
    if not drawn:
        return None
    matrices = [np.asarray(record.matrix, dtype=float) for _, record in drawn]
    rows_of = side_of_rows(drawn[0][1])
    turned = rows_of == "y"
    columns_of = "x" if turned else "y"
    height, width = matrices[0].shape[:: -1 if turned else 1]
    across = per_row(min(len(drawn), 2 if width > 3 * height else 3 if width > 1.5 * height else 4))
    down = -(-len(drawn) // across)
    cell = min(0.3, (COLUMN - 1.9 if on_paper() else 10) / across / width, 8 / down / height)
    panel = max(cell * width, 0.6 if on_paper() else 1.2), max(cell * height, 0.6)
    figure = new_figure(across * (panel[0] + 0.3) + 1.6, down * (panel[1] + 0.35) + (1.0 if on_paper() else 1.3))
    figure.set_layout_engine("compressed")  # for panels whose shape is given
    grid = panels(figure, len(drawn), across, sharex=True, sharey=True)
    low, high = min(float(m.min()) for m in matrices), max(float(m.max()) for m in matrices)
    image = None
    for axes, (point, record), matrix in zip(grid, drawn, matrices, strict=True):
        image = axes.imshow(matrix.T if turned else matrix, cmap=MAP, vmin=low, vmax=high, interpolation="nearest")
        row, column = (record.best[side]["position"] for side in (rows_of, columns_of))
        frame_cell(axes, row - 0.5, column - 0.5)
        axes.set_title(f"U = {rate_text(point.rate)}: {record.score:.3f}", fontsize=font_size(8), loc="left")
    first, axes_of = grid[0], drawn[0][1].axes
    set_ticks(first.xaxis, axes_of[columns_of], room=panel[0])
    set_ticks(first.yaxis, axes_of[rows_of], room=panel[1])
    for axes in grid:
        axes.tick_params(labelsize=font_size(7))
        axes.tick_params(axis="x", labelrotation=90)
    figure.supxlabel(f"layers of {named(x if turned else y, 30)}", fontsize=font_size(9))
    figure.supylabel(f"layers of {named(y if turned else x, 30)}", fontsize=font_size(9))
    colour_bar(figure, image, grid, metric_name(result), shrink=0.9, pad=0.015 + 0.03 * on_paper(), aspect=30)
    return save(figure, path, pdf=True)


def _lines(points: Sequence[Point], family: str) -> list[tuple[str, list[tuple[float, float]]]]:
    """Return per pair of a family of side x the model of side y, and its rates with scores."""
    lines: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for point in sorted(points, key=lambda point: point.rate):
        if point.x_family == family and point.score is not None:
            lines.setdefault((point.x, point.y), []).append((point.rate, point.score))
    return [(y, line) for (_, y), line in lines.items()]


def _shades(points: Sequence[Point]) -> dict[str, tuple[str, str]]:
    """Return per model of side y the name and colour of its line: its own if models are few, else its family's."""
    models = {point.y: point.y_family for point in points}
    named = {name: name for name in models} if len(models) <= len(MUTED) else models
    names = list(dict.fromkeys(named.values()))
    return {model: (name, MUTED[names.index(name) % len(MUTED)]) for model, name in named.items()}
