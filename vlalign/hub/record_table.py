"""Table of score records: one row a record, for the Hub's viewer and the card."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from vlalign.errors import VlalignError
from vlalign.hub.repo import checksums
from vlalign.scoring.conditions import conditions
from vlalign.scoring.naming import precision_of
from vlalign.scoring.record import ScoreRecord
from vlalign.store import BASELINE, RunKey
from vlalign.version import __version__

#: ``group`` is equal for records that may be compared, and ``conditions`` describes under which they were measured;
#: ``models`` and ``datasets`` are the names in ``x``, ``y`` and ``data``; ``sha256`` and ``blob`` (git's) are checksums
#: of the file
COLUMNS: dict[str, str] = {
    "file": "string",
    "group": "string",
    "conditions": "string",
    "x": "string",
    "y": "string",
    "metric": "string",
    "preset": "string",
    "n": "int64",
    "data": "string",
    "score": "float64",
    "chance": "float64",
    "calibrated": "float64",
    "p_value": "float64",
    "low": "float64",
    "high": "float64",
    "layer_x": "string",
    "layer_y": "string",
    "precision_x": "string",
    "precision_y": "string",
    "edits_x": "string",
    "edits_y": "string",
    "run_x": "string",
    "run_y": "string",
    "permutations": "int64",
    "half_samples": "int64",
    "models": "strings",
    "datasets": "strings",
    "sha256": "string",
    "blob": "string",
}


def row_of(record: ScoreRecord, file: str, data: bytes) -> dict[str, Any]:
    """Make a record's row; ``file`` is its path in the data set, and ``data`` its content.

    Raises:
        VlalignError: a part of the record that its format leaves open is invalid.
    """
    try:
        return _row(record, file) | dict(zip(("blob", "sha256"), checksums(data), strict=True))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VlalignError(f"it is not a sound score record: {type(error).__name__} {error}") from error


def _row(record: ScoreRecord, file: str) -> dict[str, Any]:
    sides = [side["run"] for side in (record.x, record.y)]
    data = dict.fromkeys(str((run["key"].get("data") or {}).get("name", "?")) for run in sides if run)
    interval: Mapping[str, Any] = record.interval or {}
    measured = conditions(record, file)
    return {
        "file": file,
        "group": measured.id,
        "conditions": measured.title,
        "x": record.x["model"],
        "y": record.y["model"],
        "metric": measured.metric,
        "preset": record.preprocessing["preset"],
        "n": record.n,
        "data": " and ".join(data),
        "score": record.score,
        "chance": record.chance,
        "calibrated": record.calibrated,
        "p_value": record.p_value,
        "low": interval.get("low"),
        "high": interval.get("high"),
        "layer_x": str(record.axes["x"][record.best["x"]["position"]]["name"]),
        "layer_y": str(record.axes["y"][record.best["y"]["position"]]["name"]),
        "precision_x": precision_of(record.x),
        "precision_y": precision_of(record.y),
        "edits_x": _edits(sides[0]),
        "edits_y": _edits(sides[1]),
        "run_x": sides[0]["hash"] if sides[0] else None,
        "run_y": sides[1]["hash"] if sides[1] else None,
        "permutations": (record.null or {}).get("permutations", 0),
        "half_samples": interval.get("count", 0),
        "models": [_model(side) for side in (record.x, record.y)],
        "datasets": list(data),
    }


def _model(side: Mapping[str, Any]) -> str:
    """Return the name of a side's model without edits."""
    return str((side["run"]["key"].get("model") or {}).get("name") if side["run"] else side["model"])


def _edits(run: Mapping[str, Any] | None) -> str:
    try:
        return RunKey(run["key"]).edits if run else ""
    except VlalignError:  # a key that another program made
        return ""


def to_parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Write the rows, sorted by file, as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {name: pa.list_(pa.string()) if kind == "strings" else kind for name, kind in COLUMNS.items()}
    schema = pa.schema(kinds, {"vlalign": __version__})
    ordered = sorted(rows, key=lambda row: str(row["file"]))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in ordered], schema=schema), buffer)
    return buffer.getvalue()


def from_parquet(data: bytes) -> list[dict[str, Any]]:
    """Read the rows of such a file; no rows where another version wrote it, which may have grouped differently."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except (OSError, pa.ArrowException):
        return []
    current = (table.schema.metadata or {}).get(b"vlalign") == __version__.encode()
    return list(table.to_pylist()) if current and table.schema.names == list(COLUMNS) else []


def groups_of(rows: Sequence[Mapping[str, Any]], most: int = 10) -> list[dict[str, Any]]:
    """Group rows that may be compared, the largest groups first, and in each the best scores first.

    Args:
        rows: of :func:`row_of`.
        most: rows of a group that are shown; ``more`` counts the others, and ``trivial`` is the best pair of trivial
            features, or None.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    made = []
    for group in sorted(groups.values(), key=lambda group: (-len(group), group[0]["conditions"], group[0]["group"])):
        best = sorted(group, key=lambda row: (-row["score"], row["file"]))
        title = {"id": best[0]["group"], "title": best[0]["conditions"]}
        trivial = next((row for row in best if row["precision_x"] == row["precision_y"] == BASELINE), None)
        made.append({**title, "rows": best[:most], "more": max(0, len(best) - most), "trivial": trivial})
    return made
