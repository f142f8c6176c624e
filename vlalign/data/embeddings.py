"""Embeddings that users already have: arrays, tensors and columns of tables in files, with ids and values of samples.

A file is named as ``path``, or ``path:key`` for one array or column of several.
"""

from __future__ import annotations

import fnmatch
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.data.array_files import READERS, decode, listed, read_ids
from vlalign.data.tables import read_text
from vlalign.display import quoted
from vlalign.errors import VlalignError, did_you_mean, short_line
from vlalign.files import check_space
from vlalign.paths import user_path
from vlalign.row_ids import INDEX_COLUMNS, index_columns

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

TABLES = (".parquet", ".arrow", ".feather", ".ipc", ".csv", ".tsv", ".jsonl", ".ndjson")
ARRAYS = tuple(READERS)
_ID = "id"
_BATCH_ROWS = 16_384  # of a parquet file that are read together


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings of one file.

    Attributes:
        features: what :func:`vlalign.arrays.as_layers` reads; memory-mapped where the format allows it.
        name: of the file without its ending, with the key if one is named.
        source: the file and key, as errors name it.
        ids: of the samples; None where the file has none.
        data: name, revision, configuration and split of a data set of the Hub.
    """

    features: Any
    name: str
    source: str
    ids: list[str] | None = None
    data: dict[str, Any] = field(default_factory=dict)


def is_embeddings(text: str) -> bool:
    """Return whether a text names a file of embeddings by its ending.

    >>> is_embeddings("clip.parquet:image"), is_embeddings("features"), is_embeddings("dinov2-small")
    (True, False, False)
    """
    return any(Path(part).suffix.lower() in (*TABLES, *ARRAYS) for part in (text, text.rpartition(":")[0]) if part)


def read_embeddings(text: str | Path, id_column: str | None = None) -> Embeddings:
    """Read embeddings from a file.

    Args:
        text: ``path`` or ``path:key``: .npy, .npz, .pt and .pth (tensors only), .safetensors, .parquet, .arrow,
            .feather, .csv, .tsv or .jsonl. ``key`` names an array, or a column of vectors; of columns of numbers it is
            a pattern such as ``e*``. Without a key the file must hold one array or one column of vectors, or nothing
            but columns of fractions.
        id_column: column of sample ids in a table (default: ``id``, or else the index of a pandas frame, if there is
            one). The ids of an array of a .npz or .safetensors file are the array ``ids`` or ``id`` beside it.

    Raises:
        VlalignError: the file cannot be read, holds no such key or no numbers, or holds objects, which are not loaded
            as that can run code.
    """
    path, key = split_key(text)
    kind = path.suffix.lower()
    source = f"{path}:{key}" if key else str(path)
    name = path.stem + (f":{key}" if key else "")
    if not path.is_file():
        raise VlalignError(f"{path} does not exist" if not path.exists() else f"{path} is a folder: name a file of it")
    if kind in TABLES:
        features, ids = _from_table(path, key, id_column, source)
        return Embeddings(features, name, source, ids)
    if kind not in ARRAYS:
        raise VlalignError(f"{path} is of no known kind: give {', '.join((*ARRAYS, *TABLES))}")
    if id_column is not None:
        raise VlalignError(
            f"{path} has no columns, so no id column {quoted(id_column)}: give the ids in a file (--ids)"
        )
    return Embeddings(READERS[kind](path, key), name, source, read_ids(path, key))


def split_key(text: str | Path) -> tuple[Path, str]:
    """Return the path and the key of ``path`` or ``path:key``; a path that exists is never split.

    >>> split_key("missing.npz:image")
    (PosixPath('missing.npz'), 'image')
    """
    whole = user_path(text)
    before, colon, key = str(text).rpartition(":")
    if not colon or not before or whole.exists() or Path(before).suffix.lower() not in (*TABLES, *ARRAYS):
        return whole, ""
    return user_path(before), key


def read_values(text: str | Path, what: str, rows: int | None = None, lists: bool = False) -> list[Any]:
    """Read one value a sample, such as ids or labels, in the order of the file.

    Args:
        text: a .txt file with a value a line, a .npy or .npz array [N], a .json list, or a table, of which ``:column``
            names the column unless it has only one beside ``id``; ids are in ``id`` unless it names another.
        what: the values as errors name them.
        rows: number of samples; None does not check.
        lists: whether a value may be a list, such as the labels of a sample or a row of a .npy array [N, C].

    Raises:
        VlalignError: the file cannot be read, has no such column or another number of values.
    """
    path, key = split_key(text)
    if not path.is_file():
        raise VlalignError(f"{path}, the {what}, is no file")
    kind = path.suffix.lower()
    if kind in TABLES:
        schema = decode(path, lambda: _schema(path))
        names = list(schema.names)
        others = [name for name in names if name not in _index_columns(schema)]
        others = [name for name in others if name != _ID] if len(others) == 2 else others
        if what == "ids" and not key and _ID not in names and (ids := _index_ids(path, schema)) is not None:
            return ids
        key = key or (_ID if what == "ids" and _ID in names else others[0] if len(others) == 1 else "")
        if key not in names:
            raise VlalignError(f"{path}: name the column of {what} as {path.name}:COLUMN, one of {listed(names)}")
        values = _read_table(path, [key], strings=[key]).column(0).to_pylist()
    elif kind in (".npy", ".npz"):
        values = READERS[kind](path, key).tolist()
    elif kind == ".json":
        values = decode(path, lambda: json.loads(read_text(path, str(path))))
    else:
        values = read_text(path, str(path)).splitlines()
    if not isinstance(values, list) or any(isinstance(value, dict if lists else list | dict) for value in values):
        raise VlalignError(f"{path}: {what} must be one value a sample")
    if what != "ids":
        values = [_stripped(value) for value in values]
    if rows is not None and len(values) != rows:
        raise VlalignError(f"{path} holds {len(values)} {what} for {rows} samples: give one for each, in their order")
    return values


def _stripped(value: Any) -> Any:
    """Return a text, or the texts of a list, without spaces around it."""
    if isinstance(value, list):
        return [_stripped(entry) for entry in value]
    return value.strip() if isinstance(value, str) else value


def read_groups(
    groups: Any, id_column: str | None = None, what: str = "groups", lists: bool = False, has_ids: bool = True
) -> Any:
    """Return groups or labels of samples: of a column ``path:column`` by id, or by row where the file has no ids.

    Args:
        groups: ``path:column``; values by row are read of any file of :func:`read_values`, and all else but a file with
            columns is returned as it is.
        id_column: column of ids in the table (default: ``id``, or else the index of a pandas frame, if there is one),
            in any case where only one matches.
        what: the values as errors name them.
        lists: whether a value may be a list.
        has_ids: whether the features have ids: a table with further columns then needs a column of ids.

    Raises:
        VlalignError: the file has no such column, lacks the column of ids, or an id has two groups.
    """
    if not isinstance(groups, str):
        return groups
    path, column = split_key(groups)
    if what == "groups" and not column:
        return groups  # a file with columns id and group, or exact
    values = read_values(groups, what, lists=lists)
    if path.suffix.lower() not in TABLES:
        return values
    schema = decode(path, lambda: _schema(path))
    names = schema.names if len(schema.names) > 1 else []
    ids = next((name for wanted in (id_column, _ID) if (name := _find_column(wanted, names, column))), None)
    if ids is None and (index := _index_ids(path, schema)) is not None:
        return _by_id(groups, index, values, what)
    if len([name for name in names if name == column or name not in _index_columns(schema)]) < 2:
        return values
    if ids is None and (id_column is not None or has_ids):
        raise VlalignError(
            f"{path} has no column {quoted(id_column or _ID)} that pairs its {what} by id: rename its column of "
            "ids, name it with --id-column, or give a file of one column, with a value for each row of the embeddings"
        )
    if ids is None:
        return values
    return _by_id(groups, read_values(f"{path}:{ids}", "ids"), values, what)


def _by_id(groups: str, ids: Sequence[Any], values: Sequence[Any], what: str) -> dict[str, Any]:
    if len(ids) != len(values):
        raise VlalignError(f"{groups}: the index names {len(ids)} rows of {len(values)}: write the file again")
    by_id: dict[str, Any] = {}
    for name, value in zip(ids, values, strict=True):
        if by_id.setdefault(str(name), value) != value:
            raise VlalignError(f"{groups}: the id {quoted(name)} has two {what}, {by_id[str(name)]} and {value}")
    return by_id


def _find_column(wanted: str | None, names: Sequence[str], other: str) -> str | None:
    """Return the column ``wanted``, else the only one but ``other`` whose name differs from it in case alone."""
    if wanted is None or wanted in names:
        return wanted
    alike = [name for name in names if name.lower() == wanted.lower() and name != other]
    return alike[0] if len(alike) == 1 else None


def read_hub_embeddings(
    repo: str,
    columns: Sequence[str],
    id_column: str | None = None,
    *,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
) -> Embeddings:
    """Read columns of vectors of a data set of the Hub, or of a folder of one, each as a layer.

    Args:
        repo: data set of the Hub, or a folder.
        columns: of vectors.
        id_column: column of sample ids (default: ``id``, where there is one).
        config: configuration of the data set.
        split: split of the data set.
        revision: branch, tag or commit.

    Raises:
        VlalignError: as :func:`vlalign.data.open.open_source`, or a column is missing.
    """
    from vlalign.data.open import open_source
    from vlalign.data.spec import DataSpec

    source = open_source(DataSpec(repo, config=config, split=split, revision=revision))
    names = source.dataset.column_names
    id_column = id_column or next((name for name in (_ID, *INDEX_COLUMNS) if name in names), None)
    for name in [*columns, *([id_column] if id_column else [])]:
        if name not in names:
            raise VlalignError(f"{source.where} has no column {quoted(name)}: it has {listed(names)}")
    features = {name: source.dataset[name] for name in columns}
    ids = None if id_column is None else [str(value) for value in source.dataset[id_column]]
    data = {"name": source.name, "revision": source.revision, "config": config, "split": split}
    return Embeddings(features, repo, f"{source.where}, column {', '.join(columns)}", ids, data)


def _from_table(
    path: Path, key: str, id_column: str | None, source: str
) -> tuple[pa.Table | np.ndarray, list[str] | None]:
    """Return the columns of embeddings of a table, and the ids."""
    schema = decode(path, lambda: _schema(path))
    names = list(schema.names)
    if id_column is not None and id_column not in names:
        raise VlalignError(f"{path} has no column {quoted(id_column)} for the ids: it has {listed(names)}")
    id_column = id_column or (_ID if _ID in names else None)
    no_features = {id_column, *_index_columns(schema)}
    kinds = {name: _kind(schema.field(name).type) for name in names if name not in no_features}
    if key:
        chosen = [key] if key in kinds else fnmatch.filter(list(kinds), key)
        if not chosen:
            raise VlalignError(f"{path} has no column {quoted(key)}{did_you_mean(key, names)}: it has {listed(names)}")
    elif len(vectors := [name for name, kind in kinds.items() if kind == "vector"]) == 1:
        chosen = vectors
    elif vectors:
        raise VlalignError(f"{path} holds {len(vectors)} columns of vectors: name one, {listed(vectors)}")
    else:
        chosen = [name for name, kind in kinds.items() if kind == "fraction"]
        others = [name for name, kind in kinds.items() if kind != "fraction"]
        if not chosen or others:
            raise VlalignError(
                f"{path}: name the columns of the embedding as {path.name}:PATTERN (such as {path.name}:e*), since "
                f"{listed(others or names)} may not belong to it"
            )
    if wrong := [name for name in chosen if kinds[name] == "other"]:
        raise VlalignError(f"{source}: column {quoted(wrong[0])} holds {schema.field(wrong[0]).type}, not numbers")
    ids = None if id_column else _index_ids(path, schema)
    streamed = path.suffix.lower() == ".parquet" and len(chosen) == 1 and _holds_fractions(schema.field(chosen[0]).type)
    read = [*([] if streamed else chosen), *([id_column] if id_column else [])]
    table = decode(path, lambda: _read_table(path, read, [id_column] if id_column else []))
    if id_column is not None:
        values = table.column(id_column).to_pylist()
        if None in values:
            raise VlalignError(f"{path}: row {values.index(None)} (from 0) has no id in column {quoted(id_column)}")
        ids = [str(value) for value in values]
    if streamed:
        return decode(path, lambda: _read_vectors(path, chosen[0])), ids
    return table.select(chosen), ids


def _read_vectors(path: Path, name: str) -> np.ndarray | pa.Table:
    """Return a column of vectors of a parquet file as an array, mapped from a temporary file that it is unpacked to.

    A column that is not of one kind and length is returned as a table, whose conversion names the row.

    Raises:
        VlalignError: the temporary file does not fit on the disk.
    """
    import numpy as np
    import pyarrow.parquet as pq

    from vlalign.arrays import as_tensor

    first: np.ndarray | None = None
    with pq.ParquetFile(path, memory_map=True) as file, tempfile.TemporaryFile() as unpacked:
        n = file.metadata.num_rows
        for batch in file.iter_batches(_BATCH_ROWS, columns=[name]):
            try:
                part = as_tensor(batch.column(0), name).numpy()
            except VlalignError:
                return _read_table(path, [name])
            if first is None:
                first = part
                check_space(Path(tempfile.gettempdir()), n * (part.nbytes // len(part)))
            if (part.dtype, part.shape[1:]) != (first.dtype, first.shape[1:]):
                return _read_table(path, [name])
            part.tofile(unpacked)
        if first is None or not first.size:
            return _read_table(path, [name])
        return np.memmap(unpacked, first.dtype, "r", shape=(n, *first.shape[1:]))


def _holds_fractions(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds vectors of floating numbers."""
    import pyarrow as pa

    if _kind(kind) != "vector":
        return False
    while not pa.types.is_floating(kind) and hasattr(kind, "value_type"):
        kind = kind.value_type
    return bool(pa.types.is_floating(kind))


def _kind(kind: pa.DataType) -> str:
    import pyarrow as pa

    kind = kind.storage_type if isinstance(kind, pa.ExtensionType) else kind
    if pa.types.is_floating(kind):
        return "fraction"
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return "whole number"
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return "other"
    return "other" if _kind(kind.value_type) == "other" else "vector"


def _index_columns(schema: pa.Schema) -> list[str]:
    """Return the names of a table's columns that hold the index of a pandas frame, none of which is ``id``."""
    return [name for name in dict.fromkeys(index_columns(schema)) if name in schema.names and name != _ID]


def _index_ids(path: Path, schema: pa.Schema) -> list[str] | None:
    """Return the ids in the index of a pandas frame that a table holds; None without one, and for row numbers.

    Raises:
        VlalignError: an index of several columns.
    """
    names = _index_columns(schema)
    columns = decode(path, lambda: _read_table(path, names, names)).columns if names else []
    indexes = [[str(one) for one in column.to_pylist()] for column in columns]
    for one in (schema.pandas_metadata or {}).get("index_columns", ()):
        if isinstance(one, dict):  # a range is no column
            indexes.append([str(i) for i in range(one["start"], one["stop"], one["step"])])
    indexes = [ids for ids in indexes if ids != [str(i) for i in range(len(ids))]]
    if len(indexes) > 1:
        raise VlalignError(f"{path} has an index of {len(indexes)} columns: name the column of ids (--id-column)")
    return indexes[0] if indexes else None


def _schema(path: Path) -> pa.Schema:
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        schema = pq.read_schema(path)
    else:
        schema = _read_table(path, None, []).schema
    if len(set(schema.names)) < len(schema.names):
        raise VlalignError(
            f"{path} has several columns {quoted(max(schema.names, key=schema.names.count))}: rename them"
        )
    return schema


def _read_table(path: Path, columns: Sequence[str] | None, strings: Sequence[str] = ()) -> pa.Table:
    """Return columns of a table (None: all); ``strings`` are read as text where the format does not give a type."""
    import pyarrow as pa

    kind = path.suffix.lower()
    names = None if columns is None else list(columns)
    if kind == ".parquet":
        import pyarrow.parquet as pq

        return pq.read_table(path, columns=names, memory_map=True)
    if kind in (".csv", ".tsv"):
        from pyarrow import csv

        text_columns = {name: pa.string() for name in strings}
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(autogenerate_column_names=_lacks_header(path)),
            parse_options=csv.ParseOptions(delimiter="," if kind == ".csv" else "\t"),
            convert_options=csv.ConvertOptions(column_types=text_columns),
        )
    elif kind in (".jsonl", ".ndjson"):
        from pyarrow import json as lines

        table = lines.read_json(path)
    else:
        with pa.memory_map(str(path)) as file:
            try:
                table = pa.ipc.open_file(file).read_all()
            except pa.ArrowInvalid:  # a stream, as datasets writes it
                file.seek(0)
                table = pa.ipc.open_stream(file).read_all()
    return table if names is None else table.select(names)


def _lacks_header(path: Path) -> bool:
    """Return whether the first line of a CSV or TSV file is a sample rather than names.

    Numbers are names only as those of a pandas frame of an array, 0, 1, 2 … above any rows, or of four or more chosen
    columns of one: whole numbers, ascending, above a row of fractions.

    Raises:
        VlalignError: different whole numbers above fractions that may be either.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        lines = [file.readline().strip().split("," if path.suffix.lower() == ".csv" else "\t") for _ in range(2)]
    first, second = ([value.strip().strip('"') for value in line] for line in lines)
    try:
        [float(value) for value in first]
    except ValueError:
        return False
    if first == [str(i) for i in range(len(first))]:
        return False
    if not all(map(str.isdecimal, first)) or len(set(first)) < len(first) or all(map(_is_whole, second)):
        return True
    if len(first) > 3 and sorted(first, key=int) == first and not any(map(_is_whole, second)):
        return False
    raise VlalignError(
        f"{path}: the first line, {short_line(', '.join(first))}, may be names or a sample: name columns by words "
        "(such as e0), or write numbers of samples with a decimal point"
    )


def _is_whole(value: str) -> bool:
    return value.lstrip("+-").isdigit()
