"""Page of one pair: layers, null, curves, checks, both run keys and the commands that reproduce it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from vlalign.report.commands import pair_commands
from vlalign.report.format import DASH, count, interval, number, p_of_record, truncated
from vlalign.report.leaderboard.board import Board, Entry
from vlalign.report.leaderboard.index import embedded
from vlalign.report.page import Code, Details, Paragraph, Parts, Section, Table, Terms, templates
from vlalign.store.checksums import canonical

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord

_BEST = 5  # layer pairs listed
_CURVES = {"n": "N", "k": "k"}


def pair_page(board: Board, entry: Entry, footer: str) -> str:
    """Return the page as HTML."""
    record = entry.record
    matrix = np.asarray(record.matrix, dtype=float)
    null = record.null if record.null is not None and record.null.get("maxima") else None
    place = {"group": entry.conditions.id, "reference": entry.x}
    back = urlencode(place if entry.conditions.symmetric else place | {"side": "x"})
    return (
        templates()
        .get_template("pair.html")
        .render(
            title=f"{board.model(entry, 'x').name} × {board.model(entry, 'y').name}",
            back=f"../index.html#{back}",
            summary=Terms(_summary(board, entry)),
            notes=[str(note) for note in record.checks.get("notes") or []],
            lowest=number(float(matrix.min()), 3),
            highest=number(float(matrix.max()), 3),
            best=_best_layers(record, matrix),
            null=null,
            curves={name: title for name, title in _CURVES.items() if _points(record, name)},
            layers=f"{record.best['x']['name']} × {record.best['y']['name']}",
            sections=_sections(entry),
            data=embedded(_data(record, matrix)),
            footer=footer,
        )
    )


def _sections(entry: Entry) -> Parts:
    record = entry.record
    seconds = ", ".join(f"{stage} {value:.1f}" for stage, value in record.seconds.items()) or DASH
    return [
        Section("Data, as the best layers see it", [_checks(record)]),
        Section("Commands that reproduce this score", _commands(record)),
        Section("Run keys", [_key(record, side) for side in ("x", "y")]),
        Section(
            "Record",
            [
                Terms({"results": entry.source, "file": entry.path, "seconds": seconds}),
                Details("Environment", [_json(record.environment)]),
            ],
        ),
    ]


def _summary(board: Board, entry: Entry) -> dict[str, str]:
    record, spread, null = entry.record, entry.record.interval, entry.record.null
    terms = {"score": number(record.score)}
    if spread is not None:
        level = f"{spread['level']:.0%} interval" if spread.get("level") else "interval"
        terms[level] = f"{interval(spread['low'], spread['high'])}, {spread.get('count')} half-samples"
    terms["best of"] = f"{len(record.axes['x'])} × {len(record.axes['y'])} layer pairs"
    terms["layers"] = f"{record.best['x']['name']} × {record.best['y']['name']}"
    terms["chance"] = f"{number(record.chance)}; above it: {number(entry.corrected)}"
    if record.moments is not None and record.moments.get("z") is not None:
        terms["z"] = f"{record.moments['z']:.1f} sd above chance (exact mean and sd of this layer pair)"
    if null is not None:
        early = ", stopped early" if null["stopped"] else ""
        pairings = f"{null['permutations']} random pairings{early}, layer selection included"
        terms["p"] = f"{p_of_record(record)} ({pairings})"
        terms["calibrated"] = number(record.calibrated)
    for side in ("x", "y"):
        model = board.model(entry, side)
        facts = [model.family, model.modality]
        facts += [f"{count(model.params)} parameters"] if model.params is not None else []
        facts += [model.precision] if model.precision else []
        performance = entry.performance(side)
        facts += [f"{performance[1]:.3f} {performance[0]}{truncated(entry.truncated(side))}"] if performance else []
        terms[f"{side}: {model.name}"] = ", ".join(facts)
    return terms | dict(entry.conditions.parts)


def _best_layers(record: ScoreRecord, matrix: np.ndarray) -> Table:
    rows = []
    for flat in np.argsort(-matrix, axis=None, kind="stable")[:_BEST]:
        i, j = map(int, np.unravel_index(flat, matrix.shape))
        rows.append([str(record.axes["x"][i]["name"]), str(record.axes["y"][j]["name"]), f"{matrix[i, j]:.4f}"])
    return Table("Best layer pairs", ["x", "y", "score"], rows, left=("y",))


def _data(record: ScoreRecord, matrix: np.ndarray) -> dict[str, Any]:
    """Return what the script draws: matrix (in steps of a 65,535th of its range), histogram of the null, curves."""
    low, high = float(matrix.min()), float(matrix.max())
    steps = np.rint((matrix - low) / (high - low or 1.0) * 65535).astype("<u2")
    return {
        **{side: [str(layer["name"]) for layer in record.axes[side]] for side in ("x", "y")},
        "low": low,
        "high": high,
        "values": base64.b64encode(steps.tobytes()).decode(),
        "best": [record.best["x"]["position"], record.best["y"]["position"]],
        "threshold": None if record.null is None else record.null.get("threshold"),
        "null": _histogram(record),
        "curves": {name: points for name in _CURVES if (points := _points(record, name))},
    }


def _histogram(record: ScoreRecord) -> dict[str, Any] | None:
    null = record.null
    if null is None or not null.get("maxima"):
        return None
    maxima = np.asarray(null["maxima"], dtype=float)
    counts, edges = np.histogram(maxima, bins=min(20, max(5, len(maxima) // 10)))
    lines = {"threshold": null.get("threshold"), "chance": record.chance, "score": record.score}
    return {"low": float(edges[0]), "high": float(edges[-1]), "counts": counts.tolist(), **lines}


def _points(record: ScoreRecord, name: str) -> list[list[float | None]]:
    """Return a curve as [at, largest, above chance, fixed layers, above chance]; empty for fewer than two points."""
    points = (record.curves or {}).get(name, {}).get("points") or []
    kinds = ("largest", "largest_corrected", "fixed", "fixed_corrected")
    rows = [[p["at"], *(float(f"{p[kind]['mean']:.5g}") if p.get(kind) else None for kind in kinds)] for p in points]
    return rows if len(rows) > 1 else []


def _checks(record: ScoreRecord) -> Table | None:
    """Return the results of the checks side by side, under their names in the record."""
    sides = [side for side in map(record.checks.get, ("x", "y")) if isinstance(side, dict) and side]
    if len(sides) < 2:
        return None
    names = dict.fromkeys(name for side in sides for name in side)
    rows = [[name.replace("_", " "), *(_check(side.get(name)) for side in sides)] for name in names]
    return Table("Checks of the best pair's layers", ["", record.x["model"], record.y["model"]], rows)


def _check(value: Any) -> str:
    return DASH if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _commands(record: ScoreRecord) -> Parts:
    lines = pair_commands(record)
    if not lines:
        return [Paragraph("Scored from tensors, not from runs of a store: no command makes these features.", "dim")]
    note = (
        "Runs are named with digits of their keys: if an extraction results in another key, compare it with the keys "
        "below. Names of local folders and files are those of the machine that made the record."
    )
    return [Code("\n".join(lines), wrap=True), Paragraph(note, "dim")]


def _key(record: ScoreRecord, side: str) -> Details:
    about = getattr(record, side)
    name, run = f"{side}: {about['model']}", about["run"]
    if not run:
        return Details(name, [_json(about.get("tensor"))])
    facts = run.get("facts")
    of_extraction = [Paragraph("facts of the extraction"), _json(facts)] if facts else []
    return Details(name, [Paragraph(f"hash {run['hash']}"), _json(run["key"]), *of_extraction])


def _json(data: Any) -> Code:
    """Return JSON on one line, to keep a thousand pages small; the script indents it."""
    return Code(canonical(data).encode("utf-8", "replace").decode(), wrap=True, style="json")
