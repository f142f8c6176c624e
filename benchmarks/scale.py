"""What the published grid costs at N = 1,024 to 10 million on 1, 8 and 64 GPUs: arithmetic on the rates of docs/gpu.md.

python benchmarks/scale.py > scale-tables.md

Nothing is run: shapes come from the list of registered models, rates from runs on one H100, and every term grows by a
law that those runs show. docs/scale.md holds the tables and what they mean.
"""

from __future__ import annotations

from vlalign.extraction import offline
from vlalign.models.registry import MODEL_SETS, resolve
from vlalign.models.spec import ModelSpec

GPUS = (1, 8, 64)
TOKENS = 128  # of a text
K = 10

#: measured on one H100 and its 16 processor cores (docs/gpu.md)
TEXT_FLOPS = 417e12  # a second, LLaMA-7B in bfloat16, 128 tokens: 243 samples/s
VISION_FLOPS = 370e12  # a second, bare forward of DINOv2-g in bfloat16 at 518 pixels
DECODED = 386.0  # images a second that 8 processes decode and resize
WRITTEN = 1.4e9  # bytes a second to disk, synced
SEARCH_FLOPS = 30e12  # a second: 51.3 s for 1,000,000 × 768, 3.28 s for 262,144 × 768
THRESHOLD = 1.1e-6  # seconds a sample of 768 dimensions: clip threshold, 0.93 s for 1,000,000
#: measured on two processor cores: 0.8 s for 31 × 12 layer pairs of 20,000 samples (docs/speed.md)
COUNTED = 31 * 12 * 20_000 / 0.8  # (layer pair, sample) a second


def layers(spec: ModelSpec) -> int:
    """Return the layers of a model's features; a text model has its embeddings, too."""
    return (spec.layers or 0) + (spec.modality == "text")


def sample_bytes(spec: ModelSpec) -> int:
    """Return the bytes that a sample's features take, all layers in float32."""
    return 4 * layers(spec) * (spec.width or 0)


def sample_flops(spec: ModelSpec) -> float:
    """Return the operations of one forward: 2 for each weight and token, and those of attention."""
    tokens = TOKENS if spec.modality == "text" else offline.patches(spec, None)
    return 2 * tokens * (spec.params or 0) + 4 * tokens**2 * (spec.width or 0) * (spec.layers or 0)


def extraction_seconds(specs: list[ModelSpec], n: int) -> tuple[float, float]:
    """Return the seconds of one GPU for its forwards, and for decoding, which takes their place where it is slower."""
    forward = wall = 0.0
    for spec in specs:
        seconds = n * sample_flops(spec) / (TEXT_FLOPS if spec.modality == "text" else VISION_FLOPS)
        forward += seconds
        wall += seconds if spec.modality == "text" else max(seconds, n / DECODED)
    return forward, wall


def search_seconds(specs: list[ModelSpec], n: int) -> float:
    """Return the seconds of one GPU for the neighbours of every layer: 2 N² D operations, and a threshold a layer."""
    width = sum(layers(spec) * (spec.width or 0) for spec in specs)
    return 2 * n**2 * width / SEARCH_FLOPS + n * width / 768 * THRESHOLD


def interval_seconds(sides: dict[str, list[ModelSpec]], n: int) -> float:
    """Return the seconds of one GPU for the longer lists of the best layers of each pair of models."""
    widths = [(x.width or 0) + (y.width or 0) for x in sides["images"] for y in sides["texts"]]
    return 2 * n**2 * sum(widths) / SEARCH_FLOPS


def duration(seconds: float) -> str:
    """Return a duration in the unit in which it is read most easily.

    >>> duration(0.2), duration(3.2), duration(125), duration(8000), duration(2e5)
    ('< 1 s', '3 s', '2 min', '2.2 h', '2.3 days')
    """
    for unit, name in ((86400.0, "days"), (3600.0, "h")):
        if seconds >= 1.5 * unit:
            return f"{seconds / unit:.{0 if seconds >= 100 * unit else 1}f} {name}"
    if seconds < 0.5:
        return "< 1 s"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def size(amount: float) -> str:
    """Return a number of bytes.

    >>> size(5.4e9), size(5.42e13)
    ('5.4 GB', '54 TB')
    """
    for unit, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if amount >= unit:
            return f"{amount / unit:.{0 if amount >= 10 * unit else 1}f} {name}"
    return f"{amount / 1e3:.0f} kB"


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shapes(sides: dict[str, list[ModelSpec]]) -> str:
    """Return what a sample costs on each side."""
    rows = []
    for name, specs in sides.items():
        widest, flops = max(specs, key=sample_bytes), sum(map(sample_flops, specs))
        rows.append([
            f"{len(specs)} models of {name}", str(sum(map(layers, specs))), size(sum(map(sample_bytes, specs))),
            f"{flops / 1e12:,.1f}", f"{widest.alias}: {size(sample_bytes(widest))}",
        ])  # fmt: skip
    return table(["side", "layers", "bytes a sample", "10¹² operations a sample", "most bytes"], rows)


def costs(sides: dict[str, list[ModelSpec]], n: int) -> list[str]:
    """Return the row of one N: hours on each number of GPUs, and bytes."""
    every = [spec for specs in sides.values() for spec in specs]
    stored = n * sum(map(sample_bytes, every))
    pairs = sum(layers(x) * layers(y) for x in sides["images"] for y in sides["texts"])
    text, images = (extraction_seconds(sides[name], n)[1] for name in ("texts", "images"))
    search, lists = search_seconds(every, n), 4 * K * n * sum(map(layers, every))
    parts = text, images, search, interval_seconds(sides, n)
    spread = [" · ".join(duration(seconds / gpus) for gpus in GPUS) for seconds in parts]
    return [f"{n:,}", *spread, duration(pairs * n / COUNTED), size(stored), duration(stored / WRITTEN), size(lists)]


def tables() -> tuple[str, str]:
    """Return the tables of docs/scale.md: what a sample costs, and what N samples cost."""
    sides = {
        "texts": [resolve(name) for name in MODEL_SETS["prh-text"]],
        "images": [resolve(name) for name in MODEL_SETS["prh-vision"]],
    }
    columns = ["N", "texts", "images", "neighbours", "intervals", "counts", "features", "one disk", "lists"]
    return shapes(sides), table(columns, [costs(sides, n) for n in (1024, 65_536, 1_000_000, 10_000_000)])


def main() -> None:
    """Print the tables."""
    print(*tables(), sep="\n\n")


if __name__ == "__main__":
    main()
