"""First page of the leaderboard: one file with its data, its style and its script inside."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.display.format import coefficient, count, metric_title, plural
from vlalign.errors import VlalignError
from vlalign.report.leaderboard.board import ALL, Board, Entry, Group, Ranking, Row, group_titles
from vlalign.report.leaderboard.files import DUPLICATE, RULES, TABLES, duplicate_rows, invalid_rows
from vlalign.report.page import Bullets, Section, Table, asset, templates
from vlalign.scoring.beside import pairs_text
from vlalign.scoring.summary import p_of_record
from vlalign.stats.correlations import rho_text
from vlalign.stats.families import LEAST, family_correlation
from vlalign.store.key import BASELINE, is_baseline

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord

TITLE = "Alignment leaderboard"
#: distinguishable by colour-blind eyes (Okabe and Ito), on light and dark pages; each with a mark of another shape
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


@dataclass(frozen=True)
class Heading:
    """Title of a leaderboard, a description below it, and the address of a page about it, both of which may be empty.

    Raises:
        VlalignError: the address is not one of the web.
    """

    title: str = TITLE
    description: str = ""
    link: str = ""

    def __post_init__(self) -> None:
        if self.link and not self.link.startswith(("https://", "http://")):
            raise VlalignError(f"the link {self.link!r} of the leaderboard does not start with https:// or http://")


def index_page(board: Board, footer: str, heading: Heading | None = None) -> str:
    """Return the page as HTML; its script makes elements of the data in it (JSON), never HTML text."""
    theme = asset("theme.js")
    script = "\n".join(asset(name) for name in ("common.js", "board.js", "views.js"))
    return (
        templates()
        .get_template("index.html")
        .render(
            heading=heading or Heading(),
            hashes=" ".join(map(_hash, (theme, script))),
            style=asset("site.css"),
            theme=theme,
            script=script,
            data=embedded(_data(board)),
            summary=summary(board),
            groups=len(board.groups),
            notes=_notes(board),
            files=TABLES,
            footer=footer,
        )
    )


def embedded(data: Any) -> str:
    """Return JSON for a script element: no text in it ends the element or opens a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def summary(board: Board) -> str:
    """Return in one sentence how much is on the board."""
    baselines = sum(model.family == BASELINE for model in board.models.values())
    models = plural(len(board.models) - baselines, "model")
    models += f" and {plural(baselines, 'baseline')}" if baselines else ""
    text = (
        f"{plural(len(board.entries), 'record')}, {models} in {plural(len(board.groups), 'group')} that may be compared"
    )
    more = [f"{plural(len(board.invalid), 'file')} not valid"] if board.invalid else []
    if board.duplicates:
        more.append(f"{plural(len(board.duplicates), 'record')} of pairs shown already")
    return f"{text}; {', '.join(more)} (listed below)." if more else f"{text}."


def _hash(script: str) -> str:
    """Return the digest by which the page's policy lets this script run, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _data(board: Board) -> dict[str, Any]:
    """Return the data of the page. Large tables are rows of values below the names of their columns."""
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
        "entries": _table(_ENTRY, board.entries, places),
        "groups": [
            _group(board, group, title, places, at)
            for group, title in zip(board.groups, group_titles(board.groups), strict=True)
        ],
    }


Columns = Mapping[str, Callable[[Any, Mapping[str, int]], Any]]


def _table(columns: Columns, rows: list[Any], places: Mapping[str, int]) -> dict[str, Any]:
    """Return rows of values with the names of their columns, by which the script reads them."""
    return {"columns": list(columns), "rows": [[value(row, places) for value in columns.values()] for row in rows]}


def _short(value: float | None) -> float | None:
    """Return a number with as many digits as are ever shown, and some to sort by."""
    return None if value is None else float(f"{value:.7g}")


def _side(name: str, value: Callable[[Entry, str], Any]) -> Columns:
    """Return the columns of a value that each side has."""

    def column(side: str) -> Callable[[Any, Mapping[str, int]], Any]:
        return lambda entry, _: value(entry, side)

    return {f"{name}_{side}": column(side) for side in "xy"}


#: columns of a record: the value for an entry, given the places of the models by their ids
_ENTRY: Columns = {
    "x": lambda entry, places: places[entry.x],
    "y": lambda entry, places: places[entry.y],
    "score": lambda entry, _: _short(entry.record.score),
    "low": lambda entry, _: _short((entry.interval or (None, None))[0]),
    "high": lambda entry, _: _short((entry.interval or (None, None))[1]),
    "chance": lambda entry, _: _short(entry.record.chance),
    "above": lambda entry, _: _short(entry.corrected),
    "calibrated": lambda entry, _: _short(entry.record.calibrated),
    "p": lambda entry, _: _short(entry.record.p_value),
    "p_text": lambda entry, _: p_of_record(entry.record),
    **_side("layer", lambda entry, side: str(entry.record.best[side]["name"])),
    **_side("layers", lambda entry, side: len(entry.record.axes[side])),
    **_side("performance", lambda entry, side: _short((entry.performance(side) or ("", None))[1])),
    **_side("truncated", lambda entry, side: entry.truncated(side)),
    **_side("unit", lambda entry, side: (entry.performance(side) or ("", None))[0]),
    "page": lambda entry, _: entry.page,
}

#: columns of a model in a ranking: the value for a row, given the places of the entries by their pages
_ROW: Columns = {
    "entry": lambda row, at: at[row.entry.page],
    "side": lambda row, _: row.model,
    "rank": lambda row, _: (row.rank or (None, None))[0],
    "last": lambda row, _: (row.rank or (None, None))[1],
    "q": lambda row, _: _short(row.q),
}

#: measures of a pair whose correlation with performance is shown; calibrated scores are often equal, at 0
_MEASURES: dict[str, Callable[[Entry], float | None]] = {
    "score": lambda entry: entry.record.score,
    "above": lambda entry: entry.corrected,
}


def _group(board: Board, group: Group, title: str, places: Mapping[str, int], at: Mapping[str, int]) -> dict[str, Any]:
    shared = group.conditions
    return {
        "id": shared.id,
        "metric": shared.metric,
        "metric_title": metric_title(shared.metric),
        "title": title,
        "parts": list(shared.parts.items()),
        "n": shared.n,
        "k": group.entries[0].record.metric["params"].get("k"),
        "symmetric": shared.symmetric,
        "known": shared.known,
        "entries": len(group.entries),
        "trivial": _trivial(group.trivial),
        "rankings": [
            {
                "model": places.get(ranking.reference, -1),
                "run": ranking.reference if ranking.reference == ALL else board.models[ranking.reference].id,
                "side": ranking.side,
                "name": _reference(board, ranking),
                "rho": {name: _rho(board, ranking, measure) for name, measure in _MEASURES.items()},
                **_table(_ROW, ranking.rows, at),
            }
            for ranking in group.rankings
        ],
    }


def _trivial(pairs: list[ScoreRecord]) -> dict[str, Any] | None:
    """Return the best trivial pair of a group in words, and its scores for the lines of the figures."""
    if not pairs:
        return None
    best = pairs[0]
    above = None if best.chance is None or best.chance >= 1 else (best.score - best.chance) / (1 - best.chance)
    scores = {"score": best.score, "above": above, "calibrated": best.calibrated}
    return {"text": pairs_text(pairs), **{name: _short(value) for name, value in scores.items()}}


def _rho(board: Board, ranking: Ranking, measure: Callable[[Entry], float | None]) -> str:
    """Return Spearman's ρ of a measure and performance with an interval that counts families, or why it is missing.

    That of all pairs is the mean over references, each with the same models: pooled, levels of references would count.
    Sizes of one model are alike, so fewer than five families are too few. Baselines, and a model with itself, do not
    count.
    """
    known = [
        (getattr(row.entry, "y" if side == "x" else "x"), getattr(row.entry, side), unit, value, score)
        for row in ranking.rows
        if row.entry.x != row.entry.y and not any(is_baseline(key) for key in _keys(row))
        and (score := measure(row.entry)) is not None and (performance := _performance(row)) is not None
        for side, unit, value in [performance]
    ]  # fmt: skip
    scores = {(reference, model): score for reference, model, _, _, score in known}
    values = {model: value for _, model, _, value, _ in known}
    references = dict.fromkeys(reference for reference, *_ in known)
    families = [board.models[model].family for model in values]
    if len({unit for _, _, unit, _, _ in known}) > 1:
        return rho_text(None, "performances of several units")
    if (different := len(set(families))) < LEAST:
        of = "1 family" if different == 1 else f"{different} families"
        return rho_text(None, f"{plural(len(values), 'model')} of {of}: five are needed")
    if not len(known) == len(scores) == len(references) * len(values):
        return rho_text(None, "not every model has one score with every reference: choose a reference")
    if any(values[model] != value for _, model, _, value, _ in known):
        return rho_text(None, "several performances of one model: choose a reference")
    table = np.array([[scores[reference, model] for model in values] for reference in references])
    performances = list(values.values())
    if min(np.ptp(table, axis=1).min(), np.ptp(performances)) == 0:
        return rho_text(None, "all scores or all performances are equal")
    one = family_correlation(table, performances, families)
    low, high = (coefficient(end) for end in (one.low, one.high) if end is not None)
    mean = f"; mean over {len(references)} references" if len(references) > 1 else ""
    return f"ρ = {coefficient(one.rho)} ({low} to {high}; {different} families{mean})"


def _keys(row: Row) -> list[Mapping[str, Any]]:
    """Return the run keys of both sides, as far as they are runs."""
    return [side["run"]["key"] for side in (row.entry.record.x, row.entry.record.y) if side["run"]]


def _performance(row: Row) -> tuple[str, str, float] | None:
    """Return side, unit and value of the performance of a row's model; of all pairs, that of y, else of x."""
    sides = (row.model,) if row.model else ("y", "x")
    return next(((side, *measured) for side in sides if (measured := row.entry.performance(side)) is not None), None)


def _reference(board: Board, ranking: Ranking) -> str:
    if ranking.reference == ALL:
        return ALL
    return board.models[ranking.reference].name + (f" as {ranking.side}" if ranking.side else "")


def _notes(board: Board) -> list[Section]:
    """Return what is left out of the tables and why, and what the columns mean."""
    invalid = f"{plural(len(board.invalid), 'file')}, with the reason"
    columns = ("results", "file", "reason")
    return [
        Section("Files that are not valid records", [Table(invalid, columns, invalid_rows(board), columns[1:])]),
        Section(
            "Further records of the same pairs",
            [
                Table(
                    "The one with the most thorough null is shown",
                    DUPLICATE,
                    duplicate_rows(board),
                    DUPLICATE[1:],
                )
            ],
        ),
        Section("Definitions", [Bullets(RULES)]),
    ]
