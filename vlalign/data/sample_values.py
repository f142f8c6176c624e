"""Values of samples in files, such as ids, labels and groups: by row, or by the ids in another column."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlalign.data.array_files import READERS, decode, listed
from vlalign.data.arrow_tables import ID, TABLES, columns_of_index, ids_of_index, read_table, schema_of
from vlalign.data.embeddings import split_key
from vlalign.data.tables import read_text
from vlalign.display import quoted
from vlalign.errors import VlalignError


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
        schema = decode(path, lambda: schema_of(path))
        names = list(schema.names)
        others = [name for name in names if name not in columns_of_index(schema)]
        others = [name for name in others if name != ID] if len(others) == 2 else others
        if what == "ids" and not key and ID not in names and (ids := ids_of_index(path, schema)) is not None:
            return ids
        key = key or (ID if what == "ids" and ID in names else others[0] if len(others) == 1 else "")
        if key not in names:
            raise VlalignError(f"{path}: name the column of {what} as {path.name}:COLUMN, one of {listed(names)}")
        values = read_table(path, [key], strings=[key]).column(0).to_pylist()
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
    schema = decode(path, lambda: schema_of(path))
    names = schema.names if len(schema.names) > 1 else []
    ids = next((name for wanted in (id_column, ID) if (name := _find_column(wanted, names, column))), None)
    if ids is None and (index := ids_of_index(path, schema)) is not None:
        return _by_id(groups, index, values, what)
    if len([name for name in names if name == column or name not in columns_of_index(schema)]) < 2:
        return values
    if ids is None and (id_column is not None or has_ids):
        raise VlalignError(
            f"{path} has no column {quoted(id_column or ID)} that pairs its {what} by id: rename its column of "
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
