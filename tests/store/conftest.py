"""A small run to write: 10 rows in shards of 4, three layers, two extras; content depends on the rows only."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vlalign.store import FeatureStore, Layer, Run, RunKey, RunWriter, Shard

LAYERS = [
    Layer(0, "embeddings", 3, "input"),
    Layer(1, "block_0", 5, "pre-norm"),
    Layer(2, "block_1", 5, "post-norm"),
]
FACTS = {"truncated": 2, "skipped": []}


@dataclass
class Toy:
    """Everything needed to write the small run."""

    n: int = 10
    shard_rows: int = 4
    layers: list[Layer] = field(default_factory=lambda: list(LAYERS))

    @property
    def ids(self) -> list[str]:
        return [f"sample-{i}" for i in range(self.n)]

    def key(self, name: str = "toy-7b", modality: str = "text", **changes: Any) -> RunKey:
        model = {"name": name, "modality": modality, "source": f"org/{name}", "revision": "c0ffee", "backend": "hf"}
        return RunKey({"format": 1, "model": model, "dtype": "float32", "perturbations": []} | changes)

    def values(self, layer: Layer) -> torch.Tensor:
        # by numpy: forked children write these, and torch's threads do not survive a fork
        rows = np.arange(self.n, dtype=np.float64)[:, None]
        return torch.from_numpy(np.sin(rows * 7 + np.arange(layer.width) * 3 + layer.index).astype(np.float32))

    def extras(self) -> dict[str, torch.Tensor]:
        rows = np.arange(self.n)
        return {"bits": torch.from_numpy(rows * 1.5 + 2), "bytes": torch.from_numpy(rows + 1)}

    def write(self, writer: RunWriter, shards: Iterable[Shard], extras: bool = True) -> None:
        for shard in shards:
            rows = slice(shard.start, shard.stop)
            features = {layer.name: self.values(layer)[rows] for layer in self.layers}
            more = {name: values[rows] for name, values in self.extras().items()} if extras else {}
            writer.write(shard, features, self.layers, more)

    def writer(self, root: Path, key: RunKey | None = None) -> RunWriter:
        return FeatureStore(root).writer(key or self.key(), self.ids, self.shard_rows)

    def make(self, root: Path, key: RunKey | None = None, extras: bool = True) -> Run:
        writer = self.writer(root, key)
        self.write(writer, writer.missing(), extras)
        return writer.finish(FACTS)


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
def tree() -> Callable[[Path], dict[str, str]]:
    """All files below a folder but the provenance: relative path -> sha256."""

    def digest(root: Path) -> dict[str, str]:
        files = sorted(path for path in root.rglob("*") if path.is_file() and path.name != "provenance.jsonl")
        return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return digest


@pytest.fixture
def flip() -> Callable[[Path, int], None]:
    """Flip one bit of a file, at a byte position (negative from the end)."""

    def change(path: Path, position: int = -3) -> None:
        data = bytearray(path.read_bytes())
        data[position] ^= 4
        path.write_bytes(data)

    return change


@pytest.fixture
def in_child() -> Callable[[Callable[[], object]], int]:
    """Run a function in a forked process; gives its exit code (negative: the signal that killed it)."""

    def run(act: Callable[[], object]) -> int:
        process = multiprocessing.get_context("fork").Process(target=act)
        process.start()
        process.join(60)
        assert process.exitcode is not None
        return process.exitcode

    return run
