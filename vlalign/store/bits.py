"""Bits per byte of a run, recorded beside its shards when they were checked and the value was first computed.

``<run>/bits.json``: the value, with a checksum over it and over all that it was computed from. So a list of runs need
not read all features to check them.
"""

from __future__ import annotations

import contextlib
from typing import Any

from vlalign.errors import VlalignError
from vlalign.files import read_json, write_whole
from vlalign.store.checksums import canonical, encode, pretty, sha256_bytes
from vlalign.store.layout import Layout
from vlalign.store.manifest import Manifest


def record_bits(layout: Layout, manifest: Manifest, value: float) -> None:
    """Record the bits per byte of a run, unless its folder cannot be written.

    Args:
        layout: of the run.
        manifest: of the run, which all shards were checked against.
        value: finite.
    """
    with contextlib.suppress(VlalignError):
        write_whole(layout.bits, pretty(_content(manifest, value)))


def recorded_bits(layout: Layout, manifest: Manifest) -> float | None:
    """Return the recorded bits per byte; None without a record of these shards, or if one of them was written since.

    The time of a file's last change (ctime) counts, which copying renews and users cannot set.
    """
    try:
        content = read_json(layout.bits)
        recorded_at = layout.bits.stat().st_mtime_ns
        if any((layout.folder / entry.file).stat().st_ctime_ns >= recorded_at for entry in manifest.shards):
            return None
        value: float = content["bits_per_byte"]
        return value if content == _content(manifest, value) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _content(manifest: Manifest, value: float) -> dict[str, Any]:
    parts = [value, manifest.extras, manifest.facts.get("truncated"), [entry.sha256 for entry in manifest.shards]]
    return {"bits_per_byte": value, "sha256": sha256_bytes(encode(canonical(parts)))}
