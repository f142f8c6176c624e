"""Figures of a synthetic study, after figures 4, 6, 7 and 9 of arXiv 2502.16282."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.display.figures import (
    COLOURS,
    MAP,
    colour_bar,
    font_size,
    new_figure,
    on_paper,
    panels,
    per_row,
    plain,
    save,
)
from vlalign.display.format import coefficient, metric_title
from vlalign.stats.correlations import rho_short
from vlalign.synthetic.report.text import chance_of
from vlalign.synthetic.results import LEAST, OF_DEPTHS, headline, maxima, rank_correlations, rho_of_maxima

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.synthetic import SyntheticResult

_PANELS = 5  # of D_φ, and of U, at most


def save_figures(result: SyntheticResult, metric: str, folder: Path) -> dict[str, Path]:
    """Draw all figures that have values as PNG and PDF into ``folder``; return the PNGs by name.

    Each modality beyond the second has its own, with its number.

    Raises:
        VlalignError: a file cannot be written.
    """
    made = {}
    table = headline(result.table)
    for modality in sorted(table["modality"].unique()):
        rows = table[table["modality"] == modality]
        end = f"-modality{modality}" if modality > 2 else ""
        for name, draw in (
            ("alignment", _alignment), ("heatmaps", _heatmaps), ("correlations", _correlations),
            ("performance", _performance),
        ):  # fmt: skip
            if figure := draw(rows, metric, result):
                made[name + end] = save(figure, folder / f"{name}{end}.png", pdf=True)
    return made


def draw_main(result: SyntheticResult, axes: Any = None, metric: str | None = None) -> Any:
    """Draw the largest alignment over encoders against U on one pair of axes, a line for each depth of φ.

    Args:
        result: of the study.
        axes: Matplotlib axes (default: those of a new figure).
        metric: one of the study's (default: the first).

    Returns:
        The axes.

    Raises:
        VlalignError: the study has no such metric.
    """
    from matplotlib import colormaps

    metric = result.chosen_metric(metric)
    most = maxima(result.table, metric)
    modalities, phis = (list(dict.fromkeys(most.index.get_level_values(name))) for name in ("modality", "phi_depth"))
    if axes is None:
        axes = new_figure(6.4, 2.4 if on_paper() else 4.0).add_subplot()
    for (modality, phi), row in most.iterrows():
        colour = colormaps[MAP](phis.index(phi) / max(1, len(phis) - 1) * 0.9)  # the lightest is invisible on white
        label = f"$D_\\phi$ = {phi}" + (f", modality {modality}" if len(modalities) > 1 else "")
        style = ("-o", "--s", ":^")[modalities.index(modality) % 3]
        axes.plot(row.index, row, style, color=colour, markersize=3, linewidth=1.2, label=label)
    if (chance := chance_of(metric, int(result.config["align_samples"]))) is not None:
        axes.axhline(chance, color=COLOURS[2], linestyle=":", linewidth=1, label="chance")
    axes.set_xticks(list(most.columns))
    axes.set_xlabel("uniqueness U", fontsize=font_size(9))
    axes.set_ylabel(f"largest {metric_title(metric)}", fontsize=font_size(9))
    plain(axes)
    axes.legend(frameon=False, fontsize=font_size(7), ncols=1 + (len(most) > 6))
    return axes


def _alignment(table: pd.DataFrame, metric: str, result: SyntheticResult) -> Any:
    """Draw the alignment of every encoder against U, a panel for each D_φ, with the maxima and their ρ."""
    phis = _some(sorted(table["phi_depth"].unique()))
    columns = per_row(len(phis))
    figure = new_figure(2.15 * len(phis) + 0.6, 1.6 * -(-len(phis) // columns) + 0.4 if on_paper() else 2.6)
    grid = panels(figure, len(phis), columns, sharex=True, sharey=True)
    most, rhos = maxima(table, metric), rho_of_maxima(table, metric)
    chance = chance_of(metric, int(result.config["align_samples"]))
    modality = int(table["modality"].iloc[0])
    for axes, phi in zip(grid, phis, strict=True):
        rows = table[table["phi_depth"] == phi]
        axes.scatter(rows["uniqueness"], rows[metric], s=7, color=COLOURS[0], alpha=0.35, linewidths=0, zorder=2)
        best = most.loc[(modality, phi)]
        axes.plot(best.index, best, "-o", color=COLOURS[1], markersize=4, linewidth=1.4, zorder=3)
        if chance is not None:
            axes.axhline(chance, color=COLOURS[2], linestyle=":", linewidth=1, zorder=1)
        axes.set_xticks(sorted(table["uniqueness"].unique()))
        rho = rhos[modality, phi]
        short = coefficient(rho.r) if on_paper() and rho is not None else rho_short(rho)
        plain(axes, f"$D_\\phi$ = {phi}" + (f"\nρ = {short}" if rho is not None else ""))
    figure.supxlabel("uniqueness U", fontsize=font_size(9))
    figure.supylabel(metric_title(metric), fontsize=font_size(9))
    return figure


def _heatmaps(table: pd.DataFrame, metric: str, result: SyntheticResult) -> Any:
    """Draw the mean alignment over seeds, D_φ across and D_Enc up, a panel for each U; one scale of colours."""
    us = sorted(table["uniqueness"].unique())
    columns = per_row(min(_PANELS, len(us)))
    lines = -(-len(us) // columns)
    figure = new_figure(1.75 * columns + 1.0, (1.35 if on_paper() else 1.75) * lines + 0.6)
    grid = panels(figure, len(us), columns, sharex=True, sharey=True)
    means = table.groupby(["uniqueness", "depth", "phi_depth"])[metric].mean()
    low, high = min(0.0, float(means.min())), float(means.max())
    image = None
    for axes, u in zip(grid, us, strict=True):
        cells = means.loc[u].unstack()
        image = axes.imshow(cells, origin="lower", cmap=MAP, vmin=low, vmax=high, aspect="auto")
        axes.set_title(f"U = {u}", fontsize=font_size(8), loc="left")
        for axis, names in ((axes.xaxis, cells.columns), (axes.yaxis, cells.index)):
            step = -(-len(names) // (5 if on_paper() else 10))
            axis.set_ticks(range(0, len(names), step), labels=[str(name) for name in names[::step]])
        axes.tick_params(labelsize=font_size(6))
    colour_bar(figure, image, grid, metric_title(metric), shrink=0.8)
    figure.supxlabel("depth of φ, $D_\\phi$", fontsize=font_size(9))
    figure.supylabel("depth of the encoder, $D_{Enc}$", fontsize=font_size(9))
    return figure


def _correlations(table: pd.DataFrame, metric: str, result: SyntheticResult) -> Any:
    """Draw box plots by U, over φ and seeds, of the rank correlations of alignment, performance and depth, if any."""
    rhos = rank_correlations(table, metric)
    if rhos[list(OF_DEPTHS)].isna().all(axis=None):
        return None
    us = sorted(rhos["uniqueness"].unique())
    columns = 1 if on_paper() else len(OF_DEPTHS)
    figure = new_figure(9.6, 1.4 * len(OF_DEPTHS) + 0.3 if on_paper() else 2.8)
    grid = panels(figure, len(OF_DEPTHS), columns, sharex=True, sharey=True)
    for axes, name in zip(grid, OF_DEPTHS, strict=True):
        axes.axhline(0, color=COLOURS[2], linewidth=0.8, linestyle=":")
        for at, u in enumerate(us):
            values = rhos.loc[rhos["uniqueness"] == u, name].dropna().to_numpy()
            if len(values) >= LEAST:
                axes.boxplot(
                    values, positions=[at], widths=0.6, medianprops={"color": COLOURS[1], "linewidth": 1.6},
                    flierprops={"markersize": 2.5},
                )  # fmt: skip
            else:
                axes.plot([at] * len(values), values, ".", color=COLOURS[0])
        axes.set_xticks(range(len(us)), labels=[str(u) for u in us])
        axes.set_ylim(-1.05, 1.05)
        plain(axes, name, 9)
    figure.supylabel("Spearman's ρ over encoders", fontsize=font_size(9))
    figure.supxlabel("uniqueness U", fontsize=font_size(9))
    return figure


def _performance(table: pd.DataFrame, metric: str, result: SyntheticResult) -> Any:
    """Draw test accuracy against alignment, a panel for some U: the deepest encoders by D_φ, the others in grey.

    U with fewer than five encoders have no panel.
    """
    counts = table.groupby("uniqueness").size()
    if counts.max() < LEAST:
        return None
    us = _some(sorted(counts.index[counts >= LEAST]))
    columns = per_row(len(us))
    figure = new_figure(2.15 * len(us) + 1.0, 1.5 * -(-len(us) // columns) + 0.4 if on_paper() else 2.6)
    grid = panels(figure, len(us), columns, sharey=True)
    deepest = table["depth"] == table["depth"].max()
    phis = table["phi_depth"]
    dots = None
    for axes, u in zip(grid, us, strict=True):
        at_u = table["uniqueness"] == u
        others, rows = table[at_u & ~deepest], table[at_u & deepest]
        axes.scatter(others[metric], others["test"], s=5, color="#9a9a9a", linewidths=0, zorder=1)
        dots = axes.scatter(
            rows[metric], rows["test"], s=18, c=rows["phi_depth"], cmap=MAP, vmin=phis.min(), vmax=phis.max(),
            edgecolors="#333333", linewidths=0.3, zorder=2,
        )  # fmt: skip
        axes.locator_params(axis="x", nbins=2 if on_paper() else 4)
        plain(axes, f"U = {u}")
    colour_bar(figure, dots, grid, "$D_\\phi$ of the deepest encoders", ticks=_some(sorted(phis.unique())))
    figure.supxlabel(metric_title(metric), fontsize=font_size(9))
    figure.supylabel("test accuracy", fontsize=font_size(9))
    return figure


def _some(values: Sequence[Any]) -> list[Any]:
    """Return at most five values, evenly chosen, the first among them.

    >>> _some(range(1, 11)), _some(range(9)), _some([1, 2])
    ([1, 3, 5, 7, 9], [0, 2, 4, 6, 8], [1, 2])
    """
    step = -(-len(values) // _PANELS)
    return list(values[::step])
