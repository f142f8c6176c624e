"""Score records of several files and folders, together with those that could not be read and why."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vlalign.errors import VlalignError
from vlalign.score.record import ScoreRecord


@dataclass(frozen=True)
class Found:
    """A record and where it came from: ``source`` as it was given, ``path`` of the file (in a folder: below it).

    ``file`` is where its bytes are on this machine.
    """

    record: ScoreRecord
    source: str
    path: str
    file: Path = field(default=Path(), compare=False)


@dataclass(frozen=True)
class Invalid:
    """A file that holds no record that can be used, and the reason on one line."""

    source: str
    path: str
    reason: str


@dataclass
class Collected:
    """What was found, in the order of the sources and of the paths in them; nothing is dropped silently."""

    records: list[Found] = field(default_factory=list)
    invalid: list[Invalid] = field(default_factory=list)


def collect(paths: Sequence[str | Path]) -> Collected:
    """Read the records of files and of folders (every ``*.json`` in them, at any depth, hidden ones left out).

    A file that two sources reach is read once. Files that are no whole, sound record of this format are in ``invalid``.

    Raises:
        VlalignError: a source does not exist or cannot be listed, or a folder holds no JSON file at all.
    """
    collected = Collected()
    seen: set[Path] = set()
    for given in paths:
        base = Path(given).expanduser()
        files = [(file, _below(file, base)) for file in record_files(base)]
        fresh = [(file, name) for file, name in files if file.resolve() not in seen]
        seen |= {file.resolve() for file, _ in fresh}
        add(collected, str(given), fresh)
    return collected


def record_files(base: Path) -> list[Path]:
    """The file itself, or every JSON file in the folder, sorted.

    Raises:
        VlalignError: there is nothing of that name, it cannot be listed, or the folder holds no JSON file.
    """
    if base.is_file():
        return [base]
    if not base.is_dir():
        raise VlalignError(f"no results at {base}: name a folder or file that `vlalign score` wrote")
    try:
        files = sorted(file for file in base.rglob("*.json") if file.is_file() and not _hidden(_below(file, base)))
    except OSError as error:
        raise VlalignError(f"cannot list {base}: {error.strerror or error}") from error
    if not files:
        raise VlalignError(f"no score records in {base}: write some with `vlalign score`, or name another folder")
    return files


def add(collected: Collected, source: str, files: Iterable[tuple[Path, str]]) -> None:
    """Read files (each with the path to show for it) of one source into what is collected."""
    for file, name in files:
        try:
            collected.records.append(Found(read_record(file), source, name, file))
        except VlalignError as error:
            reason = str(error).removeprefix(f"{file} ").removeprefix(f"cannot read the record {file}: ")
            collected.invalid.append(Invalid(source, name, " ".join(reason.split())))


def read_record(path: Path) -> ScoreRecord:
    """A record that is whole and whose parts fit together.

    Raises:
        VlalignError: see :func:`ScoreRecord.load`; or a part has another type or shape than the record's format says.
    """
    try:
        record = ScoreRecord.load(path)
    except RecursionError as error:
        raise VlalignError(f"{path} is not a score record: it is nested too deeply") from error
    if flaw := find_flaw(record):
        raise VlalignError(f"{path} is not a sound score record: {flaw}")
    return record


def find_flaw(record: ScoreRecord) -> str | None:
    """What does not fit in a record that has all fields, None if it is sound; readers may then rely on its shape."""
    try:
        json.dumps(record.__dict__, allow_nan=False)
    except (ValueError, TypeError):
        return "it holds a value that is not finite"
    dicts = ("x", "y", "metric", "preprocessing", "pairing", "axes", "best", "checks", "performance", "environment")
    kinds: dict[str, tuple[type, ...]] = dict.fromkeys((*dicts, "seconds"), (dict,))
    kinds |= dict.fromkeys(("moments", "null", "interval", "curves"), (dict, type(None)))
    kinds |= {"n": (int,), "matrix": (list,), "chance": (int, float, type(None))}
    for name, allowed in kinds.items():
        value = getattr(record, name)
        if not isinstance(value, allowed) or isinstance(value, bool):
            return f"{name} is {_kind(value)}, not {' or '.join(_NAMES[one] for one in allowed)}"
    if record.n < 1:
        return f"n is {record.n}"
    for side in ("x", "y"):
        if flaw := _side_flaw(record, side):
            return flaw
    rows, columns = len(record.axes["x"]), len(record.axes["y"])
    if len(record.matrix) != rows or any(not isinstance(row, list) or len(row) != columns for row in record.matrix):
        return f"its matrix is not {rows} × {columns}, as its axes say"
    if not all(_is_number(value) for row in record.matrix for value in row):
        return "its matrix holds something else than numbers"
    if not _is_number(record.best.get("score")):
        return "best.score is no number"
    for name, told in (("null", ("p_value",)), ("interval", ("low", "high"))):
        part = getattr(record, name)
        if part is not None and not all(_is_number(part.get(one)) for one in told):
            return f"{name} lacks {' or '.join(told)}"
    if record.null is not None:
        calibrated = record.null.get("calibrated", "")  # null says: too few permutations
        if calibrated is not None and not _is_number(calibrated):
            return "null lacks calibrated"
    if not isinstance(record.metric.get("name"), str) or not isinstance(record.metric.get("params"), dict):
        return "metric lacks a name or params"
    if not isinstance(record.preprocessing.get("preset"), str):
        return "preprocessing lacks a preset"
    return None


def _side_flaw(record: ScoreRecord, side: str) -> str | None:
    told, axis, best = getattr(record, side), record.axes.get(side), record.best.get(side)
    if not isinstance(told.get("model"), str) or not told["model"]:
        return f"{side}.model is missing"
    run = told.get("run")
    if run is not None and not (isinstance(run, dict) and isinstance(run.get("hash"), str)):
        return f"{side}.run has no hash"
    if run is not None and not isinstance(run.get("key"), dict):
        return f"{side}.run has no key"
    if not isinstance(axis, list) or not axis or not all(isinstance(one, dict) and "name" in one for one in axis):
        return f"axes.{side} is no list of layers"
    position = best.get("position") if isinstance(best, dict) else None
    if not isinstance(position, int) or isinstance(position, bool) or not 0 <= position < len(axis):
        return f"best.{side} names no layer of axes.{side}"
    return None


_NAMES: dict[type, str] = {dict: "an object", list: "a list", int: "a number", float: "a number", type(None): "null"}


def _kind(value: Any) -> str:
    return "a truth value" if isinstance(value, bool) else _NAMES.get(type(value), "a text")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _below(file: Path, base: Path) -> str:
    return file.relative_to(base).as_posix() if file != base else str(file)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in Path(name).parts)
