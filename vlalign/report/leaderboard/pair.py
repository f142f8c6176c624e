"""Page of one pair: layers, null, curves, checks, both run keys and the commands that reproduce it."""

from __future__ import annotations

import base64
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from vlalign.display.format import DASH, count, metric_title, number, truncated
from vlalign.report.commands import pair_commands
from vlalign.report.full import best_layers, check_rows
from vlalign.report.leaderboard.board import Board, Entry
from vlalign.report.leaderboard.index import embedded
from vlalign.report.page import Code, Details, Paragraph, Parts, Section, Table, Terms, templates
from vlalign.scoring.confounds import COLUMNS, hints, rows_of
from vlalign.scoring.record_figures import side_of_rows
from vlalign.scoring.summary import has_layers, meanings_of, score_facts, verdict
from vlalign.store import LayerNorms, norms_sentence
from vlalign.store.checksums import canonical

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord

_CURVES = {"n": "N", "n_proportional": "N, k in proportion", "k": "k"}


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
            verdict=verdict(record),
            beside=board.baselines.text(entry.record),
            summary=Terms(_summary(board, entry)),
            notes=[str(note) for note in record.checks.get("notes") or []],
            lowest=number(float(matrix.min()), 3),
            highest=number(float(matrix.max()), 3),
            best=Table("Best layer pairs", ["x", "y", "score"], best_layers(record), left=("y",)),
            null=null,
            has_layers=has_layers(record),
            curves={name: title for name, title in _CURVES.items() if _points(record, name)},
            norms=[_norms(record, side) for side in ("x", "y")],
            layers=f"{record.best['x']['name']} × {record.best['y']['name']}",
            sections=_sections(entry),
            data=embedded(_data(record, matrix)),
            footer=footer,
        )
    )


def _sections(entry: Entry) -> Parts:
    record = entry.record
    models = ["", record.x["model"], record.y["model"]]
    checks = Table("Checks of the best pair's layers", models, check_rows(record))
    seconds = ", ".join(f"{stage} {value:.1f}" for stage, value in record.seconds.items()) or DASH
    rows = rows_of(record)
    confounds = Table("Shares of the score above chance", COLUMNS, rows, left=("groups",))
    return [
        Section("Data, as the best layers see it", [checks]),
        Section("What explains the score", [confounds, *(Paragraph(line, "dim") for line in hints(record) if rows)]),
        Details("What the numbers mean", [Terms(meanings_of(record))]),
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
    terms = score_facts(entry.record) | {"above chance": number(entry.corrected)}
    for side in ("x", "y"):
        model = board.model(entry, side)
        facts = [model.family, model.modality]
        facts += [f"{count(model.params)} parameters"] if model.params is not None else []
        facts += [model.precision] if model.precision else []
        performance = entry.performance(side)
        facts += [f"{performance[1]:.3f} {performance[0]}{truncated(entry.truncated(side))}"] if performance else []
        terms[f"{side}: {model.name}"] = ", ".join(facts)
    terms.pop("verdict")  # leads the page
    return terms | dict(entry.conditions.parts) | {"metric": metric_title(entry.conditions.parts["metric"])}


def _norms(record: ScoreRecord, side: str) -> Section | None:
    """Return how uneven the norms of the tokens or patches of a side are, by layer; None without tokens."""
    about = getattr(record, side)
    pool = about["run"] and about["run"]["key"].get("pooling")
    if not pool:
        return None
    title = f"Norms within a sample: {about['model']}"
    if not about.get("norms"):
        return Section(title, [Paragraph("Not measured: extracted, pushed or scored by an earlier version.", "dim")])
    norms = [LayerNorms(**{one.name: entry[one.name] for one in fields(LayerNorms)}) for entry in about["norms"]]
    columns = ["layer", "largest / median norm", "share of the mean", "mostly"]
    rows = [[one.layer, f"{one.ratio:.1f}", f"{one.share:.0%}", one.place or DASH] for one in norms]
    caption = (
        "Largest norm over the median one, and the share of their mean that it gives; medians over samples; and which "
        "it is in more than half of them"
    )
    table = Table(caption, columns, rows, left=("mostly",))
    return Section(title, [Paragraph(norms_sentence(norms, str(pool))), Details("All layers", [table])])


def _data(record: ScoreRecord, matrix: np.ndarray) -> dict[str, Any]:
    """Return what the script draws: matrix (in steps of a 65,535th of its range), histogram of the null, curves."""
    metric, low, high = metric_title(record.metric["name"]), float(matrix.min()), float(matrix.max())
    steps = np.rint((matrix - low) / (high - low or 1.0) * 65535).astype("<u2")
    return {
        **{side: [str(layer["name"]) for layer in record.axes[side]] for side in ("x", "y")},
        "metric": metric,
        "largest": f"largest {metric} over all layer pairs" if has_layers(record) else metric,
        "models": {side: getattr(record, side)["model"] for side in ("x", "y")},
        "rows": side_of_rows(record),
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
