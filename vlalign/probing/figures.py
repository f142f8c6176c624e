"""Figures of linear probes: scores of every layer, and scores of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vlalign.display.figures import COLOURS, font_size, named, new_figure, plain, set_ticks
from vlalign.probing.options import TITLES

if TYPE_CHECKING:
    from vlalign.probing.result import ProbeResult


def draw_layers(result: ProbeResult, ax: Any = None) -> Any:
    """Draw the main score of every layer with its interval, its validation score, chance, and the chosen layers."""
    if ax is None:
        ax = new_figure(6.4, 3.0).subplots()
    places = range(len(result.layers))
    tests = [layer["test"] for layer in result.layers]
    known = [i for i in places if result.layers[i]["low"] is not None]
    ax.fill_between(
        known, *([result.layers[i][side] for i in known] for side in ("low", "high")), color=COLOURS[0], alpha=0.2,
        linewidth=0, label="95 % interval",
    )  # fmt: skip
    ax.plot(places, tests, color=COLOURS[0], marker="o", markersize=3, label="test")
    valid = [layer["valid"] for layer in result.layers]
    ax.plot(places, valid, color=COLOURS[2], linestyle="--", linewidth=1, label="validation")
    chosen = sorted(set(result.best))
    ax.plot(
        chosen, [tests[i] for i in chosen], linestyle="", marker="o", markersize=8, fillstyle="none",
        color=COLOURS[1], label="chosen on validation",
    )  # fmt: skip
    ax.axhline(result.scores[result.score]["chance"], color=COLOURS[1], linewidth=1, linestyle=":", label="chance")
    set_ticks(ax.xaxis, result.layers, 5.5)
    ax.tick_params(axis="x", rotation=90 if len(result.layers) > 6 else 0)
    ax.set_ylabel(f"{TITLES[result.score]} of {named(result.labels)}", fontsize=font_size(8))
    ax.legend(fontsize=font_size(7), frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    plain(ax, f"{named(result.model)}, {result.tested:,} test samples")
    return ax


def draw_models(results: Sequence[ProbeResult], ax: Any = None) -> Any:
    """Draw the main score of each model with its interval and the chance level, best first."""
    ordered = sorted(results, key=lambda one: one.value)
    if ax is None:
        ax = new_figure(6.4, 0.9 + 0.28 * len(ordered)).subplots()
    for i, one in enumerate(ordered):
        main = one.scores[one.score]
        if main["low"] is not None:
            ax.plot([main["low"], main["high"]], [i, i], color=COLOURS[0], linewidth=1.5)
        ax.plot(main["value"], i, color=COLOURS[0], marker="o", markersize=4)
        ax.plot(main["chance"], i, color=COLOURS[1], marker="|", markersize=9)
    ax.set_yticks(range(len(ordered)), [named(one.model) for one in ordered], fontsize=font_size(7))
    ax.set_ylim(-0.6, len(ordered) - 0.4)
    first = ordered[-1]
    text = f"{TITLES[first.score]} of {named(first.labels)}; line: 95 % interval, orange: chance"
    ax.set_xlabel(text, fontsize=font_size(8))
    plain(ax)
    return ax
