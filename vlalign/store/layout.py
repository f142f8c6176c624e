"""Layout of a run on disk: paths of its files, rows of its shards, and the records that describe them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlalign.store.key import RunKey

FORMAT = 1


@dataclass(frozen=True)
class Layer:
    """A layer of a run: its index in the model, name (``embeddings``, ``block_0`` …), width D and convention."""

    index: int
    name: str
    width: int
    convention: str


@dataclass(frozen=True)
class Shard:
    """Rows ``[start, stop)`` of the data set's order."""

    index: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.stop - self.start


@dataclass(frozen=True)
class Problem:
    """A damaged, missing or misplaced file or folder of the store."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return self.reason if str(self.path) in self.reason else f"{self.path}: {self.reason}"


def plan_shards(n: int, shard_rows: int) -> list[Shard]:
    """Cut `n` rows into shards of `shard_rows` (the last may be shorter); depends on nothing else.

    Raises:
        ValueError: `n` is negative or `shard_rows` is not positive.

    >>> [(s.start, s.stop) for s in plan_shards(300, 128)]
    [(0, 128), (128, 256), (256, 300)]
    """
    if n < 0 or shard_rows < 1:
        raise ValueError(f"need n >= 0 and shard_rows >= 1, got n={n} and shard_rows={shard_rows}")
    return [Shard(i, start, min(start + shard_rows, n)) for i, start in enumerate(range(0, n, shard_rows))]


def shard_name(index: int, count: int) -> str:
    """Return the name of a shard's file, out of `count`.

    >>> shard_name(1, 8)
    'shard-00001-of-00008.safetensors'
    """
    return f"shard-{index:05d}-of-{count:05d}.safetensors"


class Layout:
    """Paths of one run's files.

    Attributes:
        folder: of the run.
        key: the run key.
        ids: sample ids in row order and the rows per shard.
        manifest: written last: its presence means that the run is complete.
        provenance: time, machine and versions of each session: the only file that differs between equal runs.
        bits: bits per byte, recorded when they are first computed; runs without loss, or not yet listed, have none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key, self.ids, self.manifest, self.provenance, self.bits = (
            folder / name for name in ("key.json", "ids.json", "manifest.json", "provenance.jsonl", "bits.json")
        )

    @classmethod
    def of(cls, root: Path, key: RunKey) -> Layout:
        """Return the layout of the run that `key` identifies in the store at `root`."""
        return cls(root / key.slug / key.short)

    def shard(self, shard: Shard, count: int) -> Path:
        """Return the file of a shard out of `count`."""
        return self.folder / shard_name(shard.index, count)

    def norms(self, shard: Shard, count: int) -> Path:
        """Return the file of the token norms of a shard's samples; runs of earlier versions have none."""
        return self.folder / shard_name(shard.index, count).replace("shard-", "norms-")

    @staticmethod
    def sidecar(shard: Path) -> Path:
        """Return the checksum file of a shard (for ``sha256sum -c``), kept until the manifest holds the checksum."""
        return shard.with_name(shard.name + ".sha256")

    def is_run(self) -> bool:
        """Return whether the folder holds any part of a run, complete or not."""
        return self.key.exists() or self.manifest.exists() or any(self.folder.glob("shard-*.safetensors"))
