"""Shard files: encoding, reading of single tensors, and checks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.files import one_line, parse_json, sha256_file
from vlalign.store.layout import FORMAT, Layer, Shard

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

EXTRA = "extra."
_DTYPES = ("U64", "I64", "F64", "F32", "U32", "I32", "F16", "U16", "I16", "I8", "U8", "BOOL")  # in the order of files
_META = "vlalign"  # the only metadata entry: safetensors does not keep the order of several, so bytes would vary


class ShardError(Exception):
    """A shard file that is damaged or belongs elsewhere; the message is the reason."""


@dataclass(frozen=True)
class Header:
    """Header of a shard file."""

    key: str
    shard: Shard
    count: int
    layers: tuple[Layer, ...]
    extras: tuple[str, ...]
    ids: tuple[str, ...]


def encode_shard(
    key: str,
    shard: Shard,
    count: int,
    ids: Sequence[str],
    features: Mapping[str, Tensor],
    layers: Sequence[Layer],
    extras: Mapping[str, Tensor],
) -> list[Any]:
    """Return the bytes of a shard file, in parts: equal input gives equal bytes.

    Args:
        key: hash of the run key.
        ids: of the shard's rows.
        features: layer name -> floating tensor ``[rows, D_layer]``; stored as float32.
        layers: in order; their names are the keys of `features`.
        extras: name -> tensor ``[rows, ...]`` stored under ``extra.<name>`` with its own dtype.

    Raises:
        ValueError: names or shapes do not fit.
    """
    import torch

    names = [layer.name for layer in layers]
    if not names or len(set(names)) != len(names) or set(names) != set(features):
        raise ValueError(f"layers {names} and features {list(features)} must have the same distinct names")
    tensors = {}
    for layer in layers:
        tensor = features[layer.name]
        if not layer.name or layer.name.startswith((EXTRA, "__")):
            raise ValueError(f"{layer.name!r} cannot be the name of a layer")
        if tensor.shape != (shard.rows, layer.width) or not tensor.is_floating_point():
            raise ValueError(
                f"layer {layer.name}: expected floats [{shard.rows}, {layer.width}], "
                f"got {tensor.dtype} {list(tensor.shape)}"
            )
        tensors[layer.name] = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
    for name, tensor in extras.items():
        if not tensor.ndim or tensor.shape[0] != shard.rows:
            raise ValueError(f"extra {name}: expected {shard.rows} rows, got shape {list(tensor.shape)}")
        tensors[EXTRA + name] = tensor.detach().cpu().contiguous().numpy()
    meta = {
        "format": FORMAT,
        "key": key,
        "shard": asdict(shard),
        "count": count,
        "layers": [asdict(layer) for layer in layers],
        "extras": sorted(extras),
        "ids": list(ids),
    }
    return file_parts(tensors, {_META: json.dumps(meta, sort_keys=True, separators=(",", ":"))})


def file_parts(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> list[Any]:
    """Return a safetensors file as its header and the memory of its tensors: the bytes of ``safetensors.numpy.save``.

    That function copies all tensors into one text of bytes, and no other thread runs Python meanwhile: with 33 layers
    of a 7B model, models on a GPU would wait 60 ms for each shard.
    """
    import numpy as np

    dtypes = {
        name: "BOOL" if values.dtype == bool else f"{values.dtype.kind}{8 * values.dtype.itemsize}".upper()
        for name, values in tensors.items()
    }
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    parts, end = [], 0
    for name in sorted(tensors, key=lambda name: (_DTYPES.index(dtypes[name]), name)):
        values = np.ascontiguousarray(tensors[name])
        start, end = end, end + values.nbytes
        header[name] = {"dtype": dtypes[name], "shape": list(values.shape), "data_offsets": [start, end]}
        parts.append(values.astype(values.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little") + text, *parts]


def _parse(metadata: Mapping[str, str] | None) -> Header:
    try:
        meta: dict[str, Any] = parse_json((metadata or {})[_META])
        if meta["format"] != FORMAT:
            raise ShardError(f"format {meta['format']} is not the format {FORMAT} that this version reads")
        return Header(
            key=meta["key"],
            shard=Shard(**meta["shard"]),
            count=meta["count"],
            layers=tuple(Layer(**layer) for layer in meta["layers"]),
            extras=tuple(meta["extras"]),
            ids=tuple(meta["ids"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ShardError("unreadable header: not a shard of vlalign") from error


@contextmanager
def _opened(path: Path, framework: str) -> Iterator[tuple[Any, Header]]:
    """Open a shard and read its header.

    Raises:
        ShardError: missing, truncated or damaged, or no shard.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ShardError("missing")
    try:
        with safe_open(path, framework=framework) as file:
            yield file, _parse(file.metadata())
    except (SafetensorError, OSError, ValueError) as error:
        raise ShardError(f"truncated or unreadable: {one_line(error)}") from error


def read_header(path: Path) -> Header:
    """Read a shard's header; no tensor is read.

    Raises:
        ShardError: missing, truncated or damaged, or no shard.
    """
    with _opened(path, "numpy") as (_, header):
        return header


def read_tensors(path: Path, key: str, shard: Shard, names: Sequence[str], framework: str = "pt") -> list[Any]:
    """Read the named tensors of a shard, and only those, for PyTorch or ``numpy``; each is ``[rows, ...]``.

    Raises:
        ShardError: missing, truncated or damaged, of another run, or lacks a tensor.
    """
    with _opened(path, framework) as (file, header):
        if header.key != key or header.shard != shard:
            raise ShardError(f"holds rows [{header.shard.start}, {header.shard.stop}) of run {header.key[:16]}")
        return [file.get_tensor(name) for name in names]


def check_shard(
    path: Path,
    sha256: str,
    size: int | None,
    key: str,
    shard: Shard,
    count: int,
    ids: Sequence[str] | None,
) -> Header:
    """Check a shard completely: size, sha256, and that the header is of this run and these rows.

    Args:
        size: expected bytes, None if not known.
        ids: the expected ids of these rows, None to leave them unchecked.

    Raises:
        ShardError: with the reason.
    """
    if not path.is_file():
        raise ShardError("missing")
    try:
        actual_size = path.stat().st_size
        if size is not None and actual_size < size:
            raise ShardError(f"truncated: {actual_size} of {size} bytes")
        if size is not None and actual_size > size:
            raise ShardError(f"too long: {actual_size} bytes instead of {size}")
        actual = sha256_file(path)
    except OSError as error:
        raise ShardError(f"cannot be read: {one_line(error)}") from error
    header = read_header(path)  # a truncated file fails here
    if header.key != key:
        raise ShardError(f"key mismatch: made for run {header.key[:16]}, not {key[:16]}")
    if header.shard != shard or header.count != count:
        raise ShardError(f"row mismatch: holds rows [{header.shard.start}, {header.shard.stop})")
    if ids is not None and header.ids != tuple(ids):
        raise ShardError("id mismatch: holds other sample ids")
    if actual != sha256:
        raise ShardError(f"sha256 mismatch: expected {sha256[:16]}…, got {actual[:16]}…")
    return header
