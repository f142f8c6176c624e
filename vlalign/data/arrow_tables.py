"""Arrow tables of files: .parquet, .arrow, .feather, .csv, .tsv and .jsonl, with the index of a pandas frame."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlalign.data.array_files import decode
from vlalign.display import quoted
from vlalign.errors import VlalignError, short_line
from vlalign.files import check_space
from vlalign.row_ids import index_columns

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

TABLES = (".parquet", ".arrow", ".feather", ".ipc", ".csv", ".tsv", ".jsonl", ".ndjson")
ID = "id"
_BATCH_ROWS = 16_384  # of a parquet file that are read together


def read_table(path: Path, columns: Sequence[str] | None, strings: Sequence[str] = ()) -> pa.Table:
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


def schema_of(path: Path) -> pa.Schema:
    """Return the names and types of a table's columns.

    Raises:
        VlalignError: two columns of one name.
    """
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        schema = pq.read_schema(path)
    else:
        schema = read_table(path, None, []).schema
    if len(set(schema.names)) < len(schema.names):
        raise VlalignError(
            f"{path} has several columns {quoted(max(schema.names, key=schema.names.count))}: rename them"
        )
    return schema


def read_vectors(path: Path, name: str) -> np.ndarray | pa.Table:
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
                return read_table(path, [name])
            if first is None:
                first = part
                check_space(Path(tempfile.gettempdir()), n * (part.nbytes // len(part)))
            if (part.dtype, part.shape[1:]) != (first.dtype, first.shape[1:]):
                return read_table(path, [name])
            part.tofile(unpacked)
        if first is None or not first.size:
            return read_table(path, [name])
        return np.memmap(unpacked, first.dtype, "r", shape=(n, *first.shape[1:]))


def holds_fractions(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds vectors of floating numbers."""
    import pyarrow as pa

    if kind_of(kind) != "vector":
        return False
    while not pa.types.is_floating(kind) and hasattr(kind, "value_type"):
        kind = kind.value_type
    return bool(pa.types.is_floating(kind))


def kind_of(kind: pa.DataType) -> str:
    """Return what values of a type are: fraction, whole number, vector or other."""
    import pyarrow as pa

    kind = kind.storage_type if isinstance(kind, pa.ExtensionType) else kind
    if pa.types.is_floating(kind):
        return "fraction"
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return "whole number"
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return "other"
    return "other" if kind_of(kind.value_type) == "other" else "vector"


def columns_of_index(schema: pa.Schema) -> list[str]:
    """Return the names of a table's columns that hold the index of a pandas frame, none of which is ``id``."""
    return [name for name in dict.fromkeys(index_columns(schema)) if name in schema.names and name != ID]


def ids_of_index(path: Path, schema: pa.Schema) -> list[str] | None:
    """Return the ids in the index of a pandas frame that a table holds; None without one, and for row numbers.

    Raises:
        VlalignError: an index of several columns.
    """
    names = columns_of_index(schema)
    columns = decode(path, lambda: read_table(path, names, names)).columns if names else []
    indexes = [[str(one) for one in column.to_pylist()] for column in columns]
    for one in (schema.pandas_metadata or {}).get("index_columns", ()):
        if isinstance(one, dict):  # a range is no column
            indexes.append([str(i) for i in range(one["start"], one["stop"], one["step"])])
    indexes = [ids for ids in indexes if ids != [str(i) for i in range(len(ids))]]
    if len(indexes) > 1:
        raise VlalignError(f"{path} has an index of {len(indexes)} columns: name the column of ids (--id-column)")
    return indexes[0] if indexes else None


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
