"""The manifest of a complete run: its contents with every checksum, and a digest of the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlalign.errors import VlalignError
from vlalign.files import one_line, read_json
from vlalign.store.checksums import canonical, encode, pretty, sha256_bytes
from vlalign.store.layout import FORMAT, Layer, Layout, Shard, shard_name
from vlalign.store.shard import ShardError


@dataclass(frozen=True)
class Entry:
    """A shard in the manifest."""

    file: str
    sha256: str
    bytes: int
    start: int
    stop: int


@dataclass(frozen=True)
class Manifest:
    """Contents of a complete run. Its bytes depend only on the run, not on time, machine or number of processes."""

    key: str  # hash of the run key
    n: int
    ids_sha256: str  # of ids.json
    layers: tuple[Layer, ...]
    shards: tuple[Entry, ...]
    extras: tuple[str, ...]
    facts: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """Return the content of ``manifest.json``."""
        body = {"format": FORMAT, **asdict(self), "facts": dict(self.facts)}
        return pretty(body | {"digest": sha256_bytes(encode(canonical(body)))})

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read ``manifest.json``.

        Raises:
            VlalignError: missing, unreadable, altered, or of another format.
        """
        try:
            body = read_json(path)
            digest, format_ = body.pop("digest"), body.pop("format")
            if format_ != FORMAT:
                raise ValueError(f"format {format_} is not the format {FORMAT} that this version of vlalign reads")
            if digest != sha256_bytes(encode(canonical({"format": format_, **body}))):
                raise ValueError("its content was altered after it was written")
            layers = tuple(Layer(**layer) for layer in body.pop("layers"))
            shards = tuple(Entry(**entry) for entry in body.pop("shards"))
            manifest = cls(layers=layers, shards=shards, extras=tuple(body.pop("extras")), **body)
            if not manifest._is_valid():
                raise ValueError("it does not describe layers and shards of a run")
            return manifest
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise VlalignError(
                f"cannot read the manifest {path}: {one_line(error)}; run the same command again, which renews it"
            ) from error

    def _is_valid(self) -> bool:
        """Return whether types, file names and rows are those that `finish` writes."""
        edges, count = [0, *(entry.stop for entry in self.shards)], len(self.shards)
        layers = [(layer.index, layer.name, layer.width, layer.convention) for layer in self.layers]
        return (
            bool(layers)
            and all(tuple(map(type, layer)) == (int, str, int, str) for layer in layers)
            and all(type(edge) is int for edge in [self.n, *edges])
            and [entry.start for entry in self.shards] == edges[:-1]
            and edges[-1] == self.n > 0
            and [entry.file for entry in self.shards] == [shard_name(i, count) for i in range(count)]
            and all(isinstance(text, str) for text in [self.key, self.ids_sha256, *self.extras])
            and isinstance(self.facts, Mapping)
        )

    def shard(self, index: int) -> Shard:
        """Return the rows of shard `index`."""
        return Shard(index, self.shards[index].start, self.shards[index].stop)


def read_sidecar(shard_path: Path) -> str | None:
    """Return the sha256 in a shard's checksum file, None without one."""
    try:
        digest = Layout.sidecar(shard_path).read_text(encoding="ascii").split()[0]
    except (OSError, ValueError, IndexError):
        return None
    return digest if len(digest) == 64 else None


def recorded_checksum(shard_path: Path, entry: Entry | None) -> tuple[str, int | None]:
    """Return a shard's sha256 from the file beside it, else sha256 and size from its entry of the manifest.

    Raises:
        ShardError: neither exists.
    """
    if (sha256 := read_sidecar(shard_path)) is not None:
        return sha256, None
    if entry is None:
        raise ShardError("no checksum in a file beside it or in a manifest")
    return entry.sha256, entry.bytes


def pending(layout: Layout, manifest: Manifest) -> list[Path]:
    """Return the shards rewritten after the manifest (their sidecars differ), so the run is unfinished."""
    if not any(layout.folder.glob("*.sha256")):
        return []
    shards = [(layout.folder / entry.file, entry.sha256) for entry in manifest.shards]
    return [path for path, sha256 in shards if read_sidecar(path) not in (None, sha256)]
