"""Texts from outside: what a terminal would obey is shown as an escape code, all else stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlalign.display import html_text, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("llama[ft] [/red]x", "llama[ft] [/red]x"),
        ("\x1b]0;owned\x07\x1b[2J", r"\x1b]0;owned\x07\x1b[2J"),
        ("a\x9b31m\x7f\x00", r"a\x9b31m\x7f\x00"),
        ("a\r\n\tb", r"a\r\n\tb"),
        ("a\u202eb\u2066c\u200bd\ufeffe", r"a\u202eb\u2066c\u200bd\ufeffe"),
        ("a\u2028b\u2029c\x85d", r"a\u2028b\u2029c\x85d"),
        ("a\udcffb\ud800", r"a\udcffb\ud800"),
        ("x\U000e0041", r"x\U000e0041"),
        ("\U0001f469\u200d\U0001f680 می\u200cخواهم naïve 日本", "\U0001f469\u200d\U0001f680 می\u200cخواهم naïve 日本"),
    ],
)
def test_what_acts_on_a_terminal_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(st.characters()))
def test_every_text_can_be_printed_on_one_line(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    assert shown.encode().decode() == shown
    assert len(shown.splitlines()) <= 1
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in shown)


def test_lines_stay_where_they_are_wanted() -> None:
    assert visible("a\n\tb\r\x0b", lines=True) == "a\n\tb\\r\\x0b"


def test_long_texts_lose_their_middle() -> None:
    assert visible("x" * 9, most=9) == "x" * 9
    assert visible("abcdefghij", most=9) == "abcd…ghij"
    assert len(visible("\x1b" * 99, most=40)) == 40


def test_html() -> None:
    assert html_text('<a title="\x1b">') == "&lt;a title=&quot;\\x1b&quot;&gt;"
    assert html_text('"&', quote=False) == '"&amp;'
