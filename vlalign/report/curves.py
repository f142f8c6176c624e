"""Score against the number of samples and of neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.report.figures import COLOURS, named, new_figure, save

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord

_AXES = {"n": "samples N", "k": "neighbours k"}


def drawable(record: ScoreRecord) -> dict[str, Any]:
    """The curves of a record that have more than one point."""
    return {name: curve for name, curve in (record.curves or {}).items() if len(curve["points"]) > 1}


def save_curves(record: ScoreRecord, path: str | Path) -> Path:
    """Draws the curves of a full record as a PNG: scores and, beside them, scores corrected for chance.

    Raises:
        VlalignError: the file cannot be written.
    """
    curves = drawable(record)
    figure = new_figure(4.2 * len(curves) + 0.6, 3.4)
    for axes, (name, curve) in zip(
        figure.subplots(1, len(curves), squeeze=False, sharey=True)[0], curves.items(), strict=True
    ):
        _draw(axes, curve["points"], "largest", COLOURS[0], "largest over layer pairs")
        _draw(axes, curve["points"], "fixed", COLOURS[1], _fixed(record))
        axes.set_xscale("log")
        ticks = [point["at"] for point in curve["points"]]
        axes.set_xticks(ticks, labels=[str(tick) for tick in ticks], fontsize=7)
        axes.minorticks_off()
        here = record.n if name == "n" else record.metric["params"]["k"] or record.n - 1  # None: all others
        axes.axvline(here, color=COLOURS[2], linewidth=0.8, linestyle=":")
        axes.set_xlabel(_AXES[name])
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    first = figure.axes[0]
    first.set_ylabel(record.metric["name"].replace("_", "-"))
    first.legend(frameon=False, fontsize=7)
    figure.suptitle(f"{named(record.title, 90)}   (dotted: as scored)", fontsize=9, x=0.01, ha="left")
    return save(figure, path)


def _fixed(record: ScoreRecord) -> str:
    return " × ".join(named(record.best[side]["name"]) for side in "xy")


def _draw(axes: Any, points: list[dict[str, Any]], which: str, colour: str, label: str) -> None:
    for kind, style, text in (("", "-o", label), ("_corrected", "--s", f"{label}, above chance")):
        known = [point for point in points if point[which + kind] is not None]
        if not known:
            continue
        values = [point[which + kind]["mean"] for point in known]
        spread = [point[which + kind]["sd"] or 0.0 for point in known]
        axes.errorbar(
            [point["at"] for point in known], values, yerr=spread, fmt=style, color=colour, label=text,
            markersize=3, linewidth=1.2, alpha=1.0 if not kind else 0.6,
        )  # fmt: skip
