"""Report of one score in depth: best layer pairs, data checks, curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vlalign.display import visible
from vlalign.display.format import DASH, durations
from vlalign.report.console import notes, table
from vlalign.scoring.confounds import COLUMNS, hints, rows_of
from vlalign.scoring.summary import meanings_of, value_or_dash

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord

_BEST = 5  # layer pairs shown
_BOLD: dict[str, Any] = {"title_style": "bold", "caption_justify": "left"}


def in_depth(record: ScoreRecord) -> Group:
    """Return tables of what the summary leaves out."""
    parts: list[RenderableType] = [_layers(record), _checks(record)]
    if rows := rows_of(record):
        shown = table(COLUMNS, rows, left=("groups",), title="what explains the score above chance", **_BOLD)
        parts += [shown, *notes(hints(record))]
    if record.interval is not None and "maximum" in record.interval:
        parts.insert(1, _intervals(record.interval))
    for name, title in (("n", "N"), ("n_proportional", "N, k in proportion"), ("k", "k")):
        if record.curves and name in record.curves:
            parts.append(_curve(record.curves[name], title))
    meanings = [
        Text(f"  {name}: {meaning}", style="dim", overflow="fold") for name, meaning in meanings_of(record).items()
    ]
    return Group(*parts, *meanings, f"  time: {durations(record.seconds)}\n")


def best_layers(record: ScoreRecord) -> list[tuple[str, str, str]]:
    """Return the best layer pairs: x, y, score."""
    matrix = np.asarray(record.matrix, dtype=float)
    rows = []
    for flat in np.argsort(-matrix, axis=None, kind="stable")[:_BEST]:
        i, j = np.unravel_index(flat, matrix.shape)
        rows.append((str(record.axes["x"][i]["name"]), str(record.axes["y"][j]["name"]), f"{matrix[i, j]:.4f}"))
    return rows


def check_rows(record: ScoreRecord) -> list[list[str]]:
    """Return the results of the checks of the best pair's layers: name, x, y; empty where a side has none."""
    sides = [side for side in map(record.checks.get, ("x", "y")) if isinstance(side, dict) and side]
    if len(sides) < 2:
        return []
    formats = {
        "zero_rows": ("rows of zeros (samples)", "{}"),
        "duplicates": ("exact duplicates (samples)", "{}"),
        "near_duplicates": (f"near-duplicates, cosine > {value_or_dash(sides[0].get('near'), '{:g}')} (samples)", "{}"),
        "largest_hub": (f"largest hub (lists it is in, k = {sides[0].get('k')})", "{}"),
        "hub_skewness": ("hubness (skewness)", "{:.2f}"),
        "unlisted": ("samples in no list", "{:.1%}"),
        "effective_dimension": ("effective dimensions", "{:.1f}"),
        "clipped": ("values clipped", "{:.1%}"),
    }
    return [[name, *(value_or_dash(side.get(key), form) for side in sides)] for key, (name, form) in formats.items()]


def _layers(record: ScoreRecord) -> Table:
    caption = None
    if (null := record.null) is not None:
        matrix = np.asarray(record.matrix)
        above = int((matrix > null["threshold"]).sum())
        caption = f"{above} of {matrix.size} layer pairs lie above the null's {1 - null['alpha']:.0%} point"
    columns = (visible(f"{record.x['model']} × {record.y['model']}"), "score")
    rows = ((f"{x} × {y}", score) for x, y, score in best_layers(record))
    return table(columns, rows, title="best layer pairs", caption=caption, **_BOLD)


def _intervals(half: dict[str, Any]) -> Table:
    parts = {"the best layer pair": half, "the maximum over layer pairs": half["maximum"]}
    rows = [[name, *(f"{values[key]:.4f}" for key in ("low", "high", "sd"))] for name, values in parts.items()]
    title = f"{half['level']:.0%} intervals, {half['count']} half-samples"
    return table(("of", "low", "high", "sd"), rows, title=title, **_BOLD)


def _checks(record: ScoreRecord) -> Table:
    models = [visible(side["model"]) for side in (record.x, record.y)]
    return table(("", *models), check_rows(record), title="data, as these layers see it", **_BOLD)


def _curve(curve: dict[str, Any], title: str) -> Table:
    kinds = ("largest", "largest_corrected", "fixed", "fixed_corrected")
    has_k = curve["parameter"] == "n" and all(point.get("k") is not None for point in curve["points"])
    rows = []
    for point in curve["points"]:
        scores = [DASH if point[kind] is None else f"{point[kind]['mean']:.4f}" for kind in kinds]
        scores.append(value_or_dash(point.get("chance")))
        rows.append([str(point["at"]), *scores, *([str(point["k"])] if has_k else [])])
    columns = (title[0], "largest", "above chance", "fixed layers", "above chance", "chance", *["k"] * has_k)
    caption = "above chance: (s − c) / (1 − c), c the chance level"
    return table(columns, rows, title=f"score against {title}", caption=caption, **_BOLD)
