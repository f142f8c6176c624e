"""Tables about extractions: what a plan will cost, what came of it, what a store holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from vlalign.display import visible
from vlalign.errors import VlalignError
from vlalign.report.format import duration, size, truncated
from vlalign.store import Run

_CHECKED_BYTES = 2**30  # of shards whose checksums a list of runs checks: about a second

if TYPE_CHECKING:
    import torch

    from vlalign.extraction import ExtractConfig, Extraction, Plan


def plan_table(plan: Plan, device: torch.device, config: ExtractConfig) -> Group:
    """What ``--dry-run`` shows: every model's size, precision, and rough cost."""
    from vlalign.extraction.checks import free_bytes

    data = plan.data
    table = Table(box=box.SIMPLE_HEAD, title_justify="left", title=f"plan: {len(data)} samples of {visible(data.name)}")
    for column in ("model", "revision", "precision", "pool"):
        table.add_column(column)
    for column in ("weights", "layers", "to do", "disk", "forwards on " + str(device)):
        table.add_column(column, justify="right")
    notes = []
    for model in plan.models:
        todo = model.to_do
        seconds = model.seconds(device)
        precision = model.dtype if model.quantization == "none" else f"{model.quantization} + {model.dtype}"
        table.add_row(
            visible(model.title),
            model.source.revision.removeprefix("sha256:")[:12],
            precision,
            model.pool,
            size(model.sketch.weight_bytes(model.dtype, model.quantization)),
            str(len(model.sketch.taps)),
            str(todo) if todo else "done",
            size(model.bytes_to_write()),
            "–" if not todo else "unknown" if seconds is None else f"≈ {duration(seconds)}",
        )
        notes.append(f"{model.name}: {model.dtype}, {model.dtype_reason}")
        if model.texts is not None and model.texts.truncated:
            notes.append(
                f"{model.title}: {len(model.texts.truncated)} captions will be truncated to the model's longest input"
            )
    if data.skipped:
        notes.append(f"{len(data.skipped)} bad samples are left out, first {data.skipped[0]['id']!r}")
    need = sum(model.bytes_to_write() for model in plan.models)
    notes.append(f"{config.store}: {size(need)} to write, {size(free_bytes(config.store))} free")
    notes.append("times are rough: operations of the forwards over 60 % of this device's matrix-product rate")
    return Group(table, *(Text(visible(f"  {note}"), style="dim") for note in notes))


def extraction_table(extractions: Sequence[Extraction]) -> Group:
    """What came of an extraction: where the features are and how long each stage took."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model")
    for column in ("layers", "samples", "bits/byte", "load", "extract", "samples/s"):
        table.add_column(column, justify="right")
    for extraction in extractions:
        run, seconds = extraction.run, extraction.seconds
        fresh = extraction.samples > 0
        table.add_row(
            visible(run.key.title),
            str(len(run.layers)),
            str(run.n),
            _bits(run, run.bits_per_byte()),
            duration(seconds["load"]) if fresh else "–",
            duration(seconds["extract"]) if fresh else "was there",
            f"{extraction.samples / seconds['extract']:.1f}" if fresh and seconds["extract"] > 0 else "–",
        )
    return Group(
        table, *(Text(visible(f"  {e.run.key.title}: {e.run.path}"), style="dim", overflow="fold") for e in extractions)
    )


def _bits_note(run: Run) -> str | None:
    """Why a run with a loss shows no bits per byte."""
    if "bits" not in run.extras or not run.truncated or "bytes_read" in run.extras:
        return None
    return (
        f"{run.key.title}: no bits per byte, for an earlier version counted the bytes that truncation cut off "
        f"{run.truncated} captions: extract it again"
    )


def runs_table(runs: Sequence[Run], incomplete: Sequence[Path]) -> Group:
    """Return the list of the runs of a store; what all have in common is one line, so that 80 columns suffice."""
    rows = []
    notes: list[str] = []
    to_check = 0
    for run in runs:
        to_check += sum(entry.bytes for entry in run.shards) if "bits" in run.extras else 0
        bits, note = _listed_bits(run, check=to_check <= _CHECKED_BYTES)
        notes += [note] if note else []
        data = run.key.data
        quantization = data.get("quantization", "none")
        rows.append(
            {
                "model": visible(run.key.model),
                "key": run.key.short[:8],
                "modality": run.key.modality,
                "data": visible(source.get("name", "?") if isinstance(source := data.get("data"), dict) else "?"),
                "edits": visible(run.key.edits or "–"),
                "precision": str(data.get("dtype", "?"))
                + ("" if quantization == "none" else f" {quantization}")
                + (f", stored as {data['stored']}" if "stored" in data else ""),
                "pool": str(data.get("pooling", "?")),
                "layers": str(len(run.layers)),
                "samples": str(run.n),
                "bits/byte": bits,
            }
        )
    columns = list(rows[0]) if rows else []
    shared = [name for name in ("data", "edits", "precision", "samples") if len({row[name] for row in rows}) == 1]
    table = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        if name not in shared:
            right = name in ("layers", "samples", "bits/byte")
            table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=name == "key")
    for row in rows:
        table.add_row(*(text for name, text in row.items() if name not in shared))
    all_runs = ", ".join(f"{name} {rows[0][name]}" for name in shared if rows[0][name] != "–")
    notes += [f"not complete: {path}" for path in incomplete]
    head = [Text(f"  all runs: {all_runs}", overflow="fold")] if all_runs else []
    tail = [Text(visible(f"  {note}"), style="yellow", overflow="fold") for note in notes]
    return Group(*head, table, *tail)


def _listed_bits(run: Run, check: bool) -> tuple[str, str | None]:
    """Return the bits per byte of a run for a list, and a note on them; checksums mean reading all features."""
    try:
        bits = run.bits_per_byte(check=check)
    except VlalignError as error:
        return "damaged", f"{run.key.title}: {error}"
    if bits is None or check:
        return _bits(run, bits), _bits_note(run)
    return _bits(run, bits), f"{run.key.title}: bits per byte read without checksums, see `vlalign verify`"


def _bits(run: Run, bits: float | None) -> str:
    """Bits per byte, and how many captions were truncated."""
    return "–" if bits is None else f"{bits:.3f}{truncated(run.truncated)}"
