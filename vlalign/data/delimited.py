"""Tables of text with delimiters (CSV, TSV), every value kept as text.

Read by the standard library's csv module: unlike pandas and pyarrow it can be strict about quotation marks (pandas
joins rows at an unpaired one), and it converts nothing: "007" becomes no number and "NA" no missing value.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, zip_longest

from vlalign.display import quoted
from vlalign.errors import VlalignError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}

USUAL_NAMES = {"id", "text", "caption", "image", "file_name", "rate"}


def parse_delimited(text: str, where: str, delimiter: str = ",", *, fixed: bool = False) -> dict[str, list[str]]:
    """Return the columns of a CSV or TSV text by name, in the order of the header.

    text: the file's content. where: the file as errors name it. delimiter: that of the file's ending; unless it is
    fixed, another of ``,`` ``;`` tab and ``|`` is used if the header holds only that. Values that a short row lacks are
    empty; blank lines are left out.

    Raises:
        VlalignError: a row has more values than the header, or a quotation mark is not closed or opens within rows; the
            header holds several usual names with another delimiter between them.

    >>> parse_delimited('id;text\\n007;NA\\n', "d.csv")
    {'id': ['007'], 'text': ['NA']}
    """
    if declared := re.match(r'"?sep=(.)"?\r?\n', text):  # the first line that spreadsheets write
        text, delimiter, fixed = text[declared.end() :], declared[1], True
    with _fields_of_any_size(text):
        delimiter = delimiter if fixed else _delimiter(text, delimiter)
        rows, problem = _quoted_rows(text, where, delimiter)
        if problem:
            rows = _plain_rows(text, delimiter, problem)
    if not rows:
        return {}
    header = _header(rows[0][1])
    if len(header) == 1 and len(USUAL_NAMES & set(re.split(r"[^\w ]", header[0]))) > 1:
        raise VlalignError(
            f"{where}: the header {quoted(header[0])} is one column: put one of {', '.join(DELIMITERS.values())} "
            "between its names and between the values"
        )
    for line, row in rows:
        if len(row) > len(header):
            raise VlalignError(
                f"{where}: line {line} has {len(row)} values, the header {len(header)}: "
                f'put quotes ("…") around values that hold a {DELIMITERS.get(delimiter, delimiter)}'
            )
    columns = list(zip_longest(header, *(row for _, row in rows[1:]), fillvalue=""))
    return {name: list(values) for name, *values in columns}


def _delimiter(text: str, usual: str) -> str:
    """Return the delimiter of a text: the header holds it, rows have equal lengths by it, and names are usual ones."""

    def score(sign: str) -> tuple[bool, bool, int, bool]:
        rows = csv.reader(io.StringIO(text[: 1 << 20], newline=""), delimiter=sign)
        header = next(rows, [])
        even = all(len(row) in (0, len(header)) for row in islice(rows, 100))
        return len(header) > 1, even, sum(name in USUAL_NAMES for name in header), sign == usual

    return max(DELIMITERS, key=score)


def _quoted_rows(text: str, where: str, delimiter: str) -> tuple[list[tuple[int, list[str]]], str]:
    """Return (line, values) of every row, read with quotation marks, and the problem of the marks, if they have one."""
    rows: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            if reader.line_num > line and len(row) > 1 and _swallows_rows(row, delimiter):
                return rows, f"{where}: a quotation mark opens at line {line} and closes at line {reader.line_num}"
            if row and not (len(row) == 1 and row[0] and not row[0].strip()):
                rows.append((reader.line_num, row))
            line = reader.line_num + 1
    except csv.Error:
        return rows, f"{where}: line {line} holds a quotation mark within a value or one that never closes"
    return rows, ""


def _swallows_rows(row: list[str], delimiter: str) -> bool:
    """Return whether a value over several lines holds rows: each line has their delimiters, not as in prose."""
    sign = re.compile(re.escape(delimiter) + ("" if delimiter == "\t" else "(?! )"))
    for place, value in enumerate(row):
        lines = re.split(r"\r\n|\r|\n", value)
        counts = [len(sign.findall(line)) for line in lines]
        held = sum(counts)
        counts[0] += place
        counts[-1] += len(row) - 1 - place
        if len(lines) > 1 and held and set(counts) == {len(row) - 1}:
            return True
    return False


def _plain_rows(text: str, delimiter: str, problem: str) -> list[tuple[int, list[str]]]:
    """Return the rows of a text that uses quotation marks as plain characters; see `_quoted_rows`.

    Raises:
        VlalignError: problem, if the rows then differ in length or other values are properly quoted.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=csv.QUOTE_NONE)
    rows = [(reader.line_num, row) for row in reader if any(value.strip() for value in row)]
    marked = any(re.fullmatch(r'\s*".*"\s*', value, re.DOTALL) for _, row in rows for value in row)
    if marked or len({len(row) for _, row in rows}) > 1:
        raise VlalignError(f'{problem}: put quotes ("…") around values that hold one, and double it inside ("")')
    return rows


def _header(names: list[str]) -> list[str]:
    """Return the columns' names, made unique like in pandas: Unnamed: 0, text, text.1."""
    seen: Counter[str] = Counter()
    header = []
    for place, name in enumerate(names):
        name = name or f"Unnamed: {place}"
        header.append(f"{name}.{seen[name]}" if seen[name] else name)
        seen[name] += 1
    if "\0" in header[0]:
        raise VlalignError(f"the header begins with {quoted(header[0])}: this is no text, or UTF-16 without its mark")
    return header


@contextmanager
def _fields_of_any_size(text: str) -> Iterator[None]:
    """Lift the csv module's limit of 131,072 characters per value while reading."""
    before = csv.field_size_limit()
    csv.field_size_limit(max(len(text) + 1, before))
    try:
        yield
    finally:
        csv.field_size_limit(before)
