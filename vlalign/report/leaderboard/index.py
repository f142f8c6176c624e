"""The first page of the leaderboard: one file with its data, its style and its script inside."""

from __future__ import annotations

import base64
import hashlib
from string import Template
from typing import Any

from vlalign.display import html_text
from vlalign.report import page
from vlalign.report.format import count, p_text
from vlalign.report.leaderboard.board import ALL, Board, Entry, Group
from vlalign.report.leaderboard.files import DUPLICATE, RULES
from vlalign.report.leaderboard.pair import SITE, embedded

TITLE = "Alignment leaderboard"
#: told apart by colour-blind eyes (Okabe and Ito), on light and dark paper; with a mark of another shape beside them
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c8c8c", "#f0e442")
_MARKS = (
    "M-4.5 0A4.5 4.5 0 1 0 4.5 0A4.5 4.5 0 1 0-4.5 0Z",
    "M-4-4H4V4H-4Z",
    "M0-5L5 4.2H-5Z",
    "M0-5.5L4.6 0L0 5.5L-4.6 0Z",
    "M0 5L5-4.2H-5Z",
    "M-1.7-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z",
    "M-5-1.2L0-5.4L5-1.2L3.1 4.6H-3.1Z",
)


def index_page(board: Board, footer: str) -> str:
    """The page as HTML. Data stand in it as JSON; the script makes elements of them, never HTML text."""
    style, theme = asset("site.css"), asset("theme.js")
    script = "\n".join(asset(name) for name in ("common.js", "board.js", "views.js"))
    empty = page.paragraph("No valid record was found, so there is nothing to rank.", "note")
    return Template(asset("index.html")).substitute(
        title=TITLE,
        hashes=" ".join(_hash(text) for text in (theme, script)),
        style=style,
        theme=theme,
        script=script,
        data=embedded(_data(board)),
        summary=html_text(summary(board)),
        empty="" if board.groups else empty,
        hidden="" if board.groups else " hidden",
        notes=_notes(board),
        footer=footer,
    )


def asset(name: str) -> str:
    """A file of the site's folder."""
    return (SITE / name).read_text(encoding="utf-8")


def summary(board: Board) -> str:
    """How much is on the board, in one sentence."""
    told = [
        _many(len(board.entries), "record"),
        _many(len(board.models), "model"),
        f"{_many(len(board.groups), 'group')} that may be compared",
    ]
    text = f"{', '.join(told[:2])} in {told[2]}"
    more = []
    if board.invalid:
        more.append(f"{_many(len(board.invalid), 'file')} not valid")
    if board.duplicates:
        more.append(f"{_many(len(board.duplicates), 'record')} of pairs shown already")
    return f"{text}; {', '.join(more)} (listed below)." if more else f"{text}."


def _many(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _hash(script: str) -> str:
    """The digest by which the page's policy lets a script run, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _data(board: Board) -> dict[str, Any]:
    places = {name: i for i, name in enumerate(board.models)}
    at = {entry.page: i for i, entry in enumerate(board.entries)}
    families = sorted({model.family for model in board.models.values()})
    return {
        "models": [
            {
                "name": model.name,
                "family": model.family,
                "modality": model.modality,
                "params": model.params,
                "count": count(model.params),
                "precision": model.precision,
                "run": model.run[:16],
            }
            for model in board.models.values()
        ],
        "families": {
            name: {"colour": _COLOURS[i % len(_COLOURS)], "path": _MARKS[i % len(_MARKS)]}
            for i, name in enumerate(families)
        },
        "entries": [_entry(entry, places) for entry in board.entries],
        "groups": [_group(board, group, places, at) for group in board.groups],
    }


def _entry(entry: Entry, places: dict[str, int]) -> list[Any]:
    """In the order of the constants of board.js."""
    record = entry.record
    low, high = entry.interval or (None, None)
    performance = [entry.performance(side) for side in ("x", "y")]
    return [
        places[entry.x],
        places[entry.y],
        *map(_short, (record.score, low, high, record.chance, entry.corrected, record.calibrated, record.p_value)),
        p_text(record),
        *(str(record.best[side]["name"]) for side in ("x", "y")),
        *(len(record.axes[side]) for side in ("x", "y")),
        *(None if found is None else _short(found[1]) for found in performance),
        next((found[0] for found in performance if found is not None), ""),
        entry.page,
        *(entry.truncated(side) for side in ("x", "y")),
    ]


def _group(board: Board, group: Group, places: dict[str, int], at: dict[str, int]) -> dict[str, Any]:
    told = group.conditions
    parts = {name: text for name, text in told.parts.items() if name != "metric"}
    return {
        "id": told.id,
        "metric": told.metric,
        "title": ", ".join(f"{name} {text}" for name, text in parts.items()),
        "parts": list(told.parts.items()),
        "n": told.n,
        "k": group.entries[0].record.metric["params"].get("k"),
        "symmetric": told.symmetric,
        "known": told.known,
        "entries": len(group.entries),
        "rankings": [
            {
                "model": places.get(ranking.reference, -1),
                "run": ranking.reference if ranking.reference == ALL else board.models[ranking.reference].id,
                "side": ranking.side,
                "name": _reference(board, ranking.reference, ranking.side),
                "rows": [
                    [
                        at[row.entry.page],
                        {"x": 0, "y": 1, "": -1}[row.model],
                        *(row.rank or (None, None)),
                        _short(row.q),
                    ]
                    for row in ranking.rows
                ],
            }
            for ranking in group.rankings
        ],
    }


def _reference(board: Board, reference: str, side: str) -> str:
    if reference == ALL:
        return ALL
    return board.models[reference].name + (f" as {side}" if side else "")


def _short(value: float | None) -> float | None:
    """With as many digits as are ever shown, and some to sort by."""
    return None if value is None else float(f"{value:.7g}")


def _notes(board: Board) -> str:
    """What is not in the tables and why, what the columns mean, and the same rows as files."""
    invalid = [[one.source, one.path, one.reason] for one in board.invalid]
    twice = [[one.source, one.path, one.shown.source, one.shown.path, one.score] for one in board.duplicates]
    files = " ".join(
        f'<a href="{name}">{name}</a>' for name in ("leaderboard.csv", "leaderboard.md", "leaderboard.json")
    )
    return "\n".join(
        [
            page.section(
                "Files that are no valid records",
                page.table(
                    f"{_many(len(invalid), 'file')}, with the reason", ["results", "file", "reason"], invalid,
                    left=("file", "reason"),
                ) if invalid else "",
            ),
            page.section(
                "Further records of the same pairs",
                page.table(
                    "The one with most permutations is shown", list(DUPLICATE), twice, left=DUPLICATE[1:],
                ) if twice else "",
            ),
            page.section("What is what", page.bullets(RULES), f"<p>The same rows: {files}</p>"),
        ]
    )  # fmt: skip
