"""Inspection of a file: its arrays, the data set that it looks like, and the effects of preparing it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.multibench.data.affect import CONVENTIONS, MODALITIES, label_problem, plain_labels, plan_affect
from vlalign.multibench.data.arrays import ROWS, Array, count_values
from vlalign.multibench.data.custom import IDS, LABELS, LENGTHS, find_lengths, find_modalities, find_targets
from vlalign.multibench.data.prepared import Prepared
from vlalign.multibench.data.source import Source, read_source
from vlalign.multibench.data.validation import SPLITS

_ASIDE = {*LABELS, *IDS, "split"}


@dataclass(frozen=True)
class Inspection:
    """Contents of a file.

    Attributes:
        path: of the file.
        files: name, bytes and sha256 of each file.
        arrays: a row for each array: split ("" without), key, shape, dtype, and, of numbers, nan, inf (both signs),
            minus_inf, all_zero (samples), leading_zero_frames (over all samples, of arrays of rank 3).
        labels: by split: counts of few values, else min, max, mean, positive, zero.
        looks_like: names of data sets, the likeliest first; "custom" is always last.
        why: the evidence for this order.
        plan: by split, counts of changes by preparing as the first of these; {} for custom.
        problem: why preparing as the first of these would fail, or None.
        command: to prepare it.
    """

    path: str
    files: list[dict[str, Any]]
    arrays: list[dict[str, Any]]
    labels: dict[str, dict[str, Any]]
    looks_like: list[str]
    why: str
    plan: dict[str, dict[str, int]]
    problem: str | None
    command: str


def inspect_file(path: str | Path) -> Inspection:
    """Inspect all of a file of arrays for :func:`vlalign.multibench.data.source.read_source`.

    Raises:
        VlalignError: it cannot be read, or is refused (the message names the refused object).
    """
    source = read_source(path)
    arrays = [_array_facts(split, key, values) for split, part in source.parts.items() for key, values in part.items()]
    labels = {split: _label_facts(part) for split, part in source.parts.items()}
    names, why = looks_like(source)
    plan: dict[str, dict[str, int]] = {}
    problem = None
    try:
        if names[0] == "custom":
            modalities = find_modalities(source)
            find_targets(source, None)
            find_lengths(source, modalities)
        else:
            plan = {split: one.counts for split, one in plan_affect(names[0], source)[1].items()}
    except VlalignError as error:
        problem = str(error)
    command = f"vlalign multibench prepare {names[0]} {shlex.quote(str(path))}"
    return Inspection(str(path), source.files, arrays, labels, names, why, plan, problem, command)


def looks_like(source: Source) -> tuple[list[str], str]:
    """Return names of data sets that a file may be, the likeliest first and "custom" last, and the evidence."""
    train = source.splits.get(SPLITS[0], {})
    if not all(key in train and train[key].ndim == 3 for key in MODALITIES):
        return ["custom"], "it has no vision, audio and text of rank 3 in train"
    widths = tuple(int(train[key].shape[2]) for key in MODALITIES)
    count = sum(len(part[MODALITIES[0]]) for part in source.splits.values() if MODALITIES[0] in part)
    labels = []
    for split in source.splits:
        with suppress(VlalignError, KeyError):
            labels.append(plain_labels(source, split))
    fits = {name: bool(labels) and not label_problem(name, np.concatenate(labels)) for name in CONVENTIONS}

    def distance(name: str) -> tuple[bool, bool, float]:
        known = CONVENTIONS[name]
        return not fits[name], widths not in known.widths, abs(np.log(max(count, 1) / known.samples))

    likely = [name for name in sorted(CONVENTIONS, key=distance) if fits[name] or widths in CONVENTIONS[name].widths]
    evidence = f"widths {'/'.join(map(str, widths))} of vision, audio and text, {count} samples"
    if labels:
        values = np.unique(np.concatenate(labels))
        shown = ", ".join(f"{value:g}" for value in values) if len(values) <= 3 else f"{values[0]:g} to {values[-1]:g}"
        evidence += f", labels {shown}"
    return [*likely, "custom"], evidence


def inspect_prepared(prepared: Prepared) -> dict[str, Any]:
    """Return the contents of a prepared data set as JSON values."""
    splits = {}
    for title, part in prepared.splits.items():
        labels = part.labels.numpy()
        splits[title] = {
            "samples": len(part.ids),
            "shapes": {name: list(values.shape) for name, values in part.inputs.items()},
            "mean_lengths": {name: round(float(values.double().mean()), 2) for name, values in part.lengths.items()},
            "labels": _named(_spread(labels.astype(np.float64)), prepared.about),
        }
    return {
        "folder": str(prepared.folder), "name": prepared.name, "task": prepared.task, "classes": prepared.classes,
        "pool": prepared.pool, "modalities": list(prepared.modalities), "fingerprint": prepared.fingerprint,
        "splits": splits, "about": prepared.about,
    }  # fmt: skip


def _named(spread: dict[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return counts of classes by their original names, if these are recorded."""
    names = about.get("statistics", {}).get("classes")
    if not names or "counts" not in spread:
        return spread
    return spread | {"counts": {names[int(number)]: count for number, count in spread["counts"].items()}}


def _array_facts(split: str, key: str, values: Array) -> dict[str, Any]:
    facts: dict[str, Any] = {"split": split, "key": key, "shape": list(values.shape), "dtype": str(values.dtype)}
    if values.dtype.kind not in "fiub" or not values.ndim or key in _ASIDE or key.endswith(LENGTHS):
        return facts
    counts = dict.fromkeys(("nan", "inf", "minus_inf", "all_zero", "leading_zero_frames")[: 4 + (values.ndim == 3)], 0)
    for start in range(0, len(values), ROWS):
        rows = values[start : start + ROWS]
        used = (rows != 0).reshape(len(rows), -1).any(1)
        counts["nan"] += int(np.isnan(rows).sum())
        counts["inf"] += int(np.isinf(rows).sum())
        counts["minus_inf"] += int((rows == -np.inf).sum())
        counts["all_zero"] += int((~used).sum())
        if rows.ndim == 3:
            counts["leading_zero_frames"] += int((rows != 0).any(2).argmax(1)[used].sum())
    return facts | counts


def _label_facts(part: Mapping[str, Array]) -> dict[str, Any]:
    """Summarise the labels of a split; {} without labels."""
    values = next((part[key] for key in LABELS if key in part), None)
    if values is None or not values.size:
        return {}
    flat = values.reshape(-1)
    if flat.dtype.kind in "fiub":
        return _spread(flat.astype(np.float64)) | {"shape": list(values.shape)}
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in flat.tolist()]
    counts = Counter(sorted(texts))
    return ({"counts": dict(counts)} if len(counts) <= 20 else {"values": len(counts)}) | {"shape": list(values.shape)}


def _spread(values: Array) -> dict[str, Any]:
    """Return counts of few values, else their range, of finite values."""
    good = values[np.isfinite(values)]
    bad: dict[str, Any] = {"not_finite": int(len(values) - len(good))} if len(good) < len(values) else {}
    distinct = np.unique(good)
    if len(distinct) <= 20 and (distinct == np.round(distinct)).all():
        return bad | {"counts": count_values(good)}
    return bad | {
        "min": float(distinct[0]), "max": float(distinct[-1]), "mean": float(good.mean()),
        "positive": int((good > 0).sum()), "zero": int((good == 0).sum()),
    }  # fmt: skip
