"""Made-up runs of a store under the names of real models, small and quick to write."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlalign.store import FeatureStore, Layer, Run, RunKey, TokenNorms

SOURCES = {"llama-7b": "hub:huggyllama/llama-7b", "dinov2-small": "timm:vit_small_patch14_dinov2.lvd142m"}


def make_key(name: str, modality: str = "text", edits: Sequence[tuple[str, float]] = (), **changes: Any) -> RunKey:
    """A key as the extraction makes it."""
    source = SOURCES.get(name, f"hub:{name}")
    model = {"name": name, "modality": modality, "source": source, "revision": "c0ffee" * 6 + "c0de", "backend": "hf"}
    data = {"name": "minhuh/prh", "revision": "abad1dea" * 5, "fingerprint": "f" * 64}
    perturbations = [{"operation": op, "rate": rate, "seed": 0, "version": 1} for op, rate in edits]
    body = {"format": 1, "model": model, "dtype": "float32", "quantization": "none", "layers": "all", "data": data}
    return RunKey({**body, "perturbations": perturbations, **changes})


def make_run(
    root: Path, key: RunKey, *, n: int = 60, widths: Sequence[int] = (6, 8, 5), shard_rows: int = 16,
    scale: float = 1.0, ids: Sequence[str] | None = None, facts: Mapping[str, Any] | None = None,
    norms: bool = False,
) -> Run:  # fmt: skip
    """A run whose layers see a common signal through noise; content depends on the key and the numbers only."""
    seed = int(hashlib.sha256(key.hash.encode()).hexdigest()[:8], 16)
    own, common = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(0)
    shared = torch.randn(n, 4, generator=common)
    layers = [Layer(i, f"block_{i}", width, "pre-norm") for i, width in enumerate(widths)]
    values = {
        layer.name: scale
        * (shared @ torch.randn(4, layer.width, generator=own) + torch.randn(n, layer.width, generator=own))
        for layer in layers
    }
    extras = {}
    if key.modality == "text":
        extras = {"bits": 50 + 10 * torch.rand(n, generator=own, dtype=torch.float64), "bytes": torch.arange(n) + 20}
    writer = FeatureStore(root).writer(key, ids or [f"sample-{i}" for i in range(n)], shard_rows)
    measured = made_up_norms(n, len(widths)) if norms else None
    for shard in writer.missing():
        rows = slice(shard.start, shard.stop)
        writer.write(
            shard, {k: v[rows] for k, v in values.items()}, layers, {k: v[rows] for k, v in extras.items()},
            norms=measured and measured.rows(shard.start, shard.stop),
        )  # fmt: skip
    return writer.finish(facts or {"parameters": 7, "skipped": []})


def made_up_norms(n: int, layers: int) -> TokenNorms:
    """Token norms of which the last layer has a sink, the first token."""
    rows = np.arange(n, dtype=np.float32)[:, None]
    sink = np.arange(layers) == layers - 1
    return TokenNorms(
        np.where(sink, 100 + rows, 1.5).astype(np.float32),
        np.where(sink, 0.97, 0.1 + 0 * rows).astype(np.float32),
        np.where(sink, 0, rows % 7).astype(np.int32),
        np.where(sink, 5, rows % 11).astype(np.int32),
        {5: "The"},
    )


def make_store(root: Path, **options: Any) -> FeatureStore:
    """A vision model, a text model, and the text model on edited captions."""
    make_run(root, make_key("dinov2-small", "vision"), widths=(7, 9), **options)
    make_run(root, make_key("llama-7b"), norms=True, **options)
    make_run(root, make_key("llama-7b", edits=[("char_delete", 30)]), **options)
    return FeatureStore(root)


def contents(root: Path) -> dict[str, bytes]:
    """Every file of a store but the provenance, and bits per byte, which are recorded when they are first read."""
    others = ("provenance.jsonl", "bits.json")
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name not in others)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
