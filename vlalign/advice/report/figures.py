"""Figures of advice: effects of each weight for the three uses, and alignment and retrieval against the weight."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.advice.analysis import of_control
from vlalign.advice.arms import CONTROLS, PAIRS, SHUFFLED, WITHIN_CLASS
from vlalign.advice.encoder import USES
from vlalign.display.figures import COLOURS, font_size, legend, named, new_figure, on_paper, panels, plain, save

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from vlalign.advice.results import AdviceResult

_NAMES = {PAIRS: "true pairs", SHUFFLED: "pairs shuffled", WITHIN_CLASS: "pairs shuffled within class"}
_STYLES = {PAIRS: ("o-", COLOURS[0]), SHUFFLED: ("s--", COLOURS[1]), WITHIN_CLASS: ("^:", COLOURS[2])}
_SHIFT = 0.14  # of the controls beside true pairs, in places of weights


def curves(result: AdviceResult) -> Any:
    """Draw the difference in the score to λ = 0 against λ, a panel for each use, with controls and intervals."""
    columns = 1 if on_paper() else len(USES)
    figure = new_figure(9.6, 1.5 * len(USES) + 0.4 if on_paper() else 2.9)
    grid = panels(figure, len(USES), columns, sharey=True)
    handles: list[Any] = []
    for axes, use in zip(grid, USES, strict=True):
        handles = []
        for i, control in enumerate(CONTROLS):
            rows = of_control(result.effects, use, control).query("weight > 0")
            at = _places(rows) + (i - 1) * _SHIFT
            style, colour = _STYLES[control]
            ends = [rows["effect"] - rows["low"], rows["high"] - rows["effect"]]
            handles.append(
                axes.errorbar(
                    at, rows["effect"], yerr=ends, fmt=style, color=colour, markersize=4, linewidth=1.2, capsize=2
                )
            )
        axes.axhline(0, color="#333333", linewidth=0.8)
        _name_weights(axes, rows)
        plain(axes, named(result.use_name(use)), 9)
    figure.supylabel(f"{result.score_name}, difference to λ = 0", fontsize=font_size(8))
    legend(figure, handles, list(_NAMES.values()))
    figure.supxlabel("weight λ of the contrastive term", fontsize=font_size(9))
    return figure


def matching(result: AdviceResult) -> Any:
    """Draw calibrated alignment, and retrieval of the partner, against λ, with controls and chance."""
    figure = new_figure(7.2, 2.9)
    shown = {
        "calibrated": ("alignment above chance", None),
        "recall1": ("R@1" if on_paper() else "partner is nearest, R@1", "recall1_chance"),
    }
    grid = figure.subplots(1, len(shown))
    handles: list[Any] = []
    for axes, (name, (title, chance)) in zip(grid, shown.items(), strict=True):
        handles = []
        for control in CONTROLS:
            rows = of_control(result.matching, None, control)
            style, colour = _STYLES[control]
            handles += axes.plot(_places(rows), rows[name], style, color=colour, markersize=4, linewidth=1.2)
        level = float(result.matching[chance].mean()) if chance else 0.0
        axes.axhline(level, color="#333333", linewidth=0.8, linestyle=":")
        _name_weights(axes, rows)
        plain(axes, title, 9)
    legend(figure, handles, list(_NAMES.values()))
    figure.supxlabel("weight λ of the contrastive term", fontsize=font_size(9))
    return figure


def shares(result: AdviceResult) -> Any:
    """Draw what both modalities share about the label, what each has alone and what only both together have.

    Raises:
        KeyError: the result has no estimates of information.
    """
    record = result.facts["information"]
    first, second = (named(name, 24) for name in result.facts["names"])
    parts = {"R": "in both", "U1": f"{first} alone", "U2": f"{second} alone", "S": "only together"}
    axes = new_figure(7.2, 2.3).subplots()
    most = max(0.02, *(record["estimates"][name]["high"] for name in parts))
    for i, name in enumerate(parts):
        one = record["estimates"][name]
        axes.barh(i, one["value"], color=COLOURS[0] if one["detected"] else "#bbbbbb", height=0.6)
        axes.plot([one["low"], one["high"]], [i, i], color="#333333", linewidth=1.2)
        axes.plot([one["null"], one["null"]], [i - 0.38, i + 0.38], color=COLOURS[1], linewidth=1.5)
        text = f"{one['value']:.2f}" + ("" if one["detected"] else ", not detected")
        axes.text(
            max(one["high"], one["value"], one["null"]) + 0.02 * most, i, text, va="center", fontsize=font_size(8)
        )
    axes.set_yticks(range(len(parts)), labels=list(parts.values()), fontsize=font_size(9))
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * most)
    axes.set_xlabel(f"information about the label, {record['units']}", fontsize=font_size(9))
    plain(axes)
    return axes.figure


def save_figures(result: AdviceResult, folder: Path) -> dict[str, Path]:
    """Draw all figures as PNG and PDF into ``folder``; return the PNGs by name.

    Raises:
        VlalignError: a file cannot be written.
    """
    drawn: dict[str, Callable[[AdviceResult], Any]] = {"curves": curves, "matching": matching}
    if "estimates" in result.facts.get("information", {}):
        drawn["information"] = shares
    return {name: save(draw(result), folder / f"{name}.png", pdf=True) for name, draw in drawn.items()}


def _places(rows: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return evenly spaced places of weights: they range over orders of magnitude."""
    import numpy as np

    return np.arange(len(rows), dtype=float)


def _name_weights(axes: Any, rows: pd.DataFrame) -> None:
    axes.set_xticks(range(len(rows)), labels=[f"{weight:g}" for weight in rows["weight"]])
