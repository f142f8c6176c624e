"""The leaderboard as CSV, Markdown and JSON, with the same rows in each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from vlalign.display import html_text
from vlalign.display.format import DASH, count, interval, number, p_text, truncated
from vlalign.display.tables import csv_text, markdown_table
from vlalign.report.leaderboard.board import ALL, Board, Group, Ranking, Row
from vlalign.scoring.summary import p_of_record

FORMAT = 1
TABLES = ("leaderboard.csv", "leaderboard.md", "leaderboard.json")

#: columns of further records
DUPLICATE = ("results", "file", "shown instead: results", "shown instead: file", "score")

RULES = (
    "Only records of the same metric and parameters, preset, N, data (by content), caption and edits are in one group.",
    "Rank: the first and the last that the intervals allow. First: 1 + the number of models whose interval lies "
    "entirely above the model's own, so all that overlap with the best model's share rank 1. Last: the number "
    "of models with an interval less those whose interval lies entirely below. Without an interval there is no rank.",
    "Interval, and with it the rank: of the score at the layers that were selected as the best. It does not account "
    "for that selection; p, q and the calibrated score do.",
    "q: the p-value adjusted for all rows of the same group and reference (Benjamini–Hochberg), filtered or not.",
    "Above chance: (s − c) / (1 − c), c the chance level. Calibrated: 0 up to the null's 95 % point, 1 for perfect.",
)


def values_of(board: Board, ranking: Ranking, row: Row) -> dict[str, Any]:
    """Return all columns of the CSV file and the JSON file for a row: numbers in full, None where they are unknown."""
    entry, record = row.entry, row.entry.record
    other = "y" if row.model == "x" else "x"
    model, reference = board.model(entry, row.model), board.model(entry, other)
    low, high = entry.interval or (None, None)
    first, last = row.rank or (None, None)
    performance = entry.performance(row.model)
    return {
        "reference": reference.name,
        "rank": first,
        "rank_last": last,
        "model": model.name,
        "family": model.family,
        "modality": model.modality,
        "score": record.score,
        "low": low,
        "high": high,
        "chance": record.chance,
        "above_chance": entry.corrected,
        "calibrated": record.calibrated,
        "p_value": record.p_value,
        "p_text": p_of_record(record),
        "q_value": row.q,
        "performance": None if performance is None else performance[1],
        "performance_unit": None if performance is None else performance[0],
        "truncated_captions": None if performance is None else entry.truncated(row.model),
        "parameters": model.params,
        "precision": model.precision,
        "n": record.n,
        "k": record.metric["params"].get("k"),
        "layer": record.best[row.model]["name"],
        "reference_layer": record.best[other]["name"],
        "layers": len(record.axes[row.model]),
        "reference_layers": len(record.axes[other]),
        "reference_side": ranking.side,
        "run": model.run,
        "reference_run": reference.run,
        "page": entry.page,
        "source": entry.source,
        "record": entry.path,
    }


def rows_of(board: Board, group: Group) -> Iterator[dict[str, Any]]:
    """Yield the rows of every reference of a group, best first; all pairs repeat these and are left out."""
    for ranking in group.rankings:
        if ranking.reference != ALL:
            yield from (values_of(board, ranking, row) for row in ranking.rows)


def to_json(board: Board) -> str:
    """Return JSON with the rules, ``groups`` with ``conditions`` and ``rows``, ``invalid`` and ``duplicates``."""
    data = {
        "format": FORMAT,
        "rules": list(RULES),
        "groups": [
            {
                "id": group.conditions.id,
                "conditions": dict(group.conditions.parts),
                "rows": list(rows_of(board, group)),
            }
            for group in board.groups
        ],
        "invalid": [{"source": one.source, "record": one.path, "reason": one.reason} for one in board.invalid],
        "duplicates": [
            {
                "source": one.source,
                "record": one.path,
                "shown_source": one.shown.source,
                "shown": one.shown.path,
                "same_score": one.same,
            }
            for one in board.duplicates
        ],
    }
    return _one_row_a_line(data) + "\n"


def _one_row_a_line(value: Any, pad: str = "") -> str:
    """Return JSON for eyes and diffs: lists, and objects that hold lists, have a line for each of their items."""
    lists = isinstance(value, dict) and any(isinstance(item, list) for item in value.values())
    if not value or not (lists or isinstance(value, list)):
        return json.dumps(value, allow_nan=False)
    inner = pad + " "
    if isinstance(value, list):
        return f"[\n{inner}" + f",\n{inner}".join(_one_row_a_line(item, inner) for item in value) + f"\n{pad}]"
    items = (f"{json.dumps(name)}: {_one_row_a_line(item, inner)}" for name, item in value.items())
    return f"{{\n{inner}" + f",\n{inner}".join(items) + f"\n{pad}}}"


def to_csv(board: Board) -> str:
    """Return CSV: ``group``, its conditions, the columns of the JSON file; invalid records at the end."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for group in board.groups:
        first = {"group": group.conditions.id, "conditions": group.conditions.title}
        rows += [{**first, **values, "invalid": None} for values in rows_of(board, group)]
    rows += [{"source": one.source, "record": one.path, "invalid": one.reason} for one in board.invalid]
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["group"]
    return csv_text(pd.DataFrame(rows, columns=columns, dtype=object))


def to_markdown(board: Board) -> str:
    """Return a Markdown table for every group and reference, the invalid files, and the rules; names are escaped."""
    parts = ["# Alignment leaderboard", *(f"- {rule}" for rule in RULES)]
    for group in board.groups:
        parts += ["", f"## {markdown(group.conditions.title)}"]
        for ranking in group.rankings:
            if ranking.reference == ALL:
                continue
            side = f" (side {ranking.side})" if ranking.side else ""
            parts += ["", f"### Alignment to {markdown(board.models[ranking.reference].name)}{side}", ""]
            values = [values_of(board, ranking, row) for row in ranking.rows]
            rows = [[text(row) for text in _COLUMNS.values()] for row in values]
            parts.append(markdown_table(_COLUMNS, rows))
    for title, columns, cells in (
        ("files that are not valid records", ("results", "file", "reason"), invalid_rows(board)),
        ("further records of pairs shown above", DUPLICATE, duplicate_rows(board)),
    ):
        if cells:
            rows = [[markdown(text) for text in row] for row in cells]
            parts += ["", f"## {len(rows)} {title}", "", markdown_table(columns, rows)]
    return "\n".join(parts) + "\n"


def markdown(text: str) -> str:
    """Escape a text for Markdown and the HTML in it, on one line.

    >>> markdown("<b>a_b</b>")
    '&lt;b&gt;a\\\\_b&lt;/b&gt;'
    """
    return re.sub(r"([\\`*_\[\]~#])", r"\\\1", html_text(" ".join(text.split()), quote=False))


def invalid_rows(board: Board) -> list[list[str]]:
    """Return results, file and reason of every invalid file."""
    return [[one.source, one.path, one.reason] for one in board.invalid]


def duplicate_rows(board: Board) -> list[list[str]]:
    """Return the columns :data:`DUPLICATE` of every further record."""
    return [[one.source, one.path, one.shown.source, one.shown.path, one.score] for one in board.duplicates]


def rank_text(first: int | None, last: int | None) -> str:
    """Return a range of ranks.

    >>> rank_text(1, 2), rank_text(3, 3), rank_text(None, None)
    ('1–2', '3', '–')
    """
    if first is None:
        return DASH
    return str(first) if first == last else f"{first}–{last}"


_COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "rank": lambda row: rank_text(row["rank"], row["rank_last"]),
    "model": lambda row: markdown(row["model"]),
    "family": lambda row: markdown(row["family"]),
    "score": lambda row: number(row["score"]),
    "interval": lambda row: interval(row["low"], row["high"]),
    "above chance": lambda row: number(row["above_chance"]),
    "calibrated": lambda row: number(row["calibrated"]),
    "p": lambda row: row["p_text"],
    "q": lambda row: p_text(row["q_value"]),
    "performance": lambda row: (
        DASH
        if row["performance"] is None
        else f"{row['performance']:.3f} {markdown(row['performance_unit'])}{truncated(row['truncated_captions'])}"
    ),
    "parameters": lambda row: count(row["parameters"]),
    "precision": lambda row: markdown(row["precision"]) or DASH,
    "N": lambda row: str(row["n"]),
    "k": lambda row: DASH if row["k"] is None else str(row["k"]),
    "layers": lambda row: markdown(f"{row['layer']} × {row['reference_layer']}"),
}
