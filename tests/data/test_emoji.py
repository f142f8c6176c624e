"""The built-in set and the script that makes it."""

from __future__ import annotations

import importlib.util
import io
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from vlalign.data import BUILTIN, DataSpec, open_data

FILE = BUILTIN["builtin:emoji"]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/make_emoji_set.py as a module."""
    path = Path(__file__).parents[2] / "scripts" / "make_emoji_set.py"
    spec = importlib.util.spec_from_file_location("make_emoji_set", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_built_in_set() -> None:
    data = open_data(DataSpec("builtin:emoji"), {"text", "vision"})
    assert (data.n, data.name, data.id_source, data.skipped) == (1024, "builtin:emoji", "column", [])
    assert data.captions is not None
    assert len(set(data.captions)) == 1024
    captions = dict(zip(data.ids, data.captions, strict=True))
    assert captions["1f430"] == "rabbit face: animal, bunny, pet"
    image = data.image(data.ids.index("1f430"))
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGB", (64, 64), (255, 255, 255))


@pytest.mark.parametrize("language", ["fr", "de", "es", "ja", "zh", "ru", "pt", "hi"])
def test_other_languages(language: str) -> None:
    data = open_data(DataSpec("builtin:emoji", text_column=f"text_{language}"), {"text"})
    assert data.captions is not None
    assert len(set(data.captions)) == 1024


def test_file_is_small_and_even() -> None:
    assert FILE.stat().st_size < 5_000_000
    table = pq.read_table(FILE, columns=["id", "category"])
    sizes = Counter(table["category"].to_pylist())
    assert len(sizes) == 8
    assert max(sizes.values()) == 135
    first = Counter(table["category"].to_pylist()[:256])  # a spread-out sample too
    assert min(first.values()) >= 10
    for licence in ("LICENCE-APACHE.txt", "LICENCE-UNICODE.txt", "README.md"):
        assert (FILE.parent / licence).is_file()


def emoji(code: str, label: str, category: str = "Animals", subcategory: str = "x", shade: int = 0) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGBA", (4, 4), (shade, 0, 0, 255)).save(buffer, "PNG")
    image = {"bytes": buffer.getvalue(), "path": ""}
    row: dict[str, Any] = {"id": code, "image": image, "category": category, "subcategory": subcategory}
    return row | {"label_en": label, "tags_en": [label, "animal"]}


def test_selection(script: ModuleType) -> None:
    rows = [
        emoji("1f430", "rabbit", shade=1),
        emoji("1f431", "rabbit", shade=2),  # the same caption
        emoji("1f432", "dragon", shade=1),  # the same picture
        emoji("1f433", "whale", shade=3),
        emoji("1f550", "one o'clock", shade=4),
        emoji("1f9d1-200d-1f33e", "farmer", "People", shade=5),
        emoji("1f468-200d-1f33e", "man farmer", "People", shade=6),
        emoji("1f3c3-200d-2640-fe0f", "woman running", "People", shade=7),
        emoji("1f9d1-200d-1f9af-200d-27a1-fe0f", "person with cane facing right", "People", shade=8),
        emoji("25aa-fe0f", "black small square", "Symbols", "geometric", shade=9),
        emoji("1f51f", "keycap: 10", "Symbols", "keycap", shade=10),
    ]
    chosen, reasons = script.select(rows, 3)
    ids = {row["id"] for row in chosen}
    assert "1f9d1-200d-1f33e" in ids
    assert ids - {"1f9d1-200d-1f33e"} <= {"1f430", "1f431", "1f432", "1f433"}
    assert sum(reasons.values()) == len(rows) - 3
    assert reasons["gender variants"] == 2
    again, _ = script.select(rows[::-1], 3)
    assert [row["id"] for row in again] == [row["id"] for row in chosen]  # whatever the order of the input
    with pytest.raises(SystemExit, match="candidates for 99 places"):
        script.select(rows, 99)


@pytest.mark.parametrize(
    ("label", "keywords", "language", "caption"),
    [
        ("rabbit face", ["animal", "bunny", "face", "pet", "rabbit"], "en", "rabbit face: animal, bunny, pet"),
        ("eyes", ["body", "eye", "eyes"], "en", "eyes: body"),
        ("woman’s hat", ["woman’s", "hat", "woman"], "en", "woman’s hat"),
        ("person: beard", ["beard", "person", "whiskers"], "en", "person, beard: whiskers"),
        ("heavy mark", ["!", "✔", "mark"], "en", "heavy mark"),
        ("顔\uff1a笑い", ["顔", "笑顔"], "ja", "顔、笑い\uff1a笑顔"),
        ("लाल दिल", ["लाल", "प्यार"], "hi", "लाल दिल: प्यार"),
    ],
)
def test_caption(script: ModuleType, label: str, keywords: list[str], language: str, caption: str) -> None:
    assert script.caption(label, keywords, language) == caption


def test_quotas(script: ModuleType) -> None:
    assert script.quotas({"a": 5, "b": 50, "c": 50}, 26) == {"a": 5, "b": 11, "c": 10}
