"""The page of one pair: layers, null, curves, checks, both run keys and the commands that make it again."""

from __future__ import annotations

import base64
import json
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from vlalign.report import page
from vlalign.report.leaderboard_data import Board, Entry
from vlalign.report.leaderboard_svg import curve_svg, null_svg
from vlalign.report.leaderboard_text import fixed
from vlalign.report.pair_command import pair_commands
from vlalign.report.text import count, p_text
from vlalign.store.files import pretty

if TYPE_CHECKING:
    from vlalign.score import ScoreRecord

SITE = Path(__file__).parent / "site"
_BEST = 5  # layer pairs named
_CURVES = {"n": ("N", "samples N"), "k": ("k", "neighbours k")}


def pair_page(board: Board, entry: Entry, template: Template, footer: str) -> str:
    """The page as HTML; every text in it is escaped."""
    record = entry.record
    models = board.model(entry, "x"), board.model(entry, "y")
    parts = [
        page.terms(_summary(board, entry)),
        "\n".join(f'<p class="note">{escape(str(note))}</p>' for note in record.checks.get("notes") or []),
        page.section("Layers", _layers(record)),
        '<div class="two">',
        page.section("Null", _null(record)),
        *(_curve(record, name) for name in _CURVES),
        "</div>",
        page.section("Data, as the best layers see it", _checks(record)),
        page.section("Make it again", _commands(record)),
        page.section("Run keys", *(_key(record, side) for side in ("x", "y"))),
        page.section(
            "Record",
            page.terms({"results": entry.source, "file": entry.path, "seconds": _seconds(record)}),
            page.details("Environment", page.code(_json(record.environment))),
        ),
    ]
    back = urlencode({"group": entry.conditions.id, "reference": entry.x})
    return template.substitute(
        title=escape(f"{models[0].name} × {models[1].name}"),
        back=escape(f"../index.html#{back}"),
        body="\n".join(part for part in parts if part),
        matrix=embedded(_matrix(record)),
        footer=footer,
    )


def embedded(data: Any) -> str:
    """JSON that may stand in a script element: nothing in it ends the element or opens a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _summary(board: Board, entry: Entry) -> dict[str, str]:
    record, interval, null = entry.record, entry.record.interval, entry.record.null
    found = {"score": fixed(record.score)}
    if interval is not None:
        level = f"{interval['level']:.0%} interval" if interval.get("level") else "interval"
        found[level] = f"{interval['low']:.4f} – {interval['high']:.4f}, {interval.get('count')} half-samples"
    found["best of"] = f"{len(record.axes['x'])} × {len(record.axes['y'])} layer pairs"
    found["layers"] = f"{record.best['x']['name']} × {record.best['y']['name']}"
    found["chance"] = f"{fixed(record.chance)}; above it: {fixed(entry.corrected)}"
    if record.moments is not None and record.moments.get("z") is not None:
        found["z"] = f"{record.moments['z']:.1f} sd above chance (exact mean and sd of this layer pair)"
    if null is not None:
        early = ", stopped early" if null["stopped"] else ""
        found["p"] = f"{p_text(record)} ({null['permutations']} random pairings{early}, layer selection included)"
        found["calibrated"] = fixed(record.calibrated)
    for side in ("x", "y"):
        model = board.model(entry, side)
        told = [model.family, model.modality]
        told += [f"{count(model.params)} parameters"] if model.params is not None else []
        told += [model.precision] if model.precision else []
        performance = entry.performance(side)
        told += [f"{performance[1]:.3f} {performance[0]}"] if performance else []
        found[f"{side}: {model.name}"] = ", ".join(told)
    return found | dict(entry.conditions.parts)


def _layers(record: ScoreRecord) -> str:
    matrix = np.asarray(record.matrix, dtype=float)
    rows = []
    for flat in np.argsort(-matrix, axis=None, kind="stable")[:_BEST]:
        i, j = np.unravel_index(flat, matrix.shape)
        rows.append([_layer(record, "x", int(i)), _layer(record, "y", int(j)), f"{matrix[i, j]:.4f}"])
    scale = (
        f'<p class="dim">{fixed(float(matrix.min()), 3)}<span class="ramp" aria-hidden="true"></span>'
        f"{fixed(float(matrix.max()), 3)}; framed: the best pair</p>"
    )
    return (
        f'<figure><div class="wide" id="map"></div>\n<p class="readout" id="readout" aria-live="polite"></p>\n{scale}'
        "</figure>\n"
        + page.table("Best layer pairs", ["x", "y", "score"], rows, left=("y",))
        + '\n<details id="values"><summary>All values</summary></details>'
    )


def _layer(record: ScoreRecord, side: str, position: int) -> str:
    return str(record.axes[side][position]["name"])


def _matrix(record: ScoreRecord) -> dict[str, Any]:
    """The layer matrix for the page's script: steps of a 65,535th of its range, names, best pair, the null's point."""
    matrix = np.asarray(record.matrix, dtype=float)
    low, high = float(matrix.min()), float(matrix.max())
    steps = np.rint((matrix - low) / (high - low or 1.0) * 65535).astype("<u2")
    return {
        **{side: [str(layer["name"]) for layer in record.axes[side]] for side in ("x", "y")},
        "low": low,
        "high": high,
        "values": base64.b64encode(steps.tobytes()).decode(),
        "best": [record.best["x"]["position"], record.best["y"]["position"]],
        "threshold": None if record.null is None else record.null.get("threshold"),
    }


def _null(record: ScoreRecord) -> str:
    picture = null_svg(record)
    if not picture:
        return page.paragraph("The record has no permutation null, so no p-value and no calibrated score.", "dim")
    null = record.null
    assert null is not None
    caption = (
        f"The largest value over all layer pairs of {null['permutations']} random pairings. Solid line: the score; "
        "dashed: the null's 95 % point; dotted: chance level."
    )
    return f'<figure class="fit">{picture}<figcaption>{escape(caption)}</figcaption></figure>'


def _curve(record: ScoreRecord, name: str) -> str:
    points = (record.curves or {}).get(name, {}).get("points") or []
    short, axis = _CURVES[name]
    picture = curve_svg(points, axis)
    if not picture:
        return ""
    caption = (
        f"Blue: largest over layer pairs; orange: {record.best['x']['name']} × {record.best['y']['name']}; "
        "dashed: above chance."
    )
    names = ("largest", "largest_corrected", "fixed", "fixed_corrected")
    rows = [[str(p["at"]), *(fixed(p[which]["mean"] if p.get(which) else None) for which in names)] for p in points]
    columns = [short, "largest", "above chance", "fixed layers", "above chance"]
    return page.section(
        f"Score against {short}",
        f'<figure class="fit">{picture}<figcaption>{escape(caption)}</figcaption></figure>',
        page.details("Numbers", page.table(f"Score against {axis}", columns, rows)),
    )


def _checks(record: ScoreRecord) -> str:
    """What the checks found, side by side; the names are those of the record."""
    sides = [record.checks.get(side) for side in ("x", "y")]
    if not all(isinstance(side, dict) and side for side in sides):
        return ""
    told = [side for side in sides if isinstance(side, dict)]
    names = dict.fromkeys(name for side in told for name in side)
    rows = [[name.replace("_", " "), *(_number(side.get(name)) for side in told)] for name in names]
    return page.table("Checks of the best pair's layers", ["", record.x["model"], record.y["model"]], rows)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value)


def _commands(record: ScoreRecord) -> str:
    lines = pair_commands(record)
    if not lines:
        return page.paragraph("Scored from tensors, not from runs of a store: no command makes these features.", "dim")
    return page.code("\n".join(lines), wrap=True) + page.paragraph(
        "Runs are named with digits of their keys: if extraction gives another key, the keys below say what differs. "
        "Names of local folders and files are those of the machine that made the record.", "dim",
    )  # fmt: skip


def _key(record: ScoreRecord, side: str) -> str:
    told = getattr(record, side)
    name = f"{side}: {told['model']}"
    if not told["run"]:
        return page.details(name, page.code(_json(told.get("tensor"))))
    text = f"{told['run']['hash']}\n{_json(told['run']['key'])}"
    facts = told["run"].get("facts")
    return page.details(name, page.code(text), page.code(f"facts {_json(facts)}") if facts else "")


def _json(data: Any) -> str:
    return pretty(data).decode("utf-8", "replace").rstrip()


def _seconds(record: ScoreRecord) -> str:
    return ", ".join(f"{stage} {value:.1f}" for stage, value in record.seconds.items()) or "–"
