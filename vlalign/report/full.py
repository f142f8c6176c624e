"""Report of one score in depth: best layer pairs, data checks, curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group
from rich.table import Table

from vlalign.display import visible
from vlalign.report.console import table
from vlalign.report.format import DASH, durations

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord

_BEST = 5  # layer pairs shown
_BOLD: dict[str, Any] = {"title_style": "bold", "caption_justify": "left"}


def in_depth(record: ScoreRecord) -> Group:
    """Return tables of what the summary leaves out."""
    parts = [_layers(record), _checks(record)]
    if record.interval is not None and "maximum" in record.interval:
        parts.insert(1, _intervals(record.interval))
    for name, title in (("n", "N"), ("k", "k")):
        if record.curves and name in record.curves:
            parts.append(_curve(record.curves[name], title))
    return Group(*parts, f"  time: {durations(record.seconds)}\n")


def _layers(record: ScoreRecord) -> Table:
    matrix = np.asarray(record.matrix)
    rows = []
    for flat in np.argsort(-matrix, axis=None, kind="stable")[:_BEST]:
        i, j = np.unravel_index(flat, matrix.shape)
        rows.append((f"{record.axes['x'][i]['name']} × {record.axes['y'][j]['name']}", f"{matrix[i, j]:.4f}"))
    caption = None
    if (null := record.null) is not None:
        above = int((matrix > null["threshold"]).sum())
        caption = f"{above} of {matrix.size} layer pairs lie above the null's {1 - null['alpha']:.0%} point"
    columns = (visible(f"{record.x['model']} × {record.y['model']}"), "score")
    return table(columns, rows, title="best layer pairs", caption=caption, **_BOLD)


def _intervals(interval: dict[str, Any]) -> Table:
    parts = {"the best layer pair": interval, "the maximum over layer pairs": interval["maximum"]}
    rows = [[name, *(f"{values[key]:.4f}" for key in ("low", "high", "sd"))] for name, values in parts.items()]
    title = f"{interval['level']:.0%} intervals, {interval['count']} half-samples"
    return table(("of", "low", "high", "sd"), rows, title=title, **_BOLD)


def _checks(record: ScoreRecord) -> Table:
    sides = [record.checks[side] for side in ("x", "y")]
    k, near = sides[0]["k"], sides[0]["near"]
    rows = [
        (name, *(DASH if side[key] is None else form.format(side[key]) for side in sides))
        for name, key, form in (
            ("exact duplicates (samples)", "duplicates", "{}"),
            (f"near-duplicates, cosine > {near:g} (samples)", "near_duplicates", "{}"),
            (f"largest hub (lists it is in, k = {k})", "largest_hub", "{}"),
            ("hubness (skewness)", "hub_skewness", "{:.2f}"),
            ("samples in no list", "unlisted", "{:.1%}"),
            ("effective dimensions", "effective_dimension", "{:.1f}"),
            ("values clipped", "clipped", "{:.1%}"),
        )
    ]
    models = [visible(side["model"]) for side in (record.x, record.y)]
    return table(("", *models), rows, title="data, as these layers see it", **_BOLD)


def _curve(curve: dict[str, Any], name: str) -> Table:
    kinds = ("largest", "largest_corrected", "fixed", "fixed_corrected")
    rows = [
        [str(point["at"]), *(DASH if point[kind] is None else f"{point[kind]['mean']:.4f}" for kind in kinds)]
        for point in curve["points"]
    ]
    columns = (name, "largest", "above chance", "fixed layers", "above chance")
    caption = "above chance: (s − c) / (1 − c), c the chance level"
    return table(columns, rows, title=f"score against {name}", caption=caption, **_BOLD)
