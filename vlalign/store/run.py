"""A complete run: features of one model on one data set."""

from __future__ import annotations

import contextlib
import math
import shlex
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.files import one_line, parse_json, sha256_file
from vlalign.store.bits import record_bits, recorded_bits
from vlalign.store.checksums import sha256_bytes
from vlalign.store.key import RunKey, diff_keys
from vlalign.store.layout import Layout, Problem
from vlalign.store.manifest import Entry, Manifest, pending
from vlalign.store.probes import damaged_probes
from vlalign.store.shard import EXTRA, ShardError, check_shard, read_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from vlalign.arrays import LazyLayer
    from vlalign.store.norms import LayerNorms, TokenNorms

#: shards that were checked in this process: by path, the mark of the file with what it was checked against
_checked: dict[Path, tuple[object, ...]] = {}


def read_key(layout: Layout, expected: RunKey | None = None) -> RunKey:
    """Read a run folder's key and check that it belongs in this folder.

    Raises:
        VlalignError: unreadable; not the `expected` key; or the folder's name is not that of the key.
    """
    key = RunKey.read(layout.key)
    if expected is not None and key != expected:
        differences = "; ".join(diff_keys(key, expected)[:3])
        raise VlalignError(
            f"{layout.key} is not the key of this run ({differences}): it was altered or copied there; "
            f"remove the folder {layout.folder} or use another store"
        )
    folder = layout.folder.absolute()
    if folder.name != key.short or folder.parent.name != key.slug:
        raise VlalignError(
            f"key mismatch in {layout.folder}: its key.json belongs in {key.slug}/{key.short}, so the folder was "
            "renamed or copied or the key was altered; move it back or remove it and extract again"
        )
    return key


def read_events(layout: Layout) -> list[dict[str, Any]]:
    """Return the events of provenance.jsonl in order; lines that a kill cut short are left out."""
    try:
        lines = layout.provenance.read_bytes().splitlines()
    except OSError:
        return []
    events = []
    for line in lines:
        with contextlib.suppress(ValueError):
            events.append(parse_json(line))
    return [event for event in events if isinstance(event, dict)]


class IncompleteRunError(VlalignError):
    """A run whose manifest has not been written yet."""


class Run:
    """A complete run in the store. Opening reads the key and the manifest; tensors are read on demand.

    Args:
        path: the run's folder.

    Attributes:
        path: the folder.
        layout: paths of its files.
        key: the run key.
        layers: in order; positions in this list are the layer axis.
        n: number of samples N.
        extras: names of the stored per-sample values.
        facts: counts by the extraction (truncated texts, skipped samples).

    Raises:
        VlalignError: not a complete run, or its key and folder or manifest do not belong together.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.layout = layout = Layout(self.path)
        if not layout.is_run():
            raise VlalignError(f"no run at {self.path}: give a folder that holds key.json and manifest.json")
        self.key = read_key(layout)
        if not layout.manifest.exists():
            raise IncompleteRunError(f"the run {self.path} is not complete: run the same extraction again to finish it")
        self._manifest = manifest = Manifest.read(layout.manifest)
        if manifest.key != self.key.hash:
            raise VlalignError(
                f"key mismatch in {self.path}: manifest.json is of run {manifest.key[:16]}; "
                "remove the folder and extract again"
            )
        if late := pending(layout, manifest):
            raise VlalignError(
                f"the run {self.path} is being repaired ({late[0].name} is newer than the manifest): "
                "run the same extraction again to finish it"
            )
        self.layers = list(manifest.layers)
        self.n = manifest.n
        self.extras = list(manifest.extras)
        self.facts: dict[str, Any] = dict(manifest.facts)

    def __repr__(self) -> str:
        return f"Run({self.key.title}@{self.key.short[:8]}, {len(self.layers)} layers, n={self.n})"

    @property
    def ids(self) -> list[str]:
        """Sample ids in row order.

        Raises:
            VlalignError: ids.json is missing or altered.
        """
        return self._order[0]

    @property
    def shard_rows(self) -> int:
        """Rows per shard; the last may have fewer.

        Raises:
            VlalignError: ids.json is missing or altered.
        """
        return self._order[1]

    @property
    def shards(self) -> tuple[Entry, ...]:
        """Files, checksums and rows of the shards, in order."""
        return self._manifest.shards

    @cached_property
    def _order(self) -> tuple[list[str], int]:
        path = self.layout.ids
        try:
            data = path.read_bytes()
            if sha256_bytes(data) != self._manifest.ids_sha256:
                raise ValueError("sha256 mismatch")
            content = parse_json(data)
            return [str(sample) for sample in content["ids"]], int(content["shard_rows"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VlalignError(
                f"cannot use the sample ids {path}: {one_line(error)}; run the same extraction again to renew them"
            ) from error

    def _position(self, layer: int | str) -> int:
        names = [known.name for known in self.layers]
        if isinstance(layer, str):
            if layer in names:
                return names.index(layer)
        elif -len(names) <= layer < len(names):
            return layer % len(names)
        raise VlalignError(
            f"{self.key.model} has no layer {layer!r}: give 0 to {len(names) - 1} (negative from the end) "
            f"or a name, {names[0]} … {names[-1]}"
        )

    def _read_shard(self, index: int, names: Sequence[str], check: bool = True, framework: str = "pt") -> list[Any]:
        path = self.path / self._manifest.shards[index].file
        try:
            if check:
                self._check_once(index, path)
            return read_tensors(path, self.key.hash, self._manifest.shard(index), names, framework)
        except ShardError as error:
            raise VlalignError(f"cannot read {path}: {error}; {self.repair}") from error

    def _check_once(self, index: int, path: Path) -> None:
        """Check a shard, unless that was done in this process and the file is the same by its mark."""
        manifest = self._manifest
        mark = _mark(path), manifest.shards[index], manifest.ids_sha256, manifest.layers, manifest.extras
        if mark[0] is None or _checked.get(path.absolute()) != mark:
            self._check_shard(index, self.ids)
            if _mark(path) == mark[0]:
                _checked[path.absolute()] = mark

    def _check_shard(self, index: int, ids: Sequence[str] | None) -> None:
        """Check a shard against the manifest and, unless None, the ids of the whole run.

        Raises:
            ShardError: with the reason.
        """
        manifest, entry, shard = self._manifest, self._manifest.shards[index], self._manifest.shard(index)
        own = None if ids is None else ids[shard.start : shard.stop]
        path, count = self.path / entry.file, len(manifest.shards)
        header = check_shard(path, entry.sha256, entry.bytes, self.key.hash, shard, count, own)
        if header.layers != manifest.layers or not set(manifest.extras) <= set(header.extras):
            raise ShardError("layer mismatch: holds other layers or extras than the manifest")

    @property
    def repair(self) -> str:
        """Advice for damaged files of this run: the command that replaces them, if it was recorded."""
        root = self.path.parent.parent
        for event in reversed(read_events(self.layout)):
            if isinstance(command := event.get("command"), str):
                return f"this command replaces damaged files: {command} --store {shlex.quote(str(root))}"
        return "run the same extraction again, which replaces damaged shards"

    def check(self) -> None:
        """Check the checksums of all shards that were not checked in this process yet.

        Raises:
            VlalignError: a shard is missing or damaged.
        """
        for index in range(len(self._manifest.shards)):
            self._read_shard(index, [])

    def load_shard(self, index: int) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return all layers of a shard in order, each float32 ``[rows, D_layer]``, and extras ``[rows, ...]`` by name.

        Raises:
            VlalignError: the shard is missing or damaged.
        """
        names = [layer.name for layer in self.layers]
        tensors = self._read_shard(index, [*names, *(EXTRA + name for name in self.extras)])
        return tensors[: len(names)], dict(zip(self.extras, tensors[len(names) :], strict=True))

    def _read(self, names: Sequence[str]) -> list[Tensor]:
        import torch

        whole: list[Tensor] = []
        for index, entry in enumerate(self._manifest.shards):
            parts = self._read_shard(index, names)
            whole = whole or [torch.empty((self.n, *part.shape[1:]), dtype=part.dtype) for part in parts]
            for target, part in zip(whole, parts, strict=True):
                target[entry.start : entry.stop] = part
        return whole

    def load(self, layer: int | str) -> Tensor:
        """Return a layer's features, float32 ``[N, D_layer]``; checksums are checked at the first read of a process.

        Args:
            layer: position in `layers` (negative counts from the end) or a layer's name.

        Raises:
            VlalignError: no such layer, or a shard is missing or damaged.
        """
        return self._read([self.layers[self._position(layer)].name])[0]

    def lazy_layer(self, layer: int | str) -> LazyLayer:
        """Return a layer [N, D_layer] whose rows are read from the mapped shards when they are used, as float32.

        Args:
            layer: as for :meth:`load`.

        Raises:
            VlalignError: no such layer, or a shard is missing or damaged.
        """
        import torch

        from vlalign.arrays import LazyLayer

        described = self.layers[self._position(layer)]
        parts = [self._read_shard(index, [described.name])[0] for index in range(len(self.shards))]
        starts = [entry.start for entry in self.shards]

        def read(rows: slice | Tensor) -> Tensor:
            index = torch.arange(*rows.indices(self.n)) if isinstance(rows, slice) else rows
            out = torch.empty((len(index), described.width))
            shard = torch.searchsorted(torch.tensor(starts), index, right=True) - 1
            for number in shard.unique().tolist():
                chosen = shard == number
                out[chosen] = parts[number][index[chosen] - starts[number]]
            return out

        return LazyLayer(read, (self.n, described.width), torch.float32)

    def features(self) -> list[Tensor]:
        """Return all layers in order, each float32 ``[N, D_layer]``.

        Raises:
            VlalignError: a shard is missing or damaged.
        """
        return self._read([layer.name for layer in self.layers])

    def extra(self, name: str, *, check: bool = True) -> Tensor | None:
        """Return per-sample values ``[N, ...]`` such as ``bits``, ``bytes``, ``tokens``; None if the run lacks them.

        Args:
            name: one of ``extras``.
            check: check the checksums of the whole shards; without, only these values are read.

        Raises:
            VlalignError: a shard is missing or damaged.
        """
        values = self._values(name, check)
        if values is None:
            return None
        import torch

        return torch.from_numpy(values)

    def _values(self, name: str, check: bool) -> NDArray[Any] | None:
        """Return what :meth:`extra` does without PyTorch, whose import takes longer than listing the runs."""
        if name not in self.extras:
            return None
        import numpy as np

        parts = [self._read_shard(i, [EXTRA + name], check, "numpy")[0] for i in range(len(self._manifest.shards))]
        return np.concatenate(parts)

    def token_norms(self) -> TokenNorms | None:
        """Return how uneven the norms of each sample's tokens are; None for runs that were made without measuring.

        Raises:
            VlalignError: a file of norms is damaged.
        """
        from vlalign.store.norms import TokenNorms

        shards = [self._manifest.shard(index) for index in range(len(self.shards))]
        paths = [self.layout.norms(shard, len(shards)) for shard in shards]
        if not all(path.exists() for path in paths):
            return None
        parts = zip(paths, shards, strict=True)
        return TokenNorms.joined([TokenNorms.read(path, self.key.hash, shard) for path, shard in parts])

    @cached_property
    def layer_norms(self) -> list[LayerNorms] | None:
        """How uneven the norms of tokens are in each layer; None for runs that were made without measuring.

        Raises:
            VlalignError: a file of norms is damaged.
        """
        norms = self.token_norms()
        return None if norms is None else norms.summary([layer.name for layer in self.layers])

    @property
    def truncated(self) -> int:
        """Number of texts truncated to the model's longest input."""
        count = self.facts.get("truncated", 0)
        return count if isinstance(count, int) else 0

    def bits_per_byte(self, *, check: bool = True) -> float | None:
        """Return the mean over samples of bits / bytes of the text that was read, without the truncated parts.

        None for runs without loss, and for runs of earlier versions with truncated texts, which counted the bytes of
        the whole texts: extract them again. Texts of one token predict no token and count 0, as in the reference; empty
        texts are left out. A value from checked shards is recorded beside them, so that it is computed once.
        """
        if (recorded := self.recorded_bits_per_byte) is not None:
            return recorded
        size_name = "bytes_read" if "bytes_read" in self.extras or self.truncated else "bytes"
        bits, size = (self._values(name, check) for name in ("bits", size_name))
        if bits is None or size is None or not (read := size > 0).any():
            return None
        value = float((bits[read].astype("float64") / size[read]).mean())
        if check and math.isfinite(value):
            record_bits(self.layout, self._manifest, value)
        return value

    @property
    def recorded_bits_per_byte(self) -> float | None:
        """Bits per byte that were recorded when all shards were checked and that are unchanged since; else None."""
        return recorded_bits(self.layout, self._manifest)

    def verify(self) -> list[Problem]:
        """Check every file: sizes, sha256, headers. Reads everything; the list is empty if all is well."""
        problems = []
        layout, manifest = self.layout, self._manifest
        ids: list[str] | None = None
        try:
            ids = self.ids if sha256_file(layout.ids) == manifest.ids_sha256 else None
            if ids is None:
                problems.append(Problem(layout.ids, "sha256 mismatch"))
        except OSError as error:
            problems.append(Problem(layout.ids, one_line(error)))
        except VlalignError:
            problems.append(Problem(layout.ids, "unreadable or altered"))
        for index, entry in enumerate(manifest.shards):
            try:
                self._check_shard(index, ids)
            except ShardError as error:
                problems.append(Problem(self.path / entry.file, str(error)))
        try:
            self.token_norms()
        except VlalignError as error:
            problems.append(Problem(self.path, str(error)))
        return problems + damaged_probes(self.path)


def _mark(path: Path) -> tuple[int, ...] | None:
    """Return what changes if a file is rewritten: size, times (users cannot set the second), inode, device."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev
