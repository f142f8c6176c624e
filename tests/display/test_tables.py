"""CSV files: no cell is a formula, no text leaves its line, numbers stay numbers."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlalign.display.tables import csv_text, safe_cell, write_csv


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1-1", "'+1-1"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ('"=1', "'\"=1"),
        ("＝1+1", "'＝1+1"),
        ("＠a", "'＠a"),
        ("\t=1", "\\t=1"),
        ("a\r=1+1", "a\\r=1+1"),
        ("a\n=1+1", "a\\n=1+1"),
        ("a\u2028=1", "a\\u2028=1"),
        ("a;=1", "a;'=1"),
        ("a| @b", "a|' @b"),
        ("a=1, b+c, d@e", "a=1, b+c, d@e"),
        ("mutual_knn:k=10", "mutual_knn:k=10"),
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        ("", ""),
    ],
)
def test_texts(text: str, cell: str) -> None:
    assert safe_cell(text) == cell


def test_numbers_and_gaps_stay(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"x": [-0.5, 0.1], "n": [-1, 2], "mixed": [-0.1, None], "text": ["=a", None], "=b": ["é", "-1"]}
    )
    path = write_csv(tmp_path / "new" / "table.csv", table)
    assert path.read_text(encoding="utf-8") == "x,n,mixed,text,'=b\n-0.5,-1,-0.1,'=a,é\n0.1,2,,,-1\n"
    assert csv_text(pd.DataFrame({"x": [-1 / 3], "m": ["+x"]}), "%.2f") == "x,m\n-0.33,'+x\n"
    assert csv_text(pd.DataFrame([[1 / 3, 1, None, True]], columns=list("abcd"), dtype=object)).endswith(
        "0.3333333333333333,1,,True\n"
    )


@given(st.lists(st.text(st.sampled_from("=+-@\r\n\t\"' ,;|a＝\x1b\ud800")), min_size=1, max_size=4))
def test_no_line_begins_with_a_formula(texts: list[str]) -> None:
    written = csv_text(pd.DataFrame([["a", *texts]], dtype=object))
    for line in re.split(r"[\r\n]+", written.split("\n", 1)[1]):
        assert line.lstrip("\" '\t")[:1] not in ("=", "@") or line.lstrip('" \t')[:1] == "'"
    rows = list(csv.reader(io.StringIO(written)))
    assert len(rows) == 2
    assert len(rows[1]) == len(texts) + 1
    for cell in rows[1]:
        number = re.fullmatch(r"[-+]\d+", cell)
        assert number or not re.match(r"\s*[=+\-@＝]", cell)
