"""MultiBench data on the console: what a file holds, and what a prepared folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vlalign.multibench.data.affect import CONVENTIONS

if TYPE_CHECKING:
    from vlalign.multibench import Prepared
    from vlalign.multibench.data.inspect import Inspection

#: counts of a plan in words, where they are not 0
_DONE = {
    "dropped_without_text": "dropped for want of text: {}",
    "dropped_without_text_in_first_frames": "dropped for want of text in the first 50 frames: {}",
    "frames_cut_of_each": "frames cut of each: {}",
    "samples_stripped": "stripped of leading frames without text: {}",
    "frames_stripped": "such frames in all: {}",
    "minus_infinity_replaced": "values of −inf in audio that become 0: {}",
}


def show_inspection(found: Inspection, console: Console) -> None:
    """Arrays, labels, what the file looks like, what preparing will do, and the command."""
    sizes = ", ".join(f"{one['file']} {one['bytes'] / 1e6:.1f} MB" for one in found.files[:3])
    more = f" and {len(found.files) - 3} more" if len(found.files) > 3 else ""
    _say(console, f"file      {found.path} ({sizes}{more})")
    table = Table(box=box.SIMPLE_HEAD)
    columns = ("split", "key", "shape", "dtype", "nan", "inf", "−inf", "all zero", "leading zero frames")
    for name in columns:
        table.add_column(name, justify="left" if name in columns[:4] else "right", no_wrap=True)
    last = None
    for row in found.arrays:
        numbers = (row.get(key, "–") for key in ("nan", "inf", "minus_inf", "all_zero", "leading_zero_frames"))
        cells = [row["key"], " × ".join(map(str, row["shape"])), row["dtype"], *map(str, numbers)]
        table.add_row(Text("" if row["split"] == last else row["split"]), *map(Text, cells))
        last = row["split"]
    console.print(table)
    for split, told in found.labels.items():
        _say(console, f"labels    {f'{split}: ' if split else ''}{labels_text(told)}")
    titles = [CONVENTIONS[name].title if name in CONVENTIONS else name for name in found.looks_like]
    others = f"; else {', '.join(titles[1:])}" if len(titles) > 1 else ""
    _say(console, f"seems     {titles[0]}{others} ({found.why})")
    for split, counts in found.plan.items():
        _say(console, f"prepare   {split}: {plan_text(counts)}")
    if found.problem:
        _say(console, f"problem   {found.problem}")
    _say(console, f"next      {found.command}")


def show_prepared(told: Mapping[str, Any], console: Console, *, verified: bool = False) -> None:
    """What a prepared folder holds, as :func:`vlalign.multibench.data.inspect.inspect_prepared` tells it."""
    classes = f", {told['classes']} classes" if told["classes"] else ""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("split", "samples", *told["modalities"], "labels"):
        table.add_column(name, justify="right" if name == "samples" else "left")
    for split, part in told["splits"].items():
        shapes = []
        for name in told["modalities"]:
            mean = part["mean_lengths"].get(name)
            shapes.append(" × ".join(map(str, part["shapes"][name][1:])) + (f" (mean {mean:g})" if mean else ""))
        table.add_row(split, str(part["samples"]), *shapes, labels_text(part["labels"]))
    _say(console, f"data      {told['name']}: {told['task']}{classes}, encoders pool by {told['pool']}")
    console.print(table)
    done = told["about"].get("processing", {}).get("splits", {})
    for split in told["splits"]:
        if text := plan_text(done.get(split, {}), kept=False):
            _say(console, f"done      {split}: {text}")
    for name, one in told["about"].get("processing", {}).get("standardised", {}).items():
        if one.get("constant_features"):
            _say(console, f"note      {one['constant_features']} features of {name} are constant in train and become 0")
    for note in told["about"].get("notes", ()):
        _say(console, f"note      {note}")
    checked = ", all files match their checksums" if verified else ""
    _say(console, f"folder    {told['folder']} (fingerprint {told['fingerprint'][:16]}{checked})")


def show_written(prepared: Prepared, console: Console) -> None:
    """What was written, and the next command."""
    import shlex

    from vlalign.multibench.data.inspect import inspect_prepared

    show_prepared(inspect_prepared(prepared), console)
    _say(console, f"next      vlalign multibench run --data {shlex.quote(str(prepared.folder))}")


def labels_text(told: Mapping[str, Any]) -> str:
    """Labels in words.

    >>> labels_text({"counts": {"0": 3, "1": 5}})
    '0: 3, 1: 5'
    """
    if not told:
        return "none"
    if "counts" in told:
        text = ", ".join(f"{name}: {count}" for name, count in told["counts"].items())
    elif "values" in told:
        text = f"{told['values']} different texts"
    else:
        text = f"{told['min']:g} to {told['max']:g}, mean {told['mean']:.3f}, {told['positive']} above 0"
    return text + (f", {told['not_finite']} not finite" if told.get("not_finite") else "")


def plan_text(counts: Mapping[str, int], *, kept: bool = True) -> str:
    """What is done to a split in words."""
    told = [text.format(counts[key]) for key, text in _DONE.items() if counts.get(key)]
    return "; ".join(([f"{counts['kept']} of {counts['samples']} samples stay"] if kept else []) + told)


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
