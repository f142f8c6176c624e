"""MultiBench data on the console: contents of a file, and of a prepared folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from vlalign.display.format import DASH
from vlalign.multibench.published import TITLES
from vlalign.report.console import table

if TYPE_CHECKING:
    from vlalign.multibench import Prepared
    from vlalign.multibench.data.films import Films
    from vlalign.multibench.data.inspect import Inspection

#: counts of a plan in words, where they are not 0
_DONE = {
    "dropped_without_text": "dropped without text: {}",
    "dropped_without_text_in_first_frames": "dropped without text in the first 50 frames: {}",
    "frames_cut_of_each": "frames cut of each: {}",
    "samples_stripped": "stripped of leading frames without text: {}",
    "frames_stripped": "such frames in all: {}",
    "minus_infinity_replaced": "values of −inf in audio that become 0: {}",
}


def show_inspection(inspection: Inspection, console: Console) -> None:
    """Print arrays, labels, what the file looks like, what preparing will do, and the command."""
    sizes = ", ".join(f"{one['file']} {one['bytes'] / 1e6:.1f} MB" for one in inspection.files[:3])
    more = f" and {len(inspection.files) - 3} more" if len(inspection.files) > 3 else ""
    _line(console, "file", f"{inspection.path} ({sizes}{more})")
    columns = ("split", "key", "shape", "dtype", "nan", "inf", "−inf", "all zero", "leading zero frames")
    shown = table(columns, left=columns[:4], no_wrap=True)
    for column in shown.columns:
        column.no_wrap = True
    last = None
    for row in inspection.arrays:
        numbers = (row.get(key, DASH) for key in ("nan", "inf", "minus_inf", "all_zero", "leading_zero_frames"))
        cells = [row["key"], " × ".join(map(str, row["shape"])), row["dtype"], *map(str, numbers)]
        shown.add_row(*map(Text, ["" if row["split"] == last else row["split"], *cells]))
        last = row["split"]
    console.print(shown)
    for split, labels in inspection.labels.items():
        _line(console, "labels", f"{f'{split}: ' if split else ''}{labels_text(labels)}")
    titles = [TITLES.get(name, name) for name in inspection.looks_like]
    others = f"; else {', '.join(titles[1:])}" if len(titles) > 1 else ""
    _line(console, "seems", f"{titles[0]}{others} ({inspection.why})")
    for split, counts in inspection.plan.items():
        _line(console, "prepare", f"{split}: {plan_text(counts)}")
    if inspection.problem:
        _line(console, "problem", inspection.problem)
    _line(console, "next", inspection.command)


def show_prepared(about: Mapping[str, Any], console: Console, *, verified: bool = False) -> None:
    """Print what a prepared folder holds, given by :func:`vlalign.multibench.data.inspect.inspect_prepared`."""
    classes = f", {about['classes']} classes" if about["classes"] else ""
    columns = ("split", "samples", *about["modalities"], "labels")
    shown = table(columns, left=columns[2:])
    for split, part in about["splits"].items():
        shapes = []
        for name in about["modalities"]:
            mean = part["mean_lengths"].get(name)
            shapes.append(" × ".join(map(str, part["shapes"][name][1:])) + (f" (mean {mean:g})" if mean else ""))
        shown.add_row(split, str(part["samples"]), *shapes, labels_text(part["labels"]))
    _line(console, "data", f"{about['name']}: {about['task']}{classes}, encoders pool by {about['pool']}")
    console.print(shown)
    processing = about["about"].get("processing", {})
    for split in about["splits"]:
        if text := plan_text(processing.get("splits", {}).get(split, {}), kept=False):
            _line(console, "done", f"{split}: {text}")
    for name, one in processing.get("standardised", {}).items():
        if one.get("constant_features"):
            note = f"{one['constant_features']} features of {name} are constant in train and become 0"
            _line(console, "note", note)
    for note in about["about"].get("notes", ()):
        _line(console, "note", note)
    checked = ", all files match their checksums" if verified else ""
    _line(console, "folder", f"{about['folder']} (fingerprint {about['fingerprint'][:16]}{checked})")


def show_written(prepared: Prepared, console: Console) -> None:
    """Print what was written, and the next command."""
    import shlex

    from vlalign.multibench.data.inspect import inspect_prepared

    show_prepared(inspect_prepared(prepared), console)
    _line(console, "next", f"vlalign multibench run --data {shlex.quote(str(prepared.folder))}")


def show_films(films: Films, console: Console) -> None:
    """Print what was written of the films, and the next commands."""
    import shlex

    folder = shlex.quote(str(films.folder))
    _line(console, "written", f"{films.folder}: {', '.join(f'{split} {n:,}' for split, n in films.counts.items())}")
    _line(console, "genres", ", ".join(films.genres))
    _line(console, "left out", f"{films.left_out:,} films without a poster, a plot or one of these genres")
    _line(console, "next", f"vlalign extract --data {folder} --split test --model …    # and train, validation")
    _line(console, "then", f"vlalign probe features --labels {folder}/metadata.jsonl:genres")


def labels_text(labels: Mapping[str, Any]) -> str:
    """Return labels in words.

    >>> labels_text({"counts": {"0": 3, "1": 5}})
    '0: 3, 1: 5'
    """
    if not labels:
        return "none"
    if "counts" in labels:
        text = ", ".join(f"{name}: {count}" for name, count in labels["counts"].items())
    elif "values" in labels:
        text = f"{labels['values']} different texts"
    else:
        text = f"{labels['min']:g} to {labels['max']:g}, mean {labels['mean']:.3f}, {labels['positive']} above 0"
    return text + (f", {labels['not_finite']} not finite" if labels.get("not_finite") else "")


def plan_text(counts: Mapping[str, int], *, kept: bool = True) -> str:
    """Return in words what is done to a split."""
    steps = [text.format(counts[key]) for key, text in _DONE.items() if counts.get(key)]
    return "; ".join(([f"{counts['kept']} of {counts['samples']} samples stay"] if kept else []) + steps)


def _line(console: Console, name: str, text: object) -> None:
    console.print(f"{name:<9} {text}", markup=False, soft_wrap=True)
