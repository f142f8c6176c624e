"""Any image mode becomes RGB, with transparent pixels on white."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from vlalign.data.images import BadImage, decode, encoded


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixel(content: bytes, alpha: str = "white") -> Any:
    image = decode(content, alpha)
    assert image.mode == "RGB"
    return image.getpixel((0, 0))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
def test_opaque_modes(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert pixel(file_of(Image.new("RGB", (2, 2), "white").convert(mode), kind)) == (255, 255, 255)


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (2, 2), (200, 0, 0, 0))
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 128))
    assert pixel(file_of(clear)) == (255, 255, 255)
    assert pixel(file_of(clear), "drop") == (200, 0, 0)
    assert pixel(file_of(half)) == (127, 127, 127)
    assert pixel(file_of(Image.new("LA", (2, 2), (9, 0)))) == (255, 255, 255)


def test_transparent_colour_of_palette_and_rgb_files() -> None:
    assert pixel(file_of(Image.new("P", (2, 2), 0), transparency=0)) == (255, 255, 255)
    assert pixel(file_of(Image.new("RGB", (2, 2), (1, 2, 3)), transparency=(1, 2, 3))) == (255, 255, 255)
    assert pixel(file_of(Image.new("RGB", (2, 2), (1, 2, 3)), transparency=(1, 2, 3)), "drop") == (1, 2, 3)


def test_sixteen_bit_grey_is_scaled() -> None:
    image = Image.new("I;16", (2, 2), 0x8000)
    assert pixel(file_of(image)) == (128, 128, 128)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("blue", "red")]
    assert pixel(file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])) == (0, 0, 255)


def test_orientation_mark_is_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(file_of(Image.new("RGB", (4, 2)), "JPEG", exif=exif)).size == (4, 2)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "there is no image"),
        ({"bytes": None, "path": None}, "there is no image"),
        (b"", "0 bytes"),
        (7, "an image file was expected, found int"),
        ("https://example.org/a.png", "web address"),
        ("a.png", "the data set carries no such file"),
    ],
)
def test_no_bytes(value: Any, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        encoded(value, None)
