"""What does not fit in a score record; whoever reads one without a flaw may rely on its shape."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from vlalign.errors import VlalignError
from vlalign.scoring.record import ScoreRecord
from vlalign.store.key import RunKey

_LARGEST = 2**53  # whole number that a float still tells from the next one
_TOLERANCE = 1e-9  # between the best score and its place in the matrix

Kind = tuple[str, Callable[[Any], bool]]  # in words, and whether a value is one


def find_flaw(record: ScoreRecord) -> str | None:
    """What does not fit in a record that has all fields, on one line; None if it is sound."""
    try:
        json.dumps(record.__dict__, allow_nan=False)
        finite = _is_finite(record.__dict__)
    except (ValueError, TypeError):
        finite = False
    except RecursionError:
        return "it is nested too deeply"
    if not finite:
        return "it holds a value that is not finite or too large"
    return _field_flaw(record) or _side_flaw(record, "x") or _side_flaw(record, "y") or _grid_flaw(record)


def _field_flaw(record: ScoreRecord) -> str | None:
    """A field, or what is said in it, is of another kind than the format says."""
    for name, kind in _FIELDS.items():
        if flaw := _not_a(kind, name, getattr(record, name)):
            return flaw
    if record.n < 1:
        return f"n is {record.n}"
    for part, kinds in _PARTS.items():
        told = getattr(record, part)
        for name, kind in kinds.items() if told is not None else ():
            if name not in told and name in _NEEDED.get(part, ()):
                return f"{part} lacks {name}"
            if name in told and (flaw := _not_a(kind, f"{part}.{name}", told[name])):
                return flaw
    if record.interval is not None and record.interval["low"] > record.interval["high"]:
        return f"interval is from {record.interval['low']} to {record.interval['high']}: its low end lies above"
    for stage, value in record.seconds.items():
        if flaw := _not_a(NUMBER, f"seconds.{stage}", value):
            return flaw
    for side in ("x", "y"):
        for name, value in (record.performance.get(side) or {}).items():
            if flaw := _not_a(_or_null(NUMBER), f"performance.{side}.{name}", value):
                return flaw
    return next(filter(None, (_curve_flaw(name, curve) for name, curve in (record.curves or {}).items())), None)


def _curve_flaw(name: str, curve: Any) -> str | None:
    """Points of a curve are at numbers above 0, and their values have a mean or are null."""
    points = curve.get("points") if isinstance(curve, dict) else None
    if not isinstance(points, list):
        return f"curves.{name} has no points"
    for point in points:
        if not isinstance(point, dict) or not _is_number(point.get("at")) or point["at"] <= 0:
            return f"curves.{name} has a point that says no place above 0"
        values = [point.get(kind) for kind in ("largest", "largest_corrected", "fixed", "fixed_corrected")]
        if not all(one is None or (isinstance(one, dict) and _is_number(one.get("mean"))) for one in values):
            return f"curves.{name} has a value without a mean"
    return None


def _side_flaw(record: ScoreRecord, side: str) -> str | None:
    told, axis, best = getattr(record, side), record.axes.get(side), record.best.get(side)
    if not isinstance(told.get("model"), str) or not told["model"]:
        return f"{side}.model is missing"
    if flaw := _not_a(_or_null(TEXT), f"{side}.modality", told.get("modality")):
        return flaw
    if "run" not in told:
        return f"{side} lacks run"
    if told["run"] is not None and (flaw := _run_flaw(told["run"], f"{side}.run")):
        return flaw
    if not isinstance(axis, list) or not axis:
        return f"axes.{side} is no list of layers"
    for layer in axis:
        if not isinstance(layer, dict) or not isinstance(layer.get("name"), str) or not _is_whole(layer.get("index")):
            return f"axes.{side} holds a layer without name or index"
    position = best.get("position") if isinstance(best, dict) else None
    if not isinstance(best, dict) or not isinstance(position, int) or isinstance(position, bool):
        return f"best.{side} has no position"
    if not 0 <= position < len(axis):
        return f"best.{side} names no layer of axes.{side}"
    if best.get("name") != axis[position]["name"]:
        return f"best.{side} has another name than axes.{side} at its position, {axis[position]['name']}"
    return None


def _run_flaw(run: Any, where: str) -> str | None:
    if not isinstance(run, dict) or not isinstance(run.get("hash"), str):
        return f"{where} has no hash"
    if not isinstance(run.get("key"), dict):
        return f"{where} has no key"
    if flaw := _not_a(_or_null(LIST), f"{where}.key.perturbations", run["key"].get("perturbations")):
        return flaw
    try:
        found = RunKey(run["key"]).hash
    except VlalignError as error:
        return f"{where}: {error}"
    return None if found == run["hash"] else f"{where}: the hash is not that of the key, so one of them was changed"


def _grid_flaw(record: ScoreRecord) -> str | None:
    """The matrix fits the axes, and the best score is its largest value, at the place that it names."""
    rows, columns = len(record.axes["x"]), len(record.axes["y"])
    matrix = record.matrix
    if len(matrix) != rows or any(not isinstance(row, list) or len(row) != columns for row in matrix):
        return f"its matrix is not {rows} × {columns}, as its axes say"
    if not all(_is_number(value) for row in matrix for value in row):
        return "its matrix holds something else than numbers"
    score, at = record.best["score"], matrix[record.best["x"]["position"]][record.best["y"]["position"]]
    if not math.isclose(score, at, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
        return f"best.score is {score}, and its matrix has {at} there"
    # a layer that tells no samples apart scores 0 with every layer, and is never picked, not even above negative scores
    across = [any(column) for column in zip(*matrix, strict=True)]
    varied = [value for row in matrix if any(row) for value, told in zip(row, across, strict=True) if told]
    largest = max(varied, default=0.0)
    if score < largest and not math.isclose(score, largest, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
        return f"best.score is {score}, and its matrix has {largest}"
    return None


def _is_finite(value: Any) -> bool:
    """Whether every number in JSON values is one that a float can be."""
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, int | float) or isinstance(value, bool) or _is_number(value)


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond what a float can be
        return False


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _or_null(kind: Kind) -> Kind:
    words, fits = kind
    return f"{words} or null", lambda value: value is None or fits(value)


def _not_a(kind: Kind, name: str, value: Any) -> str | None:
    """That a value is of another kind, if it is."""
    words, fits = kind
    if fits(value):
        return None
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{name} is {value if plain else _name(value)}, not {words}"


def _name(value: Any) -> str:
    names: dict[type, str] = {bool: "a truth value", dict: "an object", list: "a list", type(None): "null"}
    return names.get(type(value), "a text")


OBJECT: Kind = ("an object", lambda value: isinstance(value, dict))
LIST: Kind = ("a list", lambda value: isinstance(value, list))
TEXT: Kind = ("a text", lambda value: isinstance(value, str))
TEXTS: Kind = ("a list of texts", lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value))
TRUTH: Kind = ("a truth value", lambda value: isinstance(value, bool))
NUMBER: Kind = ("a number", _is_number)
NUMBERS: Kind = ("a list of numbers", lambda value: isinstance(value, list) and all(map(_is_number, value)))
SHARE: Kind = ("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
COUNT: Kind = ("a whole number", lambda value: _is_whole(value) and value >= 0)

_FIELDS: Mapping[str, Kind] = {
    **dict.fromkeys(("x", "y", "metric", "preprocessing", "pairing", "axes", "best", "checks", "performance"), OBJECT),
    **dict.fromkeys(("environment", "seconds"), OBJECT),
    **dict.fromkeys(("moments", "null", "interval", "curves"), _or_null(OBJECT)),
    "n": ("a whole number", _is_whole),
    "matrix": LIST,
    "chance": _or_null(NUMBER),
}

#: what parts that are there say
_PARTS: Mapping[str, Mapping[str, Kind]] = {
    "metric": {"name": TEXT, "params": OBJECT},
    "preprocessing": {"preset": TEXT, "clip_quantile": _or_null(NUMBER)},
    "pairing": {"groups": _or_null(OBJECT)},
    "best": {"score": NUMBER},
    "moments": {
        "mean": NUMBER,
        **dict.fromkeys(("sd", "z"), _or_null(NUMBER)),
        **dict.fromkeys(("p_value", "p_selected"), _or_null(SHARE)),
    },
    "null": {
        "p_value": SHARE,
        "permutations": COUNT,
        "asked": _or_null(COUNT),
        "stopped": TRUTH,
        "blocks": _or_null(COUNT),
        "calibrated": _or_null(NUMBER),
        "alpha": SHARE,
        "maxima": NUMBERS,
        **dict.fromkeys(("mean", "sd", "q5", "q50", "q95", "q99", "max", "threshold", "pair_mean"), NUMBER),
    },
    "interval": {"low": NUMBER, "high": NUMBER, "level": SHARE, "count": COUNT, "observed": NUMBER, "sd": NUMBER},
    "checks": {"x": OBJECT, "y": OBJECT, "notes": TEXTS},
    "performance": dict.fromkeys(("x", "y"), _or_null(OBJECT)),
}

#: what readers take from a part without asking whether it is there
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "metric": ("name", "params"),
    "preprocessing": ("preset",),
    "best": ("score",),
    "null": ("p_value", "permutations", "stopped", "calibrated"),
    "interval": ("low", "high"),
}
