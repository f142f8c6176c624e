"""Rows of JSON files: objects that follow each other, a list of objects, or an object of columns or of rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from vlalign.display import quoted
from vlalign.errors import VlalignError, short_line

DEPTH = 32  # levels of lists and objects within a value
_DECODER = json.JSONDecoder(parse_constant=lambda _: None)


def parse_rows(text: str, where: str, *, lines: bool) -> dict[str, list[Any]]:
    """Return the columns of a JSON text by name, in order of first appearance; None where a row lacks a column.

    text: the file's content. where: the file as errors name it. lines: whether one object a line is expected, so that
    a single object is a row and not an object of columns. NaN and Infinity, which are no JSON, count as missing.

    Raises:
        VlalignError: no JSON, nested too deeply, or no rows in it.

    >>> parse_rows('{"id": ["a", "b"], "text": ["one", "two"]}', "d.json", lines=False)
    {'id': ['a', 'b'], 'text': ['one', 'two']}
    """
    lines_in = (match for match in re.finditer(r"[^\r\n]+", text) if match[0].strip())
    first = next(lines_in, None)
    if first is None:
        return {}
    try:
        row = _loads(first[0], f"{where}: line {_number(text, first)}")
    except json.JSONDecodeError:  # an object or a list over several lines
        row = None
    second = next(lines_in, None)
    if isinstance(row, dict) and second is not None:
        more = (_line(match, text, where) for match in chain([second], lines_in))
        with _readable(where):
            return _columns(chain([row], more), where)
    try:
        value = row if isinstance(row, dict) else _loads(text, where)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            return _columns(_objects(text, where), where)
        raise VlalignError(f"{where} is no JSON: {short_line(error, 120)}") from None
    if isinstance(value, dict):
        return _object(value, where, lines)
    if not isinstance(value, list):
        raise VlalignError(f"{where} is {quoted(value)}: expected rows, as a list or one object a line")
    return _columns(value, where)


def _number(text: str, match: re.Match[str]) -> int:
    """Return the number of a line, counted from 1."""
    return len(re.findall(r"\r\n|\r|\n", text[: match.start()])) + 1


def _line(match: re.Match[str], text: str, where: str) -> Any:
    try:
        return _DECODER.decode(match[0])
    except json.JSONDecodeError as error:
        raise VlalignError(f"{where}: line {_number(text, match)} is no JSON: {short_line(error, 120)}") from None


def _objects(text: str, where: str) -> Iterator[Any]:
    """Yield the objects of a text in which they follow each other, on one line or each over several."""
    end = 0
    while start := re.compile(r"\s*(?=\S)").match(text, end):
        try:
            with _readable(where):
                value, end = _DECODER.raw_decode(text, start.end())
        except json.JSONDecodeError as error:
            raise VlalignError(f"{where}: line {error.lineno} is no JSON: {short_line(error, 120)}") from None
        yield value


def _loads(text: str, where: str) -> Any:
    with _readable(where):
        return _DECODER.decode(text)


@contextmanager
def _readable(where: str) -> Iterator[None]:
    try:
        yield
    except RecursionError:
        raise VlalignError(f"{where} is nested too deeply to be rows of data") from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # a number with more digits than Python reads
        raise VlalignError(f"{where} holds a value that cannot be read: {short_line(error, 120)}") from None


def _object(value: dict[str, Any], where: str, lines: bool) -> dict[str, list[Any]]:
    """Return the columns of a single object: of columns, of rows by id, with the rows under one name, or one row."""
    inner = list(value.values())
    lists = {name: entry for name, entry in value.items() if isinstance(entry, list)}
    if set(value) >= {"columns", "data"} and len(lists) == len(value) <= 3:  # pandas' orient="split"
        return {str(name): list(cells) for name, *cells in zip(value["columns"], *value["data"], strict=True)}
    if lists and len(lists) == len(value) and (len(value) > 1 or not lines) and not _of_objects(inner[0]):
        if len({len(entry) for entry in inner}) > 1:
            if lines and "id" not in lists:
                return _columns([value], where)
            lengths = ", ".join(f"{quoted(name)} {len(entry):,}" for name, entry in list(lists.items())[:4])
            raise VlalignError(f"{where} is an object of columns of different lengths: {lengths}")
        return lists
    tables = [name for name, entry in lists.items() if _of_objects(entry)]
    if tables and "id" not in value:
        if len(tables) > 1:
            raise VlalignError(
                f"{where} is an object with several lists of rows ({', '.join(map(quoted, tables[:4]))}): "
                "write the one to read as a list, or as one object a line"
            )
        return _columns(value[tables[0]], where)
    if len(inner) == 1 and isinstance(inner[0], dict) and any(isinstance(e, list | dict) for e in inner[0].values()):
        return _object(inner[0], where, lines)  # columns under one name
    if inner and all(isinstance(entry, dict) for entry in inner):
        if any(isinstance(entry.get("id"), list) for entry in inner):
            names = ", ".join(map(quoted, list(value)[:4]))
            raise VlalignError(f"{where} is an object with several tables ({names}): write the one to read as rows")
        places = [str(place) for place in range(len(inner[0]))]
        if places and all(list(entry) == places for entry in inner):  # pandas' to_json: {column: {row: value}}
            return {name: list(entry.values()) for name, entry in value.items()}
        return _columns([{"id": name} | entry for name, entry in value.items()], where)
    if isinstance(value.get("id"), list):
        raise VlalignError(f"{where} mixes lists and single values: write a list of rows, or one object a line")
    return _columns([value], where)


def _of_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def _columns(rows: Iterable[Any], where: str) -> dict[str, list[Any]]:
    """Return rows by column; a row that is a string, or a list of them, is its text."""
    columns: dict[str, list[Any]] = {}
    for place, row in enumerate(rows):
        if isinstance(row, str | list):
            row = {"text": row}
        if not isinstance(row, dict):
            raise VlalignError(f"{where}: row {place} is {quoted(row)}: expected an object of names and values")
        for name, value in row.items():
            if isinstance(value, dict | list) and _deeper(value, DEPTH):
                raise VlalignError(f"{where}: {quoted(name)} of row {place} is nested too deeply to be data")
            column = columns.get(name)
            if column is None:
                column = columns[name] = [None] * place
            column.append(value)
        for column in columns.values():
            if len(column) <= place:
                column.append(None)
    return columns


def _deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 0 or _deeper(entry, levels - 1) for entry in inner)
