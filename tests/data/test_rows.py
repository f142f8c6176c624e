"""JSON: lines, lists, objects of columns or rows, and what is none of these."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vlalign.data.rows import parse_rows
from vlalign.errors import VlalignError

ROWS = [{"id": "a", "text": "one"}, {"id": "b", "text": "two"}, {"id": "c", "text": "three"}]
COLUMNS = {"id": ["a", "b", "c"], "text": ["one", "two", "three"]}
FORMS: dict[str, Any] = {
    "a list of rows": ROWS,
    "an object of columns": COLUMNS,
    "columns with row numbers": {
        name: {str(place): value for place, value in enumerate(values)} for name, values in COLUMNS.items()
    },
    "rows by id": {row["id"]: {"text": row["text"]} for row in ROWS},
    "rows under a name": {"version": "1.0", "data": ROWS},
    "split": {"columns": ["id", "text"], "index": [0, 1, 2], "data": [list(row.values()) for row in ROWS]},
    "columns under a name": {"data": COLUMNS},
    "table": {"schema": {"fields": []}, "data": ROWS},
}


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str, indent: int | None, lines: bool) -> None:
    assert parse_rows(json.dumps(FORMS[form], indent=indent), "d.json", lines=lines) == COLUMNS


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n"])
def test_lines(end: str, lines: bool) -> None:
    assert parse_rows(end.join(map(json.dumps, ROWS)) + end, "d", lines=lines) == COLUMNS


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("between", ["", " ", "\n", "\r\n\r\n"])
@pytest.mark.parametrize("indent", [None, 1])
def test_objects_that_follow_each_other(indent: int | None, between: str, lines: bool) -> None:
    text = between.join(json.dumps(row, indent=indent) for row in ROWS)
    assert parse_rows(text, "d", lines=lines) == COLUMNS
    with pytest.raises(
        VlalignError, match=r"^d: line \d+ is no JSON: Expecting value|^d: line \d+ is no JSON: Extra data"
    ):
        parse_rows(text + "\nnonsense", "d", lines=lines)


def test_lists_of_strings_and_of_captions() -> None:
    assert parse_rows('["one", "two"]', "d", lines=False) == {"text": ["one", "two"]}
    assert parse_rows('[["one", "1"], ["two"]]', "d", lines=False) == {"text": [["one", "1"], ["two"]]}


def test_one_row() -> None:
    for row in ({"id": "a", "text": "one"}, {"id": "a", "captions": ["one", "two"]}, {"n": 1}):
        for lines in (True, False):
            assert parse_rows(json.dumps(row), "d", lines=lines) == {name: [value] for name, value in row.items()}
    assert parse_rows('{"captions": ["one", "two"]}', "d", lines=True) == {"captions": [["one", "two"]]}


def test_values_that_are_missing() -> None:
    text = '{"id": 1, "text": NaN}\n{"text": "b", "more": null}\n{"id": 3, "x": Infinity}\n'
    assert parse_rows(text, "d", lines=True) == {
        "id": [1, None, 3],
        "text": [None, "b", None],
        "more": [None, None, None],
        "x": [None, None, None],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": "1", "text": ' + "[" * 20000 + "]" * 20000 + "}", "line 1 is nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 50_000, "nested too deeply"),
        ('{"id": 1, "text": ' + "[" * 60 + "]" * 60 + '}\n{"id": 2}', "'text' of row 0 is nested too deeply"),
        ('{"id": 1}\n{"id": 2\n', r"line 2 is no JSON: Expecting"),
        ("{nonsense", "is no JSON"),
        ('[{"id": 1}, 3]', "row 1 is 3: expected an object"),
        ('{"id": ["a", "b"], "text": ["one"]}', "columns of different lengths: 'id' 2, 'text' 1"),
        ('{"id": ["a", "b"], "text": "one"}', "mixes lists and single values"),
        ('{"train": {"id": ["a", "b"]}, "test": {"id": ["c"]}}', "an object with several tables"),
        ('{"images": [{"id": 1}], "annotations": [{"id": 2}]}', r"several lists of rows \('images', 'annotations'\)"),
        ('{"id": ' + "9" * 5000 + "}", "holds a value that cannot be read"),
        ("3", "d.json is 3: expected rows"),
    ],
)
def test_what_is_no_table(text: str, message: str) -> None:
    with pytest.raises(VlalignError, match=message) as caught:
        parse_rows(text, "d.json", lines=False)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
