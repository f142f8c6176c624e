"""Writer of a run: shards by any number of processes, then the manifest by one of them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.files import new_file, one_line, probe, sweep, write_error, write_whole
from vlalign.store.checksums import canonical, encode, pretty, sha256_bytes
from vlalign.store.key import RunKey
from vlalign.store.layout import FORMAT, Layer, Layout, Shard, plan_shards
from vlalign.store.manifest import Entry, Manifest, read_sidecar, recorded_checksum
from vlalign.store.norms import TokenNorms
from vlalign.store.run import Run, read_key
from vlalign.store.shard import Header, ShardError, check_shard, encode_shard, read_header

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)


class RunWriter:
    """Writer of a run; every process may make its own writer for the same run at the same time.

    A new writer creates the folder with its key and ids, and removes half-written files of killed processes. Each
    process writes its own shards, then one of them calls `finish`.

    Args:
        root: the store.
        key: the run key.
        ids: distinct sample ids in row order.
        shard_rows: rows per shard.

    Attributes:
        key: the run key.
        path: the run's folder.
        shards: all shards, missing or not; they depend on the number of ids and on `shard_rows` only.

    Raises:
        VlalignError: no ids or repeated ids; the folder cannot be written, or holds another key, other ids or another
            number of rows per shard.
    """

    def __init__(self, root: str | Path, key: RunKey, ids: Sequence[str], shard_rows: int = 128) -> None:
        self.key = key
        self.layout = Layout.of(Path(root), key)
        self.path = self.layout.folder
        self._ids = list(ids)
        self.shards = plan_shards(len(self._ids), shard_rows)
        if not self._ids:
            raise VlalignError(f"no samples to store for {key.model}: the data set is empty")
        if len(set(self._ids)) != len(self._ids):
            double = Counter(self._ids).most_common(1)[0][0]
            raise VlalignError(f"the sample id {double!r} occurs more than once: ids must be distinct")
        self._ids_data = pretty({"format": FORMAT, "shard_rows": shard_rows, "ids": self._ids})
        try:
            self._prepare()
        except OSError as error:
            raise write_error(self.path, error) from error

    def _prepare(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        sweep(self.path)
        if self.layout.key.exists():
            read_key(self.layout, expected=self.key)
        else:
            write_whole(self.layout.key, self.key.to_bytes())
        self._claim_ids()
        if self.layout.manifest.exists():
            if any(self.path.glob("*.sha256")):
                self._drop_settled_sidecars(self._manifest())
        else:
            probe(self.path)

    def _claim_ids(self) -> None:
        path = self.layout.ids
        stored = path.read_bytes() if path.exists() else None
        if stored == self._ids_data:
            return
        if stored is not None:
            manifest = self._manifest()
            if manifest is None or manifest.ids_sha256 != sha256_bytes(self._ids_data):
                raise VlalignError(
                    f"{path} lists other sample ids or another number of rows per shard than this run: give the same "
                    f"--shard-rows, remove the folder {self.path} or use another store"
                )
            log.warning("%s was damaged and is written again", path)
        write_whole(path, self._ids_data)

    def _drop_settled_sidecars(self, manifest: Manifest | None) -> None:
        """Remove sidecars that repeat the manifest or are unreadable; a run killed in `finish` leaves them."""
        for entry in manifest.shards if manifest else ():
            path = self.path / entry.file
            if read_sidecar(path) in (None, entry.sha256):
                with contextlib.suppress(OSError):
                    Layout.sidecar(path).unlink()

    def _manifest(self) -> Manifest | None:
        """Return the manifest if it exists for exactly these shards."""
        if not self.layout.manifest.exists():
            return None
        try:
            manifest = Manifest.read(self.layout.manifest)
        except VlalignError as error:
            log.warning("%s", error)
            return None
        rows = [manifest.shard(index) for index in range(len(manifest.shards))]
        return manifest if manifest.key == self.key.hash and rows == self.shards else None

    def _path(self, shard: Shard) -> Path:
        return self.layout.shard(shard, len(self.shards))

    def missing(self, require: Sequence[str] = ()) -> list[Shard]:
        """Return the shards to write: absent, damaged (a warning names the file and the reason), or without an extra.

        Reads and checks every existing shard. Call it before any process writes, and share the result.

        Args:
            require: names of extras that a shard must hold.

        Raises:
            VlalignError: something is missing and the folder cannot be written.
        """
        manifest = self._manifest()
        missing = []
        for shard in self.shards:
            path = self._path(shard)
            if not path.exists():
                if manifest is not None:
                    log.warning("%s is missing and has to be made again", path)
                missing.append(shard)
                continue
            try:
                sha256, size = recorded_checksum(path, manifest.shards[shard.index] if manifest else None)
                ids = self._ids[shard.start : shard.stop]
                header = check_shard(path, sha256, size, self.key.hash, shard, len(self.shards), ids)
                norms = self.layout.norms(shard, len(self.shards))
                if norms.exists():
                    TokenNorms.read(norms, self.key.hash, shard)
            except (ShardError, VlalignError) as error:
                log.warning("%s is damaged (%s) and has to be made again", path, error)
                missing.append(shard)
                continue
            if lacking := sorted(set(require) - set(header.extras)):
                log.info("%s has no %s and has to be made again", path, ", ".join(lacking))
                missing.append(shard)
        if missing and manifest is not None:  # else the new writer tried it
            try:
                probe(self.path)
            except OSError as error:
                raise write_error(self.path, error) from error
        return missing

    def write(
        self,
        shard: Shard,
        features: Mapping[str, Tensor],
        layers: Sequence[Layer],
        extras: Mapping[str, Tensor],
        *,
        norms: TokenNorms | None = None,
        sha256: str | None = None,
    ) -> None:
        """Write a shard: temporary name, sync, checksum file, rename; its token norms before it.

        Args:
            shard: one of `shards`.
            features: layer name -> ``[rows, D_layer]`` on any device; stored as float32.
            layers: in order, the same for every shard.
            extras: name -> ``[rows, ...]``.
            norms: of the shard's samples.
            sha256: write only a file with this checksum.

        Raises:
            ValueError: shapes or names do not fit.
            ShardError: the file would have another checksum than `sha256`.
            VlalignError: the file cannot be written (no space, no permission); no part of it stays.
        """
        if self.shards[shard.index : shard.index + 1] != [shard]:
            raise ValueError(f"{shard} is not a shard of this run")
        ids = self._ids[shard.start : shard.stop]
        parts = encode_shard(self.key.hash, shard, len(self.shards), ids, features, layers, extras)
        path = self._path(shard)
        digest = sha256_bytes(*parts)
        if sha256 not in (None, digest):
            raise ShardError(f"sha256 mismatch: expected {sha256}, got {digest}")
        if norms is not None:
            norms.write(self.layout.norms(shard, len(self.shards)), self.key.hash, shard)
        with new_file(path) as temp:
            with temp.open("wb") as file:
                file.writelines(parts)
            write_whole(Layout.sidecar(path), f"{digest}  {path.name}\n")

    def _entry(self, shard: Shard, manifest: Manifest | None) -> tuple[Entry, Header]:
        path = self._path(shard)
        header = read_header(path)  # fails for a missing or truncated file
        sha256, _ = recorded_checksum(path, manifest.shards[shard.index] if manifest else None)
        if header.key != self.key.hash or header.shard != shard:
            raise ShardError("of another run")
        return Entry(path.name, sha256, path.stat().st_size, shard.start, shard.stop), header

    def finish(self, facts: Mapping[str, Any]) -> Run:
        """Write the manifest, which makes the run complete, and remove the checksum files; may be repeated.

        Call it in one process after every shard has been written. Checksums are those that `write` recorded.

        Args:
            facts: JSON-able and deterministic (counts of truncated texts, skipped samples), kept with the run.

        Raises:
            VlalignError: a shard is missing, shards have different layers, or the manifest cannot be written.
        """
        old = self._manifest()
        written: list[tuple[Entry, Header]] = []
        bad: list[str] = []
        for shard in self.shards:
            try:
                written.append(self._entry(shard, old))
            except (ShardError, OSError) as error:
                bad.append(f"{self._path(shard).name} ({one_line(error)})")
        if bad:
            more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
            raise VlalignError(
                f"the run {self.path} cannot be finished, {len(bad)} of {len(self.shards)} shards are missing: "
                f"{', '.join(bad[:3])}{more}; run the same extraction again"
            )
        headers = [header for _, header in written]
        for header in headers:
            if header.layers != headers[0].layers:
                raise VlalignError(
                    f"{self._path(header.shard)} holds other layers than {self._path(self.shards[0]).name}: "
                    f"remove the folder {self.path} and extract again"
                )
        extras = set(headers[0].extras).intersection(*(header.extras for header in headers))
        manifest = Manifest(
            key=self.key.hash,
            n=len(self._ids),
            ids_sha256=sha256_bytes(self._ids_data),
            layers=headers[0].layers,
            shards=tuple(entry for entry, _ in written),
            extras=tuple(sorted(extras)),
            facts=json.loads(canonical(facts)),  # as JSON stores them
        )
        write_whole(self.layout.manifest, manifest.to_bytes())
        self._drop_settled_sidecars(manifest)
        sweep(self.path)
        return Run(self.path)

    def log(self, event: Mapping[str, Any]) -> None:
        """Append one line to provenance.jsonl, with the time (UTC) under ``when`` unless the event has it.

        Raises:
            VlalignError: the file cannot be written.
        """
        line = canonical({"when": datetime.now(UTC).isoformat(timespec="seconds"), **event})
        try:
            fd = os.open(self.layout.provenance, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                end = os.lseek(fd, 0, os.SEEK_END)
                cut = end > 0 and os.pread(fd, 1, end - 1) != b"\n"  # a killed process left half a line
                os.write(fd, encode("\n" * cut + line + "\n"))
            finally:
                os.close(fd)
        except OSError as error:
            raise write_error(self.layout.provenance, error) from error
