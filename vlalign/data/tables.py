"""Tables of text: CSV, TSV, JSON and JSON lines files, compressed or not."""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.data.delimited import parse_delimited
from vlalign.data.rows import parse_rows
from vlalign.display import quoted
from vlalign.errors import VlalignError, short_line

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

DELIMITER = {".csv": ",", ".tsv": "\t"}
KINDS = (*DELIMITER, ".json", ".jsonl", ".ndjson")
UNPACK: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
PACKED = {b"PK\x03\x04": "a zip archive", b"7z\xbc\xaf": "a 7z archive", b"Rar!": "a rar archive"}
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
ENCODINGS = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
UNPACKED_FREE, UNPACKED_TIMES, UNPACKED_MOST = 64 << 20, 50, 4 << 30  # bytes a packed text may have unpacked


def kind_of(name: str) -> str:
    """Return the ending that states a file's kind, in lower case: of ``a.jsonl.gz`` the ending before ``.gz``."""
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in (".gz", ".bz2", ".xz", ".zst") else path.suffix


def read_columns(path: Path, where: str, delimiter: str | None = None, kind: str = "") -> dict[str, list[Any]]:
    """Return the columns of a CSV, TSV, JSON, JSON lines or parquet file by name, without rows for an empty one.

    where: the file as errors name it. delimiter: of a CSV file that declares it; None detects it.
    kind: the ending that states the file's kind; "" takes the path's.

    Raises:
        VlalignError: the file cannot be read, is no text or no such table, or unpacks to far more than it holds.
    """
    kind = kind or kind_of(path.name)
    try:
        if kind == ".parquet":
            import pyarrow.parquet as pq

            return dict(pq.ParquetFile(path).read().to_pydict())
        text = read_text(path, where)
        if not text or text.isspace():
            return {}
        if kind in DELIMITER:
            return dict(parse_delimited(text, where, delimiter or DELIMITER[kind], fixed=delimiter is not None))
        return parse_rows(text, where, lines=kind != ".json")
    except MemoryError:
        raise VlalignError(f"{where} is too large for the memory at hand: split it, or write it as parquet") from None


def read_text(path: Path, where: str) -> str:
    """Return the text of a file: UTF-8, or by its byte order mark; gzip, bzip2, xz and zstd are unpacked.

    Raises:
        VlalignError: see `read_columns`.
    """
    try:
        if not path.is_file():
            raise VlalignError(f"{where} is no ordinary file")
        with path.open("rb") as file:
            start = file.read(6)
        content = _content(path, where, start)
    except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
        raise VlalignError(f"cannot read {where}: {short_line(error)}") from error
    if content.startswith(LFS_POINTER):
        raise VlalignError(f"{where} is a pointer of Git LFS, not the data: fetch them with `git lfs pull`")
    encoding = next((name for mark, name in ENCODINGS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise VlalignError(
            f"{where} is not {encoding.removesuffix('-sig').upper()}: line {line} holds the byte "
            f"0x{content[error.start]:02x}; save it as UTF-8"
        ) from None


def _content(path: Path, where: str, start: bytes) -> bytes:
    import pyarrow as pa

    for mark, name in PACKED.items():
        if start.startswith(mark):
            raise VlalignError(f"{where} is {name}, not text: unpack it first")
    opener = next((opener for mark, opener in UNPACK.items() if start.startswith(mark)), None)
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        opener = lambda name: pa.CompressedInputStream(str(name), "zstd")  # noqa: E731
    if opener is None:
        return path.read_bytes()
    most = min(max(UNPACKED_FREE, UNPACKED_TIMES * path.stat().st_size), UNPACKED_MOST)
    parts, size = [], 0
    with opener(path) as file:
        while part := file.read(1 << 20):
            parts.append(part)
            size += len(part)
            if size > most:
                raise VlalignError(
                    f"{where} unpacks to more than {most >> 20} MiB, {most // path.stat().st_size} times its size: "
                    "unpack it first if that is right"
                )
    return b"".join(parts)


def append(columns: dict[str, list[Any]], more: Mapping[str, list[Any]]) -> None:
    """Add rows to columns in place; None where either side lacks a column.

    >>> columns = {"a": [1]}
    >>> append(columns, {"b": [2, 3]})
    >>> columns
    {'a': [1, None, None], 'b': [None, 2, 3]}
    """
    before, added = (len(next(iter(rows.values()), [])) for rows in (columns, more))
    for name in [*columns, *(name for name in more if name not in columns)]:
        columns.setdefault(name, [None] * before).extend(more.get(name, [None] * added))


def as_dataset(columns: dict[str, list[Any]], where: str) -> Dataset:
    """Return columns as a data set in memory; a column of several types becomes text.

    Raises:
        VlalignError: text that is no Unicode, or columns of one name and several lengths.
    """
    import pyarrow as pa
    from datasets import Dataset

    try:
        return Dataset(pa.table({name: _array(values) for name, values in columns.items()}))
    except UnicodeEncodeError as error:
        raise VlalignError(
            f"{where} holds half of a surrogate pair, which is no text: {quoted(error.object)}"
        ) from None


def _array(values: list[Any]) -> pa.Array:
    import pyarrow as pa

    if any(isinstance(value, list) for value in values):
        values = [value if isinstance(value, list) or value is None else [value] for value in values]
    try:
        return pa.array(values)
    except UnicodeEncodeError:
        raise
    except (pa.ArrowException, TypeError, OverflowError, ValueError):  # numbers beside text, or beyond 64 bits
        texts = [_text(value) for value in values]
        if any(isinstance(value, dict) for value in values):  # JSON of objects is no text to be read by chance
            texts = [text.encode() if isinstance(text, str) else None for text in texts]
        return pa.array(texts)


def _text(value: Any) -> Any:
    """Return a value as text: that of each entry of a list, None as it is."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and not any(isinstance(entry, list | dict) for entry in value):
        return [_text(entry) for entry in value]
    return json.dumps(value) if isinstance(value, list | dict) else str(value)
