"""Figures of a MultiBench study: alignment against performance, layer by layer, and both against depth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.display.figures import (
    COLOURS,
    MAP,
    colour_bar,
    evenly,
    font_size,
    frame_cell,
    legend,
    named,
    new_figure,
    on_paper,
    per_row,
    plain,
    save,
)
from vlalign.display.format import metric_title, signed
from vlalign.multibench.report.text import Direction, Shown, p_equal, r_interval, r_text

if TYPE_CHECKING:
    from vlalign.multibench import MultibenchResult

_MARKERS = "osD^vPX<>*"  # of seeds; with more seeds all are dots
_PANELS = 5  # depths of the layer maps
_VISION = ("image", "vision")  # modalities whose layers are on y
_NAME = 14  # longest name of a modality


def save_figures(shown: Shown, folder: Path) -> dict[str, Path]:
    """Draw all figures as PNG and PDF into an existing folder; return the PNGs by name: scatter, depth, layers.

    With too few encoders for correlations there is no scatter.

    Raises:
        VlalignError: a file cannot be written.
    """
    return {
        name: save(draw(shown), folder / f"{name}.png", pdf=True)
        for name, draw in (("scatter", _scatter), ("depth", _depth), ("layers", _layers))
        if shown.enough or draw is not _scatter
    }


def draw_main(result: MultibenchResult, axes: Any = None, metric: str | None = None) -> Any:
    """Draw the correlation of alignment and test performance of each direction with its 95 % interval.

    Intervals count depths, which are alike within; for fewer than five depths, encoders.

    Args:
        result: of the study.
        axes: Matplotlib axes (default: those of a new figure).
        metric: one of the study's (default: the first).

    Returns:
        The axes.

    Raises:
        VlalignError: the study has no such metric.
    """
    shown = Shown(result, metric)
    if axes is None:
        axes = new_figure(6.4, (0.7 if on_paper() else 0.9) + 0.3 * len(shown.directions)).add_subplot()
    axes.axvline(0, color=COLOURS[2], linewidth=0.8, linestyle=":")
    for row, one in enumerate(shown.directions):
        if (rho := one.depths or one.pearson) is not None:
            spread = [[rho.r - rho.low], [rho.high - rho.r]]
            axes.errorbar(rho.r, row, xerr=spread, fmt="o", color=COLOURS[0], markersize=4, capsize=2)
    names = [f"{named(one.modality, _NAME)} with {named(one.reference, _NAME)}" for one in shown.directions]
    axes.set_yticks(range(len(names)), labels=names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(-1.05, 1.05)
    between = "\n" if on_paper() else " "
    label = f"Pearson's r of {metric_title(shown.metric)}{between}and test {result.performance}"
    axes.set_xlabel(label, fontsize=font_size(9))
    plain(axes)
    return axes


def _panels(shown: Shown, height: float) -> tuple[Any, Any]:
    """Return a figure with both directions of a pair side by side, a row for each pair."""
    rows = len(shown.directions) // 2
    figure = new_figure(7.6, (1.7 if on_paper() else height) * rows + 0.3)
    return figure, figure.subplots(rows, 2, squeeze=False)


def _scatter(shown: Shown) -> Any:
    """Draw alignment against test performance, a panel for each direction, a dot for each encoder."""
    import numpy as np
    from matplotlib.lines import Line2D

    result, metric = shown.result, shown.metric
    figure, grid = _panels(shown, 2.75)
    seeds, depths = result.config["seeds"], result.config["depths"]
    shapes = {seed: _MARKERS[i] if len(seeds) <= len(_MARKERS) else "o" for i, seed in enumerate(seeds)}
    dots = None
    for axes, one in zip(grid.flat, shown.directions, strict=True):
        if one.pearson is not None:
            x, y = one.rows[metric].to_numpy(), one.rows["test"].to_numpy()
            slope, at = np.polyfit(x - x.mean(), y, 1)
            ends = np.array([x.min(), x.max()])
            axes.plot(ends, at + slope * (ends - x.mean()), color=COLOURS[2], linewidth=0.9, zorder=1)
        for seed, shape in shapes.items():
            rows = one.rows[one.rows["seed"] == seed]
            dots = axes.scatter(
                rows[metric], rows["test"], s=22, c=rows["depth"], marker=shape, cmap=MAP, vmin=min(depths),
                vmax=max(depths), edgecolors="#333333", linewidths=0.4, zorder=2,
            )  # fmt: skip
        best = f"depth {one.best['depth']}, seed {one.best['seed']}"
        modality, reference = named(one.modality, _NAME), named(one.reference, _NAME)
        title = f"{modality} with {reference}" if on_paper() else f"{modality} with the best of {reference} ({best})"
        axes.set_title(f"{title}\n{_correlation(one, result)}", fontsize=font_size(7.5), loc="left")
        axes.locator_params(nbins=6)
        if on_paper():
            axes.locator_params(axis="x", nbins=3)
        plain(axes)
    figure.supxlabel(f"{metric_title(metric)} with the reference, of the best layers", fontsize=font_size(9))
    figure.supylabel(f"test {result.performance}", fontsize=font_size(9))
    colour_bar(figure, dots, grid, "depth of the encoder", ticks=evenly(depths, _PANELS), aspect=30, pad=0.015)
    if 1 < len(seeds) <= len(_MARKERS):
        style: dict[str, Any] = {"linestyle": "", "markersize": 4.5, "color": "#555555"}
        legend(
            figure, [Line2D([], [], marker=shape, **style) for shape in shapes.values()], [f"seed {s}" for s in shapes]
        )
    return figure


def _correlation(one: Direction, result: MultibenchResult) -> str:
    """Return the correlation for a panel's title."""
    if one.pearson is None:
        return "no r" if on_paper() else f"no r: {one.why}"
    if on_paper():
        return f"r = {r_text(one.pearson)}"
    of, what = (one.depths, "depths") if one.depths is not None else (one.pearson, "encoders")
    return f"r = {r_text(of)} [{r_interval(of)}], {p_equal(of, result)} counting {what}"


def _depth(shown: Shown) -> Any:
    """Draw performance (left axis) and alignment (right axis) by depth: means over seeds, a dot for each encoder."""
    result, metric = shown.result, shown.metric
    figure, grid = _panels(shown, 2.3)
    depths = result.config["depths"]
    for axes, one in zip(grid.flat, shown.directions, strict=True):
        other = axes.twinx()
        for place, (side, column, shape) in enumerate(((axes, "test", "o"), (other, metric, "^"))):
            colour = COLOURS[place]
            means = one.rows.groupby("depth")[column].mean()
            side.scatter(one.rows["depth"], one.rows[column], s=9, marker=shape, color=colour, alpha=0.45, linewidths=0)
            side.plot(means.index, means, "-" if not place else "--", color=colour, linewidth=1.4)
            side.tick_params(axis="y", colors=colour)
            side.locator_params(axis="y", nbins=5)
            plain(side)
        other.spines["right"].set_visible(True)
        if axes in grid[:, 0]:
            axes.set_ylabel(f"● test {result.performance}", fontsize=font_size(8), color=COLOURS[0])
        else:
            other.set_ylabel(
                f"▲ {metric_title(metric)}", fontsize=font_size(8), color=COLOURS[1], rotation=270, va="bottom"
            )
        most = 5 if on_paper() else 12
        axes.set_xticks(depths if len(depths) <= most else evenly(depths, min(most, 10)))
        between = " with " if on_paper() else " encoders, alignment with "
        title = f"{named(one.modality, _NAME)}{between}{named(one.reference, _NAME)}"
        axes.set_title(title, fontsize=font_size(8), loc="left")
    figure.supxlabel("depth of the encoder", fontsize=font_size(9))
    return figure


def _layers(shown: Shown) -> Any:
    """Draw heat maps of layer × reference layer, means over seeds: a row for each direction, a map for some depths.

    Layers of images are the rows, else those of the encoders that vary.
    """
    result, metric = shown.result, shown.metric
    table = result.layers[result.layers["metric"] == metric]
    depths = evenly(result.config["depths"], per_row(_PANELS))
    table = table[table["depth"].isin(depths)]
    means = table.groupby(["modality", "reference", "depth", "layer", "reference_layer"])["value"].mean()
    low, high = float(means.min()), float(means.max())
    tall = 0.95 + min(0.9 if on_paper() else 1.6, max(0.8 if on_paper() else 1.0, 0.35 + 0.16 * max(depths)))
    figure = new_figure(max(3.6, 1.35 * len(depths) + 1.1), tall * len(shown.directions))
    parts = figure.subfigures(len(shown.directions), 1, squeeze=False).flat
    for part, one in zip(parts, shown.directions, strict=True):
        grid = part.subplots(1, len(depths), sharex=True, sharey=True, squeeze=False)[0]
        image = None
        turned = one.reference in _VISION and one.modality not in _VISION
        labels = f"{named(one.modality, _NAME)} layer", f"layer of the best {named(one.reference, _NAME)}"
        order, limits = "xy" if turned else "yx", (max(depths), int(one.best["depth"]))
        for axes, depth in zip(grid, depths, strict=True):
            cells = means.loc[(one.modality, one.reference, depth)].unstack()
            cells = cells.T if turned else cells
            rows, columns = cells.shape
            image = axes.imshow(
                cells, origin="lower", cmap=MAP, vmin=low, vmax=high, aspect="auto", interpolation="nearest",
                extent=(0.5, columns + 0.5, 0.5, rows + 0.5),
            )  # fmt: skip
            x, y = divmod(int(cells.to_numpy().argmax()), columns)
            frame_cell(axes, x + 0.5, y + 0.5)
            title = f"depth {depth}: {signed(float(cells.to_numpy().max()))}"
            axes.set_title(title, fontsize=font_size(7.5), loc="left")
            axes.set(
                **{f"{axis}lim": (0.5, most + 0.5) for axis, most in zip(order, limits, strict=True)},
                **{f"{axis}ticks": evenly(range(1, most + 1), 5) for axis, most in zip(order, limits, strict=True)},
            )
            plain(axes)
        part.supylabel(labels[turned], fontsize=font_size(8))
        part.supxlabel(labels[not turned], fontsize=font_size(8))
        colour_bar(part, image, grid, metric_title(metric), aspect=14, pad=0.02)
    return figure
