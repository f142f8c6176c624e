"""Embeddings that users already have: arrays, tensors and columns of tables in files, with the ids of their samples.

A file is named as ``path``, or ``path:key`` for one array or column of several.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.data.array_files import READERS, decode, listed, read_ids
from vlalign.data.arrow_tables import (
    ID,
    TABLES,
    columns_of_index,
    holds_fractions,
    ids_of_index,
    kind_of,
    read_table,
    read_vectors,
    schema_of,
)
from vlalign.display import quoted
from vlalign.errors import VlalignError, did_you_mean
from vlalign.paths import user_path
from vlalign.row_ids import INDEX_COLUMNS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ARRAYS = tuple(READERS)


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
    id_column = id_column or next((name for name in (ID, *INDEX_COLUMNS) if name in names), None)
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
    schema = decode(path, lambda: schema_of(path))
    names = list(schema.names)
    if id_column is not None and id_column not in names:
        raise VlalignError(f"{path} has no column {quoted(id_column)} for the ids: it has {listed(names)}")
    id_column = id_column or (ID if ID in names else None)
    no_features = {id_column, *columns_of_index(schema)}
    kinds = {name: kind_of(schema.field(name).type) for name in names if name not in no_features}
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
    ids = None if id_column else ids_of_index(path, schema)
    streamed = path.suffix.lower() == ".parquet" and len(chosen) == 1 and holds_fractions(schema.field(chosen[0]).type)
    read = [*([] if streamed else chosen), *([id_column] if id_column else [])]
    table = decode(path, lambda: read_table(path, read, [id_column] if id_column else []))
    if id_column is not None:
        values = table.column(id_column).to_pylist()
        if None in values:
            raise VlalignError(f"{path}: row {values.index(None)} (from 0) has no id in column {quoted(id_column)}")
        ids = [str(value) for value in values]
    if streamed:
        return decode(path, lambda: read_vectors(path, chosen[0])), ids
    return table.select(chosen), ids
