"""A small image-text set to write to disk in any format."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

COLOURS = ["red", "green", "blue", "yellow", "black", "white"]


def png(colour: str, size: tuple[int, int] = (5, 4), mode: str = "RGB") -> bytes:
    """A PNG file of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test prepares its data in a cache of its own."""
    import datasets

    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    return folder


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """Six samples: id, image {bytes, path} and two captions each."""
    return [
        {
            "id": f"s{index}",
            "image": {"bytes": png(colour), "path": f"{colour}.png"},
            "text": [f"a {colour} square", f"something {colour}"],
        }
        for index, colour in enumerate(COLOURS)
    ]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder "pictures" with one image file per colour."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for colour in COLOURS:
        (folder / f"{colour}.png").write_bytes(png(colour))
    return folder
