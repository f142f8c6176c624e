"""The manifest: what a complete run holds, with every checksum, and a digest of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlalign.errors import VlalignError
from vlalign.store.files import canonical, encode, one_line, pretty, sha256_bytes
from vlalign.store.layout import FORMAT, Layer, Layout, Shard


@dataclass(frozen=True)
class Entry:
    """One shard in the manifest."""

    file: str
    sha256: str
    bytes: int
    start: int
    stop: int


@dataclass(frozen=True)
class Manifest:
    """What a complete run holds. Its bytes depend only on the run, not on when, where or by how many it was made."""

    key: str  # hash of the run key
    n: int
    ids_sha256: str  # of ids.json
    layers: tuple[Layer, ...]
    shards: tuple[Entry, ...]
    extras: tuple[str, ...]
    facts: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """The content of ``manifest.json``."""
        body = {"format": FORMAT, **asdict(self), "facts": dict(self.facts)}
        return pretty(body | {"digest": sha256_bytes(encode(canonical(body)))})

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read ``manifest.json``.

        Raises:
            VlalignError: missing, unreadable, altered, or of another format.
        """
        try:
            body = json.loads(path.read_bytes())
            digest, format_ = body.pop("digest"), body.pop("format")
            if format_ != FORMAT:
                raise ValueError(f"format {format_} is not the format {FORMAT} that this version of vlalign reads")
            if digest != sha256_bytes(encode(canonical({"format": format_, **body}))):
                raise ValueError("its content was altered after it was written")
            layers = tuple(Layer(**layer) for layer in body.pop("layers"))
            shards = tuple(Entry(**entry) for entry in body.pop("shards"))
            return cls(layers=layers, shards=shards, extras=tuple(body.pop("extras")), **body)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise VlalignError(
                f"cannot read the manifest {path}: {one_line(error)}; run again what made the run, which renews it"
            ) from error

    def shard(self, index: int) -> Shard:
        """The rows of shard `index`."""
        return Shard(index, self.shards[index].start, self.shards[index].stop)


def read_sidecar(shard_path: Path) -> str | None:
    """The sha256 noted beside a shard, None if there is none."""
    try:
        digest = Layout.sidecar(shard_path).read_text(encoding="ascii").split()[0]
    except (OSError, ValueError, IndexError):
        return None
    return digest if len(digest) == 64 else None


def pending(layout: Layout, manifest: Manifest) -> list[Path]:
    """Shards rewritten after the manifest: their sidecars hold another sha256, and the run has to be finished again."""
    paths = [layout.folder / entry.file for entry in manifest.shards]
    if not any(layout.folder.glob("*.sha256")):
        return []
    return [
        path
        for path, entry in zip(paths, manifest.shards, strict=True)
        if read_sidecar(path) not in (None, entry.sha256)
    ]
