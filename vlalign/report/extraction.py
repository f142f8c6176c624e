"""Tables about extractions: the cost of a plan, the result of a run, the contents of a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from vlalign.display import visible
from vlalign.display.format import DASH, duration, plural, size, truncated
from vlalign.errors import VlalignError
from vlalign.files import free_bytes
from vlalign.report.console import FittedTable, notes, titled
from vlalign.scoring.naming import differences, run_facts
from vlalign.store import LayerNorms, Run

_CHECKED_BYTES = 2**30  # most bytes of shards whose checksums a list of runs verifies: about a second
_WITH_COLUMN = ("precision", "pooling", "data", "n")  # facts of runs that the list shows anyway

if TYPE_CHECKING:
    import torch

    from vlalign.extraction import Extraction, ExtractOptions, Plan
    from vlalign.extraction.offline import OfflinePlan
    from vlalign.extraction.plan import ModelPlan


def plan_table(plan: Plan | OfflinePlan, device: torch.device, config: ExtractOptions) -> Group:
    """Return what ``--dry-run`` shows: every model's size, precision, and rough cost."""
    from vlalign.extraction.offline import OfflinePlan

    if isinstance(plan, OfflinePlan):
        return _offline_table(plan, device, config)
    data = plan.data
    rows = []
    for model, shared in _in_passes(plan):
        seconds = model.seconds(device)
        rows.append(
            [
                visible(model.key.title),
                model.source.revision.removeprefix("sha256:")[:12],
                model.dtype if model.quantization == "none" else f"{model.quantization} + {model.dtype}",
                model.pool,
                size(model.sketch.weight_bytes(model.dtype, model.quantization)),
                str(len(model.sketch.taps)),
                str(model.to_do) if model.to_do else "done",
                size(model.bytes_to_write()),
                DASH if not model.to_do else "same pass" if shared else _about(seconds),
            ]
        )
    need = sum(model.bytes_to_write() for model in plan.models)
    words = ("model", "revision", "precision", "pool")
    columns = (*words, "weights", "layers", "to do", "disk", f"forwards on {device}")
    stacks = (("model", "revision"), ("precision", "pool"), ("layers", "to do"), ("weights", "disk"))
    shown = FittedTable(columns, rows, left=words, stacks=stacks, omit=("pool", "revision", "layers", "precision"))
    title = f"plan: {plural(len(data), 'sample')} of {data.name}"
    return Group(titled(visible(title), shown), *notes([*_plan_notes(plan), *_space_and_time(need, config.store)]))


def _in_passes(plan: Plan) -> list[tuple[ModelPlan, bool]]:
    """Return the runs, and whether another run before it has the same pass over the data."""
    return [(model, i > 0) for runs in plan.passes for i, model in enumerate(runs)]


def _plan_notes(plan: Plan) -> list[str]:
    """Return the reasons for precisions, what is truncated and left out, and advice on cheaper settings."""
    data, lines = plan.data, []
    for model in plan.models:
        lines.append(f"{model.key.model}: {model.dtype}, {model.dtype_reason}")
        if model.texts is not None and model.texts.truncated:
            cut = plural(len(model.texts.truncated), "caption")
            lines.append(f"{model.key.title}: {cut} will be truncated to the model's longest input")
    if data.skipped:
        lines.append(f"{plural(len(data.skipped), 'bad sample')} left out, first {data.skipped[0]['id']!r}")
    for count, what, other in ((data.without_caption, "image", "caption"), (data.without_image, "caption", "image")):
        lines += [f"{plural(count, what)} without a usable {other} left out"] if count else []
    return [*dict.fromkeys(lines), *plan.advice]


def _about(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"≈ {duration(seconds)}"


def plan_document(plan: Plan | OfflinePlan, device: torch.device, config: ExtractOptions) -> dict[str, Any]:
    """Return a plan as JSON values: size, precision and rough cost of every model, and notes."""
    from vlalign.extraction.offline import OfflinePlan

    if isinstance(plan, OfflinePlan):
        samples, remarks = plan.samples, plan.notes
        entries = [
            {
                "model": one.spec.alias, "dtype": one.dtype, "quantization": one.quantization, "layers": one.layers,
                "weight_bytes": one.weight_bytes(), "to_do": one.samples, "bytes": one.bytes_to_write(),
                "seconds": one.seconds(device),
            }
            for one in plan.models
        ]  # fmt: skip
    else:
        samples, remarks = len(plan.data), _plan_notes(plan)
        entries = [
            {
                "model": model.key.title, "revision": model.source.revision, "dtype": model.dtype,
                "quantization": model.quantization, "pool": model.pool, "layers": len(model.sketch.taps),
                "weight_bytes": model.sketch.weight_bytes(model.dtype, model.quantization), "to_do": model.to_do,
                "bytes": model.bytes_to_write(), "seconds": 0.0 if shared else model.seconds(device),
            }
            for model, shared in _in_passes(plan)
        ]  # fmt: skip
    return {
        "data": config.data.source, "samples": samples, "models": entries, "notes": remarks,
        "free_bytes": free_bytes(Path(config.store)),
    }  # fmt: skip


def _offline_table(plan: OfflinePlan, device: torch.device, config: ExtractOptions) -> Group:
    """Return what ``--dry-run`` shows without a network: rough memory, disk and time of registered models."""
    rows = [
        [
            model.spec.alias,
            model.dtype if model.quantization == "none" else f"{model.quantization} + {model.dtype}",
            size(model.weight_bytes()),
            str(model.layers),
            size(model.bytes_to_write()),
            f"≈ {duration(model.seconds(device))}",
        ]
        for model in plan.models
    ]
    columns = ("model", "precision", "weights", "layers", "disk", f"forwards on {device}")
    need = sum(model.bytes_to_write() for model in plan.models)
    shown = FittedTable(columns, rows, left=("precision",), omit=("layers", "precision"))
    title = f"plan: about {plural(plan.samples, 'sample')} of {config.data.source}"
    return Group(titled(visible(title), shown), *notes([*plan.notes, *_space_and_time(need, config.store)]))


def _space_and_time(need: int, store: str) -> list[str]:
    """Return the notes of every plan."""
    return [
        f"{store}: {size(need)} to write, {size(free_bytes(Path(store)))} free",
        "times are rough: operations of the forwards over 60 % of this device's matrix-product rate",
    ]


def extraction_table(extractions: Sequence[Extraction]) -> Group:
    """Return the result of an extraction: where the features are and how long each stage took."""
    rows = []
    for extraction in extractions:
        run, seconds = extraction.run, extraction.seconds
        fresh = extraction.samples > 0
        rows.append(
            [
                visible(run.key.title),
                str(run.key.data["pooling"]),
                str(len(run.layers)),
                str(run.n),
                _bits(run, run.bits_per_byte()),
                duration(seconds["load"]) if fresh else DASH,
                duration(seconds["extract"]) if fresh else "already done",
                f"{extraction.samples / seconds['extract']:.1f}" if fresh and seconds["extract"] > 0 else DASH,
            ]
        )
    columns = ("model", "pool", "layers", "samples", "bits/byte", "load", "extract", "samples/s")
    stacks = (("model", "pool"), ("layers", "samples"), ("load", "extract"), ("bits/byte",))
    shown = FittedTable(columns, rows, left=("pool",), stacks=stacks, omit=("layers", "load"))
    return Group(shown, *notes(f"{one.run.key.title}: {one.run.path}" for one in extractions))


def _bits_note(run: Run) -> str | None:
    """Return why a run with a loss has no bits per byte, if so."""
    if "bits" not in run.extras or not run.truncated or "bytes_read" in run.extras:
        return None
    return (
        f"{run.key.title}: no bits per byte, as an earlier version counted the bytes that truncation cut off "
        f"{plural(run.truncated, 'caption')}: extract it again"
    )


def runs_table(runs: Sequence[Run], incomplete: Sequence[Path]) -> Group:
    """Return the list of the runs of a store; what all have in common is one line, so that 80 columns suffice."""
    rows = []
    lines: list[str] = []
    for run, check in zip(runs, _to_check(runs), strict=True):
        bits, note = _listed_bits(run, check)
        lines += [note] if note else []
        data = run.key.data
        quantization = data.get("quantization", "none")
        rows.append(
            {
                "model": visible(run.key.model),
                "key": run.key.short[:8],
                "modality": run.key.modality,
                "data": visible(
                    source.get("name", "?") or DASH if isinstance(source := data.get("data"), dict) else "?"
                ),
                "edits": visible(run.key.edits or DASH),
                "precision": _precision(run)
                + ("" if quantization == "none" else f" {quantization}")
                + (f", stored as {data['stored']}" if "stored" in data else ""),
                "pool": str(data.get("pooling", DASH)),
                "layers": str(len(run.layers)),
                "samples": str(run.n),
                "bits/byte": bits,
            }
        )
    apart = _apart(runs)
    if any(apart):
        rows = [row | {"differs in": visible(text)} for row, text in zip(rows, apart, strict=True)]
    names = list(rows[0]) if rows else []
    shared = [name for name in ("data", "edits", "precision", "samples") if len({row[name] for row in rows}) == 1]
    unknown = [name for name in ("pool", "bits/byte") if all(row[name] == DASH for row in rows)]
    columns = [name for name in names if name not in (*shared, *unknown)]
    words = [name for name in columns if name not in ("layers", "samples", "bits/byte")]
    result = FittedTable(
        columns, [[row[name] for name in columns] for row in rows], left=words,
        stacks=(
            ("data", "modality", "precision", "pool"), ("layers", "samples"), ("bits/byte",),
            ("model", "key", "edits", "differs in"),
        ),
        omit=("pool", "layers", "modality"),
    )  # fmt: skip
    common = ", ".join(f"{name} {rows[0][name]}" for name in shared if rows[0][name] != DASH)
    lines += [f"not complete: {path}" for path in incomplete]
    head = [Text(f"  all runs: {common}", overflow="fold")] if common else []
    return Group(*head, result, *notes(lines, "yellow"))


def _apart(runs: Sequence[Run]) -> list[str]:
    """Return in what each run differs from others of its model, beside what the list has columns for."""
    facts = [run_facts({"run": {"key": run.key.data}}) for run in runs]
    beside = [{name: fact for name, fact in one.items() if name not in _WITH_COLUMN} for one in facts]
    texts = [""] * len(runs)
    for title in {run.key.title for run in runs}:
        places = [i for i, run in enumerate(runs) if run.key.title == title]
        for i, text in zip(places, differences([beside[i] for i in places]), strict=True):
            texts[i] = text
    return texts


def _precision(run: Run) -> str:
    """Return the dtype of a model's weights, or that of imported embeddings."""
    data = run.key.data
    if "kind" in data:
        return f"{data['kind']} {', '.join(run.facts.get('dtype', []))}".rstrip()
    return str(data.get("dtype", "?"))


_NORMS_MEANING = (
    "medians over samples: largest over median norm of the tokens or patches of a sample, what the largest gives of "
    "their mean, whatever the pool of the run; mostly: which one it is in most samples (– where that varies)"
)


def layers_tables(runs: Sequence[Run]) -> Group:
    """Return a table of the layers of every run: width, and how uneven the norms of the tokens are."""
    parts: list[Group | Text] = []
    for run in runs:
        norms = run.layer_norms
        rows = [
            [layer.name, str(layer.width), *(_norms(norms[i]) if norms else (DASH, DASH, DASH))]
            for i, layer in enumerate(run.layers)
        ]
        columns = ("layer", "width", "largest / median norm", "share of the mean", "mostly")
        shown = FittedTable(columns, rows, left=("layer", "mostly"), omit=("width",))
        pool = run.key.data.get("pooling")
        parts.append(titled(visible(f"{run.key.title}{f', {pool}' if pool else ''}"), shown))
        if norms is None:
            parts.extend(
                notes(["not measured: trivial features, imported, or extracted or pushed by an earlier version"])
            )
    parts.extend(notes([_NORMS_MEANING]))
    return Group(*parts)


def _norms(norms: LayerNorms) -> tuple[str, str, str]:
    return f"{norms.ratio:.1f}", f"{norms.share:.0%}", visible(norms.place) or DASH


def runs_document(runs: Sequence[Run], incomplete: Sequence[Path], *, layers: bool = False) -> dict[str, Any]:
    """Return the runs of a store as JSON values: their keys, counts, bits per byte and folders.

    Args:
        runs: complete ones.
        incomplete: folders of the others.
        layers: add how uneven the norms of tokens are in each layer.
    """
    entries = []
    for run, check in zip(runs, _to_check(runs), strict=True):
        try:
            bits = run.bits_per_byte(check=check)
        except VlalignError:
            bits = None  # the list for people names the damage, and `vlalign verify` every damaged shard
        entries.append(
            {
                "model": run.key.model, "hash": run.key.hash, "modality": run.key.modality, "edits": run.key.edits,
                "layers": [layer.name for layer in run.layers], "samples": run.n, "bits_per_byte": bits,
                "truncated": run.truncated, "path": str(run.path), "key": run.key.data,
                **({"norms": [asdict(one) for one in run.layer_norms or []]} if layers else {}),
            }
        )  # fmt: skip
    return {"runs": entries, "incomplete": list(map(str, incomplete))}


def _to_check(runs: Sequence[Run]) -> list[bool]:
    """Return for which runs a list checks the shards that bits per byte are read from: recorded ones cost nothing."""
    new = [run.recorded_bits_per_byte is None and "bits" in run.extras for run in runs]
    sizes = [sum(entry.bytes for entry in run.shards) if is_new else 0 for run, is_new in zip(runs, new, strict=True)]
    return [total <= _CHECKED_BYTES or not is_new for total, is_new in zip(accumulate(sizes), new, strict=True)]


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
    """Return bits per byte, and how many captions were truncated."""
    return DASH if bits is None else f"{bits:.3f}{truncated(run.truncated)}"
