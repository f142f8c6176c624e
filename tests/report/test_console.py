"""The console: names are shown whole, as text, and nothing in them reaches the terminal."""

from __future__ import annotations

import io

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vlalign.report.console import FittedTable, SafeConsole, console

NAME = "m[ft][/red]:smile: \x1b]0;owned\x07\x1b[2J\u202e\udcff"
SHOWN = r"m[ft][/red]:smile: \x1b]0;owned\x07\x1b[2J\u202e\udcff"


def test_names_in_every_place(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title=NAME, caption=NAME)
    table.add_column(NAME, footer=NAME)
    table.add_row(NAME)
    table.add_row(Text(NAME, style="red"))
    for one in (NAME, Text(NAME), table, Panel(NAME, title=Text(NAME))):
        console().print(one)
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\x07" not in said
    assert said.count(r"\x1b]0;owned") == 9
    assert said.count(SHOWN) >= 6  # rich itself drops the bell of what is text with a style
    said.encode("utf-8")


def test_columns_stay_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table()
    table.add_column("a")
    table.add_row(NAME)
    table.add_row("b")
    console().print(table)
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines if line}) == 1


def test_styles_are_kept_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    console().print(Text("a\x1b[2J", style="bold"))
    assert capsys.readouterr().out == "\x1b[1ma\\x1b[2J\x1b[0m\n"


def fitted(width: int) -> list[str]:
    """Return the lines of a table of two long names, a number with its range, and a count."""
    columns = ("model", "reference", "value", "range", "count")
    row = ["vit_small_patch14_reg4_dinov2.lvd142m", "open-llama-3b-v2-easylm", "0.25", "0.1 – 0.4", "1,024"]
    stacks = (("model", "reference"), ("value", "range"))
    table = FittedTable(columns, [row], left=["reference"], stacks=stacks, omit=("count", "range"))
    output = SafeConsole(file=io.StringIO(), width=width)
    output.print(table)
    assert isinstance(output.file, io.StringIO)
    lines = [line.rstrip() for line in output.file.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    return [line.strip() for line in lines if line and "──" not in line]


def test_a_table_stacks_and_then_leaves_out_columns_until_it_fits() -> None:
    model, reference = "vit_small_patch14_reg4_dinov2.lvd142m", "open-llama-3b-v2-easylm"
    assert [line.split() for line in fitted(120)] == [
        ["model", "reference", "value", "range", "count"],
        [model, reference, "0.25", "0.1", "–", "0.4", "1,024"],
    ]
    assert [line.split() for line in fitted(80)[-2:]] == [
        [model, "0.25", "0.1", "–", "0.4", "1,024"],
        [reference],
    ]
    assert [line.split() for line in fitted(62)[-2:]] == [[model, "0.25", "1,024"], [reference, "0.1", "–", "0.4"]]
    assert fitted(55)[-1] == "left out for the width: count"
    assert fitted(48)[-1] == "left out for the width: count, range"
    assert sum("0.25" in line for line in fitted(36)) == 1  # names fold at last
