"""The page of one pair: layers, null, curves, checks, both run keys and the commands that make it again."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from vlalign.display import html_text
from vlalign.report import page
from vlalign.report.format import count, p_text, truncated
from vlalign.report.leaderboard.board import Board, Entry
from vlalign.report.leaderboard.files import fixed
from vlalign.report.pair_command import pair_commands
from vlalign.store.checksums import canonical

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord

SITE = Path(__file__).parent / "site"
_BEST = 5  # layer pairs named
_CURVES = {"n": "N", "k": "k"}


def pair_page(board: Board, entry: Entry, template: Template, footer: str) -> str:
    """The page as HTML; every text in it is escaped."""
    record = entry.record
    models = board.model(entry, "x"), board.model(entry, "y")
    parts = [
        page.terms(_summary(board, entry)),
        "\n".join(f'<p class="note">{html_text(str(note))}</p>' for note in record.checks.get("notes") or []),
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
            page.details("Environment", _json(record.environment)),
        ),
    ]
    place = {"group": entry.conditions.id, "reference": entry.x}
    back = urlencode(place if entry.conditions.symmetric else place | {"side": "x"})
    return template.substitute(
        title=html_text(f"{models[0].name} × {models[1].name}"),
        back=html_text(f"../index.html#{back}"),
        body="\n".join(part for part in parts if part),
        data=embedded(_data(record)),
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
        told += [f"{performance[1]:.3f} {performance[0]}{truncated(entry.truncated(side))}"] if performance else []
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


def _data(record: ScoreRecord) -> dict[str, Any]:
    """What the page's script draws: matrix (in steps of a 65,535th of its range), histogram of the null, curves."""
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
        "null": _histogram(record),
        "curves": {name: points for name in _CURVES if (points := _points(record, name))},
    }


def _histogram(record: ScoreRecord) -> dict[str, Any] | None:
    null = record.null
    if null is None or not null.get("maxima"):
        return None
    maxima = np.asarray(null["maxima"], dtype=float)
    counts, edges = np.histogram(maxima, bins=min(20, max(5, len(maxima) // 10)))
    told = {"threshold": null.get("threshold"), "chance": record.chance, "score": record.score}
    return {"low": float(edges[0]), "high": float(edges[-1]), "counts": counts.tolist(), **told}


def _points(record: ScoreRecord, name: str) -> list[list[float | None]]:
    """Points of a curve as [at, largest, above chance, fixed layers, above chance]; none where there are too few."""
    points = (record.curves or {}).get(name, {}).get("points") or []
    kinds = ("largest", "largest_corrected", "fixed", "fixed_corrected")
    found = [[p["at"], *(float(f"{p[kind]['mean']:.5g}") if p.get(kind) else None for kind in kinds)] for p in points]
    return found if len(found) > 1 else []


def _null(record: ScoreRecord) -> str:
    null = record.null
    if null is None or not null.get("maxima"):
        return page.paragraph("The record has no permutation null, so no p-value and no calibrated score.", "dim")
    return _figure(
        "null",
        f"The largest value over all layer pairs of {null['permutations']} random pairings. Solid line: the score; "
        "dashed: the null's 95 % point; dotted: chance level.",
    )


def _curve(record: ScoreRecord, name: str) -> str:
    if not _points(record, name):
        return ""
    fixed_layers = f"{record.best['x']['name']} × {record.best['y']['name']}"
    caption = f"Blue: largest over layer pairs; orange: {fixed_layers}; dashed: above chance."
    return page.section(f"Score against {_CURVES[name]}", _figure(f"curve-{name}", caption))


def _figure(name: str, caption: str) -> str:
    """A picture that the script draws."""
    return f'<figure class="fit" id="{name}"><figcaption>{html_text(caption)}</figcaption></figure>'


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
        return page.details(name, _json(told.get("tensor")))
    facts = told["run"].get("facts")
    return page.details(
        name,
        page.paragraph(f"hash {told['run']['hash']}"),
        _json(told["run"]["key"]),
        page.paragraph("facts of the extraction") + _json(facts) if facts else "",
    )


def _json(data: Any) -> str:
    """On one line, to keep a thousand pages small; the script indents it."""
    text = canonical(data).encode("utf-8", "replace").decode()
    return f'<pre tabindex="0" class="wrap json"><code>{html_text(text, quote=False)}</code></pre>'


def _seconds(record: ScoreRecord) -> str:
    return ", ".join(f"{stage} {value:.1f}" for stage, value in record.seconds.items()) or "–"
