"""Figure of a comparison: the difference of two models, layer by layer, with its intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.display.figures import COLOURS, font_size, named, new_figure, on_paper, plain, save, set_ticks
from vlalign.display.format import metric_title
from vlalign.scoring.comparison_tables import ALPHA, name_of

if TYPE_CHECKING:
    from vlalign.scoring.compare import Comparison


def draw_differences(comparison: Comparison, axes: Any = None) -> Any:
    """Draw the difference a − b of every layer with its interval; of models with other layers, that of the best pairs.

    Filled: the false discovery rate of the layers is below 5 %; without a test all points are filled.

    Args:
        comparison: of two runs, or of two records.
        axes: Matplotlib axes (default: those of a new figure).

    Returns:
        The axes.
    """
    test = comparison.test or {}
    parts = {"largest": test.get("largest") or {"difference": comparison.difference}, "on halves": test.get("crossed")}
    rows = comparison.layers or [{"layer": name, **part} for name, part in parts.items() if part]
    if axes is None:
        axes = new_figure(6.4, 2.2 if on_paper() else 3.4).add_subplot()
    axes.axhline(0, color=COLOURS[2], linewidth=0.8, linestyle=":")
    for at, row in enumerate(rows):
        _draw_point(axes, at, row, False)
    set_ticks(axes.xaxis, [{"name": row["layer"]} for row in rows], axes.figure.get_figwidth() - 0.8)
    axes.tick_params(axis="x", labelrotation=90)
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_ylabel(f"{metric_title(comparison.metric['name'])}, a − b", fontsize=font_size(9))
    title = f"{_models(comparison)}\nalignment with {named(name_of(comparison.reference))}, N = {comparison.n:,}"
    plain(axes, "" if on_paper() else title, 9)
    return axes


def draw_references(comparisons: Sequence[Comparison], axes: Any = None) -> Any:
    """Draw the difference a − b of the best layer pairs with its interval, a row for each reference.

    Filled: the false discovery rate of the references is below 5 %.

    Args:
        comparisons: of the same two models with several references.
        axes: Matplotlib axes (default: those of a new figure).

    Returns:
        The axes.
    """
    if axes is None:
        axes = new_figure(6.4, (0.7 if on_paper() else 1.1) + 0.28 * len(comparisons)).add_subplot()
    axes.axvline(0, color=COLOURS[2], linewidth=0.8, linestyle=":")
    for at, one in enumerate(comparisons):
        _draw_point(
            axes, at, {**(one.test or {}).get("largest", {"difference": one.difference}), **_chances(one)}, True
        )
    names = [named(name_of(one.reference), 24 if on_paper() else 40) for one in comparisons]
    axes.set_yticks(range(len(names)), labels=names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(f"{metric_title(comparisons[0].metric['name'])}, a − b", fontsize=font_size(9))
    plain(axes, "" if on_paper() else _models(comparisons[0]), 9)
    return axes


def save_differences(comparisons: Sequence[Comparison], path: str | Path) -> Path:
    """Draw one comparison layer by layer, or several by their references, into a file; return the path.

    Raises:
        VlalignError: the file cannot be written.
    """
    one = len(comparisons) == 1
    return save((draw_differences(comparisons[0]) if one else draw_references(comparisons)).figure, path)


def _draw_point(axes: Any, at: int, row: Mapping[str, Any], across: bool) -> None:
    """Draw a difference with its interval at a place on the x axis, or on the y axis where ``across``."""
    value = row["difference"]
    error = None if row.get("low") is None else [[value - row["low"]], [row["high"] - value]]
    uncertain = row.get("q_value", row.get("p_value"))
    face = "white" if uncertain is not None and uncertain >= ALPHA else COLOURS[0]
    place = {"x": value, "y": at, "xerr": error} if across else {"x": at, "y": value, "yerr": error}
    axes.errorbar(**place, fmt="o", color=COLOURS[0], markerfacecolor=face, markersize=4, capsize=2)


def _chances(comparison: Comparison) -> dict[str, Any]:
    """Return the p- and q-value of a comparison's test, where it has them."""
    return {key: value for key, value in (comparison.test or {}).items() if key in ("p_value", "q_value")}


def _models(comparison: Comparison) -> str:
    return " − ".join(named(name_of(side), 40) for side in (comparison.a, comparison.b))
