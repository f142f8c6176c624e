"""Contact sheets and tables of perturbed data."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from support.perturb import small_set
from support.shown import colours

from vlalign.data import PairedData
from vlalign.errors import VlalignError
from vlalign.perturb import OPERATIONS, image_facts, parse_perturbation, perturb_data, text_facts
from vlalign.report.perturb import captions_table, facts_table, operations_table, save_sheet, wrap


def said(thing: object) -> str:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(thing)
    return console.export_text()


def versions(*rates: int, operations: tuple[str, ...] = ("char_delete", "pixel_noise")) -> dict[str, PairedData]:
    data = small_set()
    made = {"unedited": data}
    for rate in rates:
        steps = [parse_perturbation(name, rate=rate) for name in operations]
        made[f"{rate} %"] = perturb_data(data, steps, allow_empty=True)
    return made


@pytest.mark.parametrize(("rows", "rates"), [([0, 1, 2, 6, 7], (10, 90)), ([3], ()), ([2], tuple(range(0, 101, 10)))])
def test_sheets(rows: list[int], rates: tuple[int, ...], tmp_path: Path) -> None:
    """Japanese, Korean, emoji, dollar signs and empty captions; no warning is let out."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = save_sheet(versions(*rates), rows, tmp_path / "sheet.png", captions=True, title="a title " * 20)
    with Image.open(path) as image:
        assert colours(image) > 20
        width, height = image.size
    columns = 1 + len(rates)
    assert 250 * columns < width < 320 * columns
    assert 200 * len(rows) < height < 500 * len(rows) + 600


def test_captions_take_room_only_where_they_are_drawn(tmp_path: Path) -> None:
    heights = []
    for captions in (True, False):
        path = save_sheet(versions(10), [0, 1], tmp_path / f"{captions}.png", captions=captions)
        with Image.open(path) as image:
            heights.append(image.height)
    assert heights[0] > heights[1] + 50


def test_sheets_that_cannot_be_drawn(tmp_path: Path) -> None:
    made = versions(10)
    for path, rows, words in (
        (tmp_path / "sheet.txt", [0], "is drawn as .png"),
        (tmp_path / "no" / "sheet.png", [0], "does not exist"),
        (tmp_path / "sheet.png", [0] * 61, "up to 60 samples, not 61"),
    ):
        with pytest.raises(VlalignError, match=words):
            save_sheet(made, rows, path, captions=True)
    assert not list(tmp_path.iterdir())


def test_wrapping() -> None:
    assert wrap("") == []
    assert wrap("word " * 14) == ["word word word word word word"] * 2 + ["word word"]
    assert wrap("東" * 40) == ["東" * 15, "東" * 15, "東" * 10]  # wide characters count twice
    assert wrap("👩‍👩‍👧" * 10) == ["👩👩👧" * 5] * 2  # figures do not join them
    long = wrap("word " * 400)
    assert len(long) == 9
    assert long[-1].endswith("…")
    assert all(len(line) <= 30 for line in long)


def test_captions_as_they_are() -> None:
    text = said(captions_table(versions(50, 100), [0, 6]))
    assert "A red kite over the grey sea, seen from the harbour." in text
    assert "two lines, $5 [red] and $6" in text  # no markup, no line break
    assert text.count("(empty)") == 2
    assert text.count("s6") == 1
    assert [label in text for label in ("unedited", "50 %", "100 %")] == [True] * 3
    odd = said(captions_table({"unedited": small_set(["a\x1b[31mb\x00", "  "], n=2)}, [0, 1]))
    assert "\x1b" not in odd
    assert "\x00" not in odd
    assert "(blank)" in odd


def test_facts() -> None:
    made = versions(50)
    data, after = made.values()
    assert data.captions is not None
    assert after.captions is not None
    text = text_facts(data.captions, after.captions, lambda texts: [[1] * len(text) for text in texts])
    image = image_facts(after, [0, 1])
    shown = said(facts_table({"50 %": (text, image)}))
    for words in (
        f"{text.changed} of 8",
        f"−{text.removed:.1f} %",
        f"→ {text.tokens_after}",
        f"{image.changed:.1f} %",
    ):
        assert words in shown
    only = said(facts_table({"50 %": (None, image)}))
    assert "characters" not in only
    assert "tokens" not in said(facts_table({"50 %": (text_facts(data.captions, after.captions), None)}))


def test_every_operation_is_listed() -> None:
    text = said(operations_table(OPERATIONS.values()))
    assert all(name in text for name in OPERATIONS)
    assert "grid=14" in text
    assert "file=FILE" in text
