"""Tables of score records, as numbers and as texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vlalign.display import visible
from vlalign.display.format import interval, number, p_text
from vlalign.display.result import Texts
from vlalign.metrics.base import metric_text
from vlalign.metrics.registry import METRICS, get_metric
from vlalign.scoring.naming import run_names
from vlalign.scoring.summary import p_of_record
from vlalign.stats.fdr import benjamini_hochberg

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.scoring.record import ScoreRecord

#: columns that hold no numbers
WORDS = ("x", "y", "metric", "best layers")


def false_discovery(records: Sequence[ScoreRecord]) -> list[float | None]:
    """Return the q-values (Benjamini–Hochberg) of the records that have a p-value."""
    known = [i for i, record in enumerate(records) if record.p_value is not None]
    q_values: list[float | None] = [None] * len(records)
    if known:
        adjusted = benjamini_hochberg([records[i].p_value for i in known])  # type: ignore[misc]
        for i, q in zip(known, adjusted, strict=True):
            q_values[i] = float(q)
    return q_values


def frame(records: Sequence[ScoreRecord]) -> pd.DataFrame:
    """Return one row for each record, best first within each metric; q-values are over all rows.

    Args:
        records: of any pairs and metrics.
    """
    import pandas as pd

    rows = [
        {
            "x": record.x["model"],
            "y": record.y["model"],
            "metric": metric_label(record),
            "preset": record.preprocessing["preset"],
            "score": record.score,
            "low": None if record.interval is None else record.interval["low"],
            "high": None if record.interval is None else record.interval["high"],
            "chance": record.chance,
            "calibrated": record.calibrated,
            "p_value": record.p_value,
            "q_value": q,
            "layer_x": record.best["x"]["name"],
            "layer_y": record.best["y"]["name"],
            "n": record.n,
            "record": record.filename,
        }
        for record, q in zip(records, false_discovery(records), strict=True)
    ]
    return pd.DataFrame(rows, dtype=object).sort_values(["metric", "score"], ascending=[True, False])


def texts(records: Sequence[ScoreRecord]) -> Texts:
    """Return the table of texts, best first within each metric in the order of the records; q-values are over all rows.

    Columns that are the same for all records are left out: the metric; both models where all records are of one pair
    and differ in their metrics; the best layers where no model has several.
    """
    several = len({metric_label(record) for record in records}) > 1
    models = [] if several and is_one_pair(records) else ["x", "y"]
    layers = ["best layers"] if any(len(r.axes["x"]) * len(r.axes["y"]) > 1 for r in records) else []
    numbers = ["score", "interval", "chance", "calibrated", "p", "q"]
    columns = [*models, *(["metric"] if several else []), *numbers, *layers, "N"]
    order = {label: i for i, label in enumerate(dict.fromkeys(metric_label(record) for record in records))}
    rated = zip(records, false_discovery(records), strict=True)
    pairs = sorted(rated, key=lambda pair: (order[metric_label(pair[0])], -pair[0].score))
    rows = []
    for record, q in pairs:
        spread = record.interval or {}
        rows.append(
            [
                *([model_label(record.x, records), model_label(record.y, records)] if models else []),
                *([metric_label(record, short=True)] if several else []),
                number(record.score),
                interval(spread.get("low"), spread.get("high"), 3),
                number(record.chance),
                number(record.calibrated),
                p_of_record(record),
                p_text(q),
                *([f"{visible(record.best['x']['name'])} × {visible(record.best['y']['name'])}"] if layers else []),
                f"{record.n:,}",
            ]
        )
    return Texts(columns, rows, [name for name in columns if name in WORDS])


def is_one_pair(records: Sequence[ScoreRecord]) -> bool:
    """Return whether all records are of one pair of runs or arrays."""
    return len({(model_label(r.x, records), model_label(r.y, records)) for r in records}) == 1


def model_label(side: Mapping[str, Any], records: Sequence[ScoreRecord]) -> str:
    """Return a side's model, and what differs where several runs of that model are in the table."""
    sides = [s for record in records for s in (record.x, record.y) if s["model"] == side["model"] and s["run"]]
    runs = {s["run"]["hash"]: s for s in sides}
    if len(runs) < 2 or not side["run"]:
        return visible(side["model"])
    return visible(dict(zip(runs, run_names(list(runs.values())), strict=True))[side["run"]["hash"]])


def metric_label(record: ScoreRecord, short: bool = False) -> str:
    """Return a record's metric as ``--metric`` takes it; ``short``: without parameters at their defaults."""
    name, params = record.metric["name"], record.metric["params"]
    if short and name in METRICS:
        defaults = get_metric(name).params
        params = {p: v for p, v in params.items() if metric_text("", {p: v}) != metric_text("", {p: defaults.get(p)})}
    return metric_text(name, params)
