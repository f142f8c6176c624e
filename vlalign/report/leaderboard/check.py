"""Verification of score records: a random part is recomputed from the features with the records' own settings."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.text import Text

from vlalign.display import visible
from vlalign.display.format import number
from vlalign.errors import VlalignError
from vlalign.scoring import score
from vlalign.scoring.collect import Collected, Located
from vlalign.scoring.grouping import EXACT
from vlalign.scoring.inputs import Arrays
from vlalign.scoring.options import recorded_settings
from vlalign.scoring.preprocessing import PRESETS
from vlalign.scoring.record import ScoreRecord
from vlalign.store import Run, RunKey

VERIFIED, DIFFERS, UNCHECKED = "verified", "differs", "not checked"
STORED = "stored"  # entry of the key of a run whose values were rounded for the Hub

_HALF, _SINGLE = 2.0**-11, 2.0**-24  # unit roundoff of float16 and float32
_HALF_STEP = 2.0**-25  # largest rounding error of a float16 below its normal range
_FACTOR = 4.0  # errors of one rounding may add up to more than those of another
_SHOWN = 8  # records that cannot be checked, on the console
_SWAPS = 2  # samples that may have one other neighbour where two are equally far
#: metrics to which one neighbour of a sample contributes 1 / n rather than 1 / (n k)
_WHOLE_SAMPLES = ("cycle_knn", "rnx_area")
_NULL = ("mean", "q95", "max", "threshold")


@dataclass(frozen=True)
class Difference:
    """A value of a record that the features do not give; ``tolerance`` is None where values must be equal."""

    name: str
    recorded: Any
    recomputed: Any
    tolerance: float | None = None

    def __str__(self) -> str:
        values = f"{_text(self.recorded)} recorded, {_text(self.recomputed)} recomputed"
        return f"{self.name} {values}" + ("" if self.tolerance is None else f" (tolerance {self.tolerance:.1g})")


@dataclass(frozen=True)
class Checked:
    """Result for one record: where it is, its state, why it cannot be checked, and the values that differ."""

    source: str
    path: str
    title: str
    state: str
    reason: str = ""
    differences: list[Difference] = field(default_factory=list)


def choose_records(
    collected: Collected, available: Container[str], sample: int, seed: int
) -> tuple[list[Located], list[Checked], int]:
    """Draw the records to recompute from those that can be, and give the reason for each of the others.

    Args:
        collected: all records, and files without a valid one.
        available: hashes of the features' run keys (:func:`hashes_of`).
        sample: number of records to draw.
        seed: of the draw, which depends on the records' content, not on their order or names.

    Returns:
        The records drawn, those that cannot be recomputed, and the number of records that were not drawn.
    """
    unchecked = [Checked(one.source, one.path, "no valid record", UNCHECKED, one.reason) for one in collected.invalid]
    possible = []
    for located in collected.records:
        reason = _obstacle(located.record, available)
        if reason:
            unchecked.append(_checked(located, UNCHECKED, reason))
        else:
            digest = hashlib.sha256(f"check {seed} ".encode() + located.file.read_bytes()).hexdigest()
            possible.append((digest, located.path, located))
    drawn = [located for *_, located in sorted(possible, key=lambda one: one[:2])[:sample]]
    return drawn, unchecked, len(possible) - len(drawn)


def hashes_of(key: RunKey) -> list[str]:
    """Return the hashes under which records may name a run: its own and, of rounded features, the original's."""
    original = RunKey({name: value for name, value in key.data.items() if name != STORED})
    return list(dict.fromkeys([key.hash, original.hash]))


def _obstacle(record: ScoreRecord, available: Container[str]) -> str:
    """Return why a record cannot be recomputed; empty if it can be."""
    for side in (record.x, record.y):
        if not side["run"]:
            return f"{side['model']} is an array, which is in no feature store: import it (vlalign import) first"
        if side["run"]["hash"] not in available:
            return f"the features have no run {side['model']}@{side['run']['hash'][:12]}"
    settings = recorded_settings(record)
    for name in ("groups", "positives"):
        if settings.get(name) not in (None, EXACT):
            return f"its {name} ({settings[name]}) are not part of the record"
    preset = record.preprocessing["preset"]
    return "" if preset in PRESETS else f"this version has no preset {preset!r}"


def check_record(located: Located, runs: Mapping[str, Run]) -> Checked:
    """Recompute a record from the features, and compare layers, scores, null, interval and performance.

    A value may differ by four times as much as it changes when all features are rounded once more, plus one other
    neighbour of two samples. Features are rounded as products of float32 values are, and as float16 where the record is
    of the original features and the Hub has rounded ones.

    Args:
        located: the record.
        runs: by the hashes of their keys.
    """
    record = located.record
    sides = [runs[side["run"]["hash"]] for side in (record.x, record.y)]
    settings = recorded_settings(record)
    settings |= {"seed": settings["seed"] or 0, "groups": "exact" if settings["groups"] else None}
    settings.pop("within", None)  # changes nothing else of a record
    try:
        new = score(*sides, **settings)
        rounded = [
            _rounded(run, run.key.hash != side["run"]["hash"])
            for run, side in zip(sides, (record.x, record.y), strict=True)
        ]
        other = score(*rounded, **settings)
    except VlalignError as error:
        return _checked(located, UNCHECKED, f"it cannot be recomputed: {error}")
    differences = _differences(record, new, other)
    return _checked(located, DIFFERS if differences else VERIFIED, differences=differences)


def _checked(located: Located, state: str, reason: str = "", differences: Sequence[Difference] = ()) -> Checked:
    record = located.record
    title = f"{record.title}, {record.metric['name']} {number(record.score)}"
    return Checked(located.source, located.path, title, state, reason, list(differences))


def _rounded(run: Run, half: bool) -> Arrays:
    """Return the features of a run with errors of the size of rounding, equal for equal values."""
    layers = {}
    for layer, values in zip(run.layers, run.features(), strict=True):
        values = values.double()
        unit = _SINGLE * math.sqrt(layer.width) + _HALF * half
        error = torch.sin(values * 1e9) * (values.abs() * unit + _HALF_STEP * half)  # as good as random, and repeatable
        layers[layer.name] = (values + error).float()
    return Arrays(layers, run.key.title, list(run.ids))


def _differences(record: ScoreRecord, new: ScoreRecord, other: ScoreRecord) -> list[Difference]:
    """Return the values of a record that differ from the recomputed ones by more than the tolerance.

    Args:
        record: to check.
        new: recomputed.
        other: recomputed from features that were rounded once more.
    """
    exact = {
        "model of x": lambda one: one.x["model"],
        "model of y": lambda one: one.y["model"],
        "samples": lambda one: one.n,
        "layers of x": lambda one: [entry["name"] for entry in one.axes["x"]],
        "layers of y": lambda one: [entry["name"] for entry in one.axes["y"]],
    }
    if unequal := [Difference(name, of(record), of(new)) for name, of in exact.items() if of(record) != of(new)]:
        return unequal
    params, n = record.metric["params"], record.n
    is_by_neighbours = "k" in params or "max_k" in params
    per_sample = 1 if record.metric["name"] in _WHOLE_SAMPLES else 1 / params.get("k", 1)
    step = _SWAPS * per_sample / n if is_by_neighbours else 0.0
    matrices = [np.array(one.matrix, dtype=float) for one in (record, new, other)]
    tolerance = _FACTOR * float(np.abs(matrices[2] - matrices[1]).max()) + step + 1e-6 * max(1.0, abs(new.score))
    differences: list[Difference] = []

    def compare(name: str, recorded: Any, recomputed: Any, allowed: float) -> None:
        if recorded is None or recomputed is None:
            unequal = recorded is not recomputed
        else:
            unequal = not abs(recorded - recomputed) <= allowed
        if unequal:
            differences.append(Difference(name, recorded, recomputed, allowed))

    compare("score", record.score, new.score, tolerance)
    at = np.unravel_index(int(np.abs(matrices[0] - matrices[1]).argmax()), matrices[0].shape)
    layers = " × ".join(str(record.axes[side][int(i)]["name"]) for side, i in zip("xy", at, strict=True))
    compare(f"matrix at {layers}", float(matrices[0][at]), float(matrices[1][at]), tolerance)
    same_best = all(record.best[side]["position"] == new.best[side]["position"] for side in "xy")
    if same_best:
        compare("chance", record.chance, new.chance, tolerance)
        for name in ("low", "high"):
            allowed = _interval_tolerance(new, tolerance)
            compare(f"interval, {name}", _of(record.interval, name), _of(new.interval, name), allowed)
    for name in _NULL:
        compare(f"null, {name}", _of(record.null, name), _of(new.null, name), tolerance)
    if record.null and new.null:
        recorded, recomputed = (np.sort(null["maxima"]) for null in (record.null, new.null))
        if len(recorded) == len(recomputed):
            i = int(np.abs(recorded - recomputed).argmax())
            compare(f"null, maximum {i + 1}", float(recorded[i]), float(recomputed[i]), tolerance)
        compare("p-value", record.p_value, new.p_value, _p_tolerance(new, tolerance))
        scale = max(1 - float(new.null["threshold"]), 1e-9)
        compare("calibrated score", record.calibrated, new.calibrated, min(1.0, 2 * tolerance / scale))
    for side in ("x", "y"):
        old, fresh = (one.measured(side).get("bits_per_byte") for one in (record, new))
        compare(f"bits per byte of {side}", old, fresh, 1e-6)
    return differences


def _p_tolerance(new: ScoreRecord, tolerance: float) -> float:
    """Return by how much the p-value may differ when score and null maxima are off by the tolerance.

    The share of the null maxima between two values is at most 0.4 times their distance in sd, as for a normal null;
    two more maxima may be ties. A null that ended early ends at another one of its largest maxima, of which there are
    20.
    """
    assert new.null is not None
    sd = max(float(new.null["sd"]), 1e-12)
    early = 0.25 * float(new.null["p_value"]) if new.null["stopped"] else 0.0
    return min(1.0, 0.4 * 2 * tolerance / sd + 2 / (len(new.null["maxima"]) + 1) + early)


def _interval_tolerance(new: ScoreRecord, tolerance: float) -> float:
    """Return by how much a bound may differ: by twice the tolerance, as a sample counts twice in a half, and by as many
    standard deviations as the bound is away from the middle, each known as well as the mean over the halves."""
    interval = new.interval or {}
    if not interval.get("sd"):
        return 2 * tolerance
    deviations = (interval["high"] - interval["low"]) / 2 / interval["sd"]
    return 2 * tolerance * (1 + float(deviations) / math.sqrt(interval["count"]))


def _of(values: Mapping[str, Any] | None, name: str) -> Any:
    return None if values is None else values.get(name)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} ({', '.join(map(str, value[:3]))}…)" if len(value) > 3 else ", ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else "none" if value is None else str(value)


def show_checked(checked: Sequence[Checked], left: int, console: Console) -> None:
    """Print every checked record, those that cannot be checked with the reason, and the counts.

    Args:
        checked: results.
        left: records that could be checked and were not drawn.
        console: to print on.
    """
    styles = {VERIFIED: "green", DIFFERS: "bold red", UNCHECKED: "yellow"}
    for state, style in styles.items():
        of_state = [one for one in checked if one.state == state]
        shown = _SHOWN if state == UNCHECKED else len(of_state)
        for one in of_state[:shown]:
            what = f"{one.title} ({one.source} {one.path})"
            why = one.reason or "; ".join(map(str, one.differences))
            console.print(
                Text(visible(f"{state:<12}"), style=style) + Text(visible(what + (f": {why}" if why else ""))),
                soft_wrap=True,
            )
        if len(of_state) > shown:
            console.print(f"            and {len(of_state) - shown} more (all with --json)")
    counts = ", ".join(f"{sum(one.state == state for one in checked)} {state}" for state in styles)
    console.print(f"records     {counts}" + (f"; {left} not drawn" if left else ""), soft_wrap=True)
