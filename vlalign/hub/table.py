"""Score records as a flat table: one row a record, for the Hub's viewer and the card."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from vlalign.score.record import ScoreRecord

COLUMNS: dict[str, str] = {
    "file": "string",
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
    "run_x": "string",
    "run_y": "string",
}


def row_of(record: ScoreRecord, file: str) -> dict[str, Any]:
    """A record's row; ``file`` is its path in the data set."""
    params = ",".join(f"{name}={value}" for name, value in sorted(record.metric["params"].items()))
    sides = [side["run"] for side in (record.x, record.y)]
    data = dict.fromkeys(str((run["key"].get("data") or {}).get("name", "?")) for run in sides if run)
    interval: Mapping[str, Any] = record.interval or {}
    return {
        "file": file,
        "x": record.x["model"],
        "y": record.y["model"],
        "metric": record.metric["name"] + (f":{params}" if params else ""),
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
        "run_x": sides[0]["hash"] if sides[0] else None,
        "run_y": sides[1]["hash"] if sides[1] else None,
    }


def to_parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The rows, sorted by file, as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()])
    ordered = sorted(rows, key=lambda row: str(row["file"]))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in ordered], schema=schema), buffer)
    return buffer.getvalue()


def from_parquet(data: bytes) -> list[dict[str, Any]]:
    """The rows of such a file; none where it has other columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except (OSError, pa.ArrowException):
        return []
    return list(table.to_pylist()) if table.schema.names == list(COLUMNS) else []


def groups_of(rows: Sequence[Mapping[str, Any]], most: int = 10) -> list[dict[str, Any]]:
    """Rows that may be compared, together: same metric, preset, number of samples and data, best scores first."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["metric"], row["preset"], row["n"], row["data"]), []).append(row)
    made = []
    for (metric, preset, n, data), group in sorted(found.items(), key=lambda item: tuple(map(str, item[0]))):
        best = sorted(group, key=lambda row: (-row["score"], row["file"]))
        title = f"{metric}, preset {preset}, N = {n}" + (f", {data}" if data else "")
        made.append({"title": title, "rows": best[:most], "more": max(0, len(best) - most)})
    return made
