"""A score in depth: best layer pairs, data checks, curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table

from vlalign.display import visible
from vlalign.report.format import duration

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord

_BEST = 5  # layer pairs shown


def in_depth(record: ScoreRecord) -> Group:
    """Tables of what the summary leaves out."""
    parts = [_layers(record), _checks(record)]
    if record.interval is not None and "maximum" in record.interval:
        parts.insert(1, _intervals(record.interval))
    for name, title in (("n", "N"), ("k", "k")):
        if record.curves and name in record.curves:
            parts.append(_curve(record.curves[name], title))
    spent = ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in record.seconds.items())
    return Group(*parts, f"  time: {spent}\n")


def _table(title: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _layers(record: ScoreRecord) -> Table:
    matrix = np.asarray(record.matrix)
    table = _table("best layer pairs", visible(f"{record.x['model']} × {record.y['model']}"), "score")
    for flat in np.argsort(-matrix, axis=None, kind="stable")[:_BEST]:
        i, j = np.unravel_index(flat, matrix.shape)
        table.add_row(f"{record.axes['x'][i]['name']} × {record.axes['y'][j]['name']}", f"{matrix[i, j]:.4f}")
    if record.null is not None:
        above = int((matrix > record.null["threshold"]).sum())
        table.caption = (
            f"{above} of {matrix.size} layer pairs lie above the null's {1 - record.null['alpha']:.0%} point"
        )
        table.caption_justify = "left"
    return table


def _intervals(interval: dict[str, Any]) -> Table:
    table = _table(f"{interval['level']:.0%} intervals, {interval['count']} half-samples", "of", "low", "high", "sd")
    for name, found in (("the best layer pair", interval), ("the maximum over layer pairs", interval["maximum"])):
        table.add_row(name, f"{found['low']:.4f}", f"{found['high']:.4f}", f"{found['sd']:.4f}")
    return table


def _checks(record: ScoreRecord) -> Table:
    table = _table("data, as these layers see it", "", *(visible(one["model"]) for one in (record.x, record.y)))
    found = [record.checks[side] for side in ("x", "y")]
    k, near = found[0]["k"], found[0]["near"]
    for name, text in (
        ("exact duplicates (samples)", [f"{side['duplicates']}" for side in found]),
        (f"near-duplicates, cosine > {near:g} (samples)", [f"{side['near_duplicates']}" for side in found]),
        (f"largest hub (lists it is in, k = {k})", [f"{side['largest_hub']}" for side in found]),
        ("hubness (skewness)", [f"{side['hub_skewness']:.2f}" for side in found]),
        ("samples in no list", [f"{side['unlisted']:.1%}" for side in found]),
        ("effective dimensions", [f"{side['effective_dimension']:.1f}" for side in found]),
        ("values clipped", ["–" if side["clipped"] is None else f"{side['clipped']:.1%}" for side in found]),
    ):
        table.add_row(name, *text)
    return table


def _curve(curve: dict[str, Any], name: str) -> Table:
    table = _table(f"score against {name}", name, "largest", "above chance", "fixed layers", "above chance")
    for point in curve["points"]:
        values = [point[which] for which in ("largest", "largest_corrected", "fixed", "fixed_corrected")]
        table.add_row(str(point["at"]), *("–" if value is None else f"{value['mean']:.4f}" for value in values))
    table.caption = "above chance: (s − c) / (1 − c), c the chance level"
    table.caption_justify = "left"
    return table
