"""CSV and TSV: delimiters, quotation marks, line ends; every value stays text."""

from __future__ import annotations

import csv

import pytest

from vlalign.data.delimited import parse_delimited
from vlalign.errors import VlalignError


def read(text: str, delimiter: str = ",") -> dict[str, list[str]]:
    return parse_delimited(text, "d.csv", delimiter)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("usual", [",", "\t"])
def test_delimiters(delimiter: str, usual: str) -> None:
    text = "\n".join(delimiter.join(row) for row in (("id", "text"), ("007", "ein Hund"), ("1", "NA")))
    assert read(text, usual) == {"id": ["007", "1"], "text": ["ein Hund", "NA"]}


def test_the_usual_delimiter_wins_where_the_header_holds_it() -> None:
    assert read("id,a;b\n1,x;y\n") == {"id": ["1"], "a;b": ["x;y"]}
    assert read("id;text\n1;eins, zwei\n2;drei\n") == {"id": ["1", "2"], "text": ["eins, zwei", "drei"]}
    assert read("text\na; b\nc | d\n") == {"text": ["a; b", "c | d"]}  # one column: no delimiter at all


def test_delimiters_within_headers_and_values() -> None:
    assert read("id;text, english\n1;ein Hund\n") == {"id": ["1"], "text, english": ["ein Hund"]}
    assert read("id;text, english\n1;ein, Hund\n") == {"id": ["1"], "text, english": ["ein, Hund"]}
    assert read("a;b, c\n1;x\n2;y, z\n") == {"a": ["1", "2"], "b, c": ["x", "y, z"]}
    assert read("id,text;note\n1,x;y\n") == {"id": ["1"], "text;note": ["x;y"]}
    assert read('"id";"text"\n"1";"a; b"\n') == {"id": ["1"], "text": ["a; b"]}


def test_the_delimiter_that_spreadsheets_declare() -> None:
    for line in ("sep=;", '"sep=;"'):
        assert read(line + "\r\nid;text\r\n1;a, b\r\n") == {"id": ["1"], "text": ["a, b"]}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(end: str) -> None:
    text = end.join(["id,text", "1,a", "", "2,b", "  ", "3,", ""])
    assert read(text) == {"id": ["1", "2", "3"], "text": ["a", "b", ""]}


@pytest.mark.parametrize("delimiter", [":", "^", "\x01"])
def test_other_delimiters_are_refused(delimiter: str) -> None:
    with pytest.raises(VlalignError, match=r"^d\.csv: the header '.*' is one column: put one of comma, semicolon, tab"):
        parse_delimited(f"id{delimiter}text\n1{delimiter}a\n", "d.csv")
    assert parse_delimited("image caption\na dog\n", "d.csv") == {"image caption": ["a dog"]}


def test_short_rows_and_repeated_names() -> None:
    assert read(",text,text\n1,a,b\n2\n") == {"Unnamed: 0": ["1", "2"], "text": ["a", ""], "text.1": ["b", ""]}


def test_a_lone_quotation_mark_between_other_columns() -> None:
    text = 'id,text,n\n1,"a red bus,5\n2,a dog,6\n3,a cat",7\n'
    assert read(text) == {"id": ["1", "2", "3"], "text": ['"a red bus', "a dog", 'a cat"'], "n": ["5", "6", "7"]}


def test_properly_quoted_values() -> None:
    text = 'id,text\n1,"say ""x"", y"\n2,"two\nlines, with a comma"\n3,"one\n\ntwo"\n'
    assert read(text)["text"] == ['say "x", y', "two\nlines, with a comma", "one\n\ntwo"]
    assert read('text\n"a red\nbus"\n')["text"] == ["a red\nbus"]
    prose = "A bus, red.\nA dog, asleep,\nand a cat"
    assert read(f'id,text\n1,"{prose}"\n2,b\n')["text"] == [prose, "b"]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize(
    "captions",
    [
        ['"a red bus', "a dog", 'a cat"', "end"],  # opens in one row, closes in another
        ['"a red bus', 'a cat"', "end"],
        ['"a red bus', "a dog", "end"],  # never closes
        ['"Hello" he said', "a dog"],
        ['a 5" nail', '"x', "y"],
    ],
)
def test_lone_quotation_marks_are_characters(captions: list[str], delimiter: str) -> None:
    rows = [["id", "text"], *([str(place), text] for place, text in enumerate(captions))]
    text = "".join(delimiter.join(row) + "\n" for row in rows)
    assert read(text, delimiter)["text"] == captions


@pytest.mark.parametrize(
    "text",
    [
        'id,text\n1,"a red bus\n2,"a ""dog"""\n3,a cat"\n',  # some values are properly quoted
        'id,text\n1,"a red bus, parked\n2,a dog\n3,a cat"\n',
        'id,text\n1,"Hello" he said, twice\n2,b\n',
        'id,text\n1,"He said \\"hi\\""\n',
    ],
)
def test_quotation_marks_of_unclear_meaning(text: str) -> None:
    with pytest.raises(
        VlalignError, match=r'd.csv.* line 2 .*put quotes \("…"\) around values that hold one'
    ) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_too_many_values() -> None:
    with pytest.raises(VlalignError, match=r"line 3 has 3 values, the header 2: put quotes .* that hold a semicolon"):
        read("id;text\n1;a\n2;b;c\n")


def test_values_of_any_length() -> None:
    before = csv.field_size_limit()
    assert read(f"id,text\n1,{'word ' * 40_000}\n")["text"] == ["word " * 40_000]
    assert read(f"id,{'x' * 200_000}\n1,a\n")["x" * 200_000] == ["a"]
    assert csv.field_size_limit() == before


def test_text_of_two_bytes_a_character_without_its_mark() -> None:
    with pytest.raises(VlalignError, match="is no text, or UTF-16 without its mark"):
        read("id,text\n1,a\n".encode("utf-16-le").decode())
