"""Features as Parquet: one column a layer, written shard by shard, measured, and read back shard by shard."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.files import new_file, one_line, sha256_file
from vlalign.hub.metadata import DATA, Extra, Part, Precision, layer_columns, part_path
from vlalign.store import Layer, Run
from vlalign.store.checksums import canonical, encode
from vlalign.store.manifest import Entry

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from torch import Tensor

GROUP_BYTES = 64 << 20  # of a row group: whole shards
PART_BYTES = 512 << 20  # of a file: whole shards; what is uploaded is kept file by file
#: uncompressed, because features do not compress: reading and writing take half the time
OPTIONS: dict[str, Any] = {"compression": "NONE", "use_dictionary": False, "write_statistics": ["id"]}
_NORMAL = 2.0**-14  # smallest value that float16 holds with its full precision
_OVERFLOW = 65520.0  # smallest value that rounds to infinity
_FAINT = 1e-15  # norm of a vector of which squares may be below float32's range
_MOST_LOST = 1e-2  # of a vector's norm: float16 keeps 2 ** -11 of it unless its values are below 6.1e-05


def extras_of(run: Run) -> list[Extra]:
    """Return the run's extras as columns, read from its first shard."""
    return [
        Extra(name, f"extra_{name}", str(value.dtype).removeprefix("torch."), tuple(value.shape[1:]))
        for name, value in run.load_shard(0)[1].items()
    ]


def plan_parts(indices: Iterable[int], shards: Sequence[Entry], row_bytes: int, most: int) -> list[list[int]]:
    """Group indices of shards so that each group is at most ``most`` bytes, except groups of a single shard.

    >>> shards = [Entry("", "", 0, start, start + 10) for start in range(0, 50, 10)]
    >>> plan_parts(range(5), shards, 1, 25)
    [[0, 1], [2, 3], [4]]
    """
    groups: list[list[int]] = []
    size = 0
    for index in indices:
        own = (shards[index].stop - shards[index].start) * row_bytes
        if not groups or size + own > most:
            groups.append([])
            size = 0
        groups[-1].append(index)
        size += own
    return groups


def row_bytes(run: Run, dtype: str) -> int:
    """Return the bytes of the features of one sample."""
    return (2 if dtype == "float16" else 4) * sum(layer.width for layer in run.layers)


def write_run(run: Run, folder: Path, config: str, dtype: str, meta: dict[str, Any]) -> tuple[list[Part], Precision]:
    """Write a run's Parquet files under ``folder/data/<config>``.

    Args:
        run: complete.
        folder: of the data set.
        config: name of the configuration.
        dtype: of the features, ``float16`` or ``float32``.
        meta: JSON values for the files' metadata, under ``vlalign``.

    Returns:
        The files in order, and the loss of precision.

    Raises:
        VlalignError: a value that float16 cannot hold, an id that Parquet cannot hold, or no space.
    """
    import pyarrow.parquet as pq

    size = row_bytes(run, dtype)
    groups = plan_parts(range(len(run.shards)), run.shards, size, PART_BYTES)
    schema = schema_of(run, dtype).with_metadata({"vlalign": json.dumps(meta, sort_keys=True, ensure_ascii=False)})
    (folder / DATA / config).mkdir(parents=True, exist_ok=True)
    losses: list[tuple[float, float]] = [(0.0, 0.0)]
    parts = []
    for number, shards in enumerate(groups):
        name = part_path(config, number, len(groups))
        path = folder / name
        with new_file(path) as part, pq.ParquetWriter(part, schema, **OPTIONS) as file:
            for group in plan_parts(shards, run.shards, size, GROUP_BYTES):
                table = _table(run, schema, group, dtype, losses)
                file.write_table(table, row_group_size=len(table))
        start, stop = run.shards[shards[0]].start, run.shards[shards[-1]].stop
        parts.append(Part(name, sha256_file(path), path.stat().st_size, start, stop))
    largest, largest_row = (max(column) for column in zip(*losses, strict=True))
    return parts, Precision(largest, largest_row, exact=largest == 0 and largest_row == 0)


def schema_of(run: Run, dtype: str) -> pa.Schema:
    """Return the columns: ``id``, a list of fixed length for each layer, the extras."""
    import pyarrow as pa

    value = pa.float16() if dtype == "float16" else pa.float32()
    names = layer_columns(len(run.layers))
    fields = [pa.field("id", pa.string())]
    fields += [pa.field(name, pa.list_(value, layer.width)) for name, layer in zip(names, run.layers, strict=True)]
    for extra in extras_of(run):
        fields.append(pa.field(extra.column, _extra_type(extra)))
    return pa.schema(fields)


def _extra_type(extra: Extra) -> pa.DataType:
    import pyarrow as pa

    try:
        kind = pa.type_for_alias(extra.dtype)
    except ValueError as error:
        raise VlalignError(f"the extra {extra.name!r} is {extra.dtype}, which Parquet does not hold") from error
    return pa.list_(kind, math.prod(extra.shape)) if extra.shape else kind


def _table(run: Run, schema: pa.Schema, shards: list[int], dtype: str, losses: list[tuple[float, float]]) -> pa.Table:
    """Read the rows of some shards as one table, and append the losses of casting them."""
    import pyarrow as pa
    import torch

    start, stop = run.shards[shards[0]].start, run.shards[shards[-1]].stop
    kind = getattr(torch, dtype)
    layers = [torch.empty((stop - start, layer.width), dtype=kind) for layer in run.layers]
    extras: dict[str, list[Tensor]] = {name: [] for name in run.extras}
    for index in shards:
        features, more = run.load_shard(index)
        rows = slice(run.shards[index].start - start, run.shards[index].stop - start)
        for layer, target, values in zip(run.layers, layers, features, strict=True):
            target[rows] = values
            if dtype == "float16":
                losses.append(measure(values, target[rows], f"{layer.name} of {run.key.title}"))
        for name, value in more.items():
            extras[name].append(value)
    try:
        ids = pa.array(run.ids[start:stop], pa.string())
    except (UnicodeError, pa.ArrowException) as error:
        raise VlalignError(
            f"{run.key.title}: a sample id is no valid text, as Parquet requires: {one_line(error)}"
        ) from error
    flat = [layer.reshape(-1).numpy() for layer in layers]
    flat += [torch.cat(values).reshape(-1).numpy() for values in extras.values()]
    return pa.Table.from_arrays([ids, *map(_array, flat, schema.types[1:])], schema=schema)


def _array(flat: np.ndarray, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=kind) if pa.types.is_nested(kind) else pa.array(flat)


def measure(values: Tensor, cast: Tensor, what: str) -> tuple[float, float]:
    """Measure the loss of storing float32 values ``[rows, D]`` as ``cast``, float16.

    Returns:
        The largest relative error of a value and of a row, as :class:`~vlalign.hub.metadata.Precision` defines them.

    Raises:
        VlalignError: a finite value is too large for float16, or values are too small and a row loses over 1 %.
    """
    import torch
    from torch.linalg import vector_norm

    size = values.abs()
    error = cast.float().sub_(values).abs_()
    largest = float(size.amax())
    if not largest < _OVERFLOW:  # or not a number
        size.nan_to_num_(0, posinf=0)
        error.nan_to_num_(0)  # values that are not finite stay as they are and lose nothing
        if (largest := float(size.amax())) >= _OVERFLOW:
            raise VlalignError(
                f"float16 ends at 65504 and {what} reaches {largest:.4g}: push with --dtype float32, or leave this "
                "run out"
            )
    lost, norm = (vector_norm(one, dim=1) for one in (error, size))
    if float(norm.amin()) < _FAINT:
        lost, norm = (vector_norm(one, dim=1, dtype=torch.float64) for one in (error, size))
    row = float(lost.div_(norm.clamp_min_(1e-300)).amax())
    if row > _MOST_LOST:
        raise VlalignError(
            f"float16 rounds a vector of {what} by {100 * row:.3g} % of its norm, because it holds nothing below "
            "6e-08: push with --dtype float32, or leave this run out"
        )
    return float(error.div_(size.clamp_min_(_NORMAL)).amax()), row


def read_shards(
    files: Sequence[Path], shards: Sequence[Entry], layers: Sequence[Layer], extras: Sequence[Extra]
) -> Iterator[tuple[int, list[str], list[Tensor], dict[str, Tensor]]]:
    """Read a configuration's Parquet files shard by shard.

    Args:
        files: in order.
        shards: of the store of the run, or in which it is rebuilt.
        layers: of the run.
        extras: other columns.

    Yields:
        The index of each shard, its ids, its layers ``[rows, D_layer]`` as stored, its extras.

    Raises:
        VlalignError: a file is damaged, or holds other columns or rows than expected.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    index, names = 0, layer_columns(len(layers))
    columns = ["id", *names, *(extra.column for extra in extras)]
    for path in files:
        try:
            with pq.ParquetFile(path) as file:
                if missing := [name for name in columns if name not in file.schema_arrow.names]:
                    raise VlalignError(f"{path} lacks column {missing[0]!r}")
                for batch in file.iter_batches(shards[0].stop - shards[0].start, columns=columns):
                    if index == len(shards):
                        raise VlalignError(f"{path} holds more rows than expected")
                    rows = len(batch)
                    if rows != shards[index].stop - shards[index].start:
                        raise VlalignError(f"{path} is cut within a shard: it was not written by vlalign")
                    try:
                        values = [_tensor(batch[n], (rows, one.width)) for n, one in zip(names, layers, strict=True)]
                        more = {one.name: _tensor(batch[one.column], (rows, *one.shape)) for one in extras}
                    except (ValueError, TypeError, RuntimeError) as error:
                        reason = f"columns of another shape than expected: {one_line(error)}"
                        raise VlalignError(f"{path} holds {reason}") from error
                    yield index, batch["id"].to_pylist(), values, more
                    index += 1
        except (OSError, pa.ArrowException) as error:
            raise VlalignError(f"cannot read {path}: {one_line(error)}") from error
    if index < len(shards):
        raise VlalignError(f"{files[-1]} ends after {index} of {len(shards)} shards")


def _tensor(array: pa.Array, shape: tuple[int, ...]) -> Tensor:
    import pyarrow as pa
    import torch

    if array.null_count:
        raise ValueError("a value is missing")
    flat = array.flatten() if pa.types.is_nested(array.type) else array
    numbers = flat.to_numpy(zero_copy_only=False)
    return torch.from_numpy(numbers if numbers.flags.writeable else numbers.copy()).reshape(shape)


def digest_of(ids: Sequence[str], layers: Sequence[Tensor], extras: Mapping[str, Tensor]) -> str:
    """Return the hex sha256 of a shard's ids and values, whatever file they are in.

    Args:
        ids: of the samples.
        layers: in order, each ``[rows, D_layer]``, in the precision they were pushed in.
        extras: name -> ``[rows, ...]``.
    """
    digest = hashlib.sha256(encode(canonical([list(ids), sorted(extras)])))
    for values in [*layers, *(extras[name] for name in sorted(extras))]:
        digest.update(values.contiguous().numpy().data)
    return digest.hexdigest()


def check_written(run: Run, folder: Path, parts: Sequence[Part], dtype: str) -> list[str]:
    """Read the files back, compare every id and value with the store bit for bit, and return each shard's digest.

    Raises:
        VlalignError: they differ.
    """
    import torch

    kind = getattr(torch, dtype)
    files = [folder / part.path for part in parts]
    digests = []
    for index, ids, layers, extras in read_shards(files, run.shards, run.layers, extras_of(run)):
        features, more = run.load_shard(index)
        same = ids == run.ids[run.shards[index].start : run.shards[index].stop]
        pairs = [(read, kept.to(kind)) for read, kept in zip(layers, features, strict=True)]
        pairs += [(extras[name], value) for name, value in more.items()]
        if not same or not all(_same_bits(read, kept) for read, kept in pairs):
            raise VlalignError(
                f"the files written for {run.key.title} differ from the store (shard {index}): the disk or memory may "
                "be faulty; run the same command again"
            )
        digests.append(digest_of(ids, layers, extras))
    return digests


def _same_bits(a: Tensor, b: Tensor) -> bool:
    import torch

    return a.dtype == b.dtype and torch.equal(a.view(torch.uint8), b.view(torch.uint8))
