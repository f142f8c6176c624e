"""Any image mode becomes RGB, with transparent pixels on white."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import socket
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vlalign.data.images import BadImage, ImageFiles, decode, encoded, fingerprint, load, to_rgb


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


def grey(values: Any, dtype: str, kind: str = "TIFF", **options: Any) -> bytes:
    """A grey image file of 1 x n pixels."""
    return file_of(Image.fromarray(np.asarray([values], dtype)), kind, **options)


def levels(content: bytes) -> list[int]:
    return [int(value) for value in np.asarray(decode(content))[0, :, 0]]


def test_grey_of_more_than_8_bits() -> None:
    assert levels(grey([0, 255, 256, 32768, 65535], "uint16")) == [0, 0, 1, 128, 255]
    assert levels(grey([0, 255, 256, 32768, 65535], "uint16", "PNG")) == [0, 0, 1, 128, 255]
    assert levels(grey([0, 256, 32768, 65535], ">u2")) == [0, 1, 128, 255]
    assert levels(grey([0, 256, 32768, 65535], "int32")) == [0, 1, 128, 255]
    assert levels(grey([0, 7, 255], "int32")) == [0, 7, 255]  # 8-bit values in 32 bits
    assert levels(grey([0, 0.5, 1], "float32")) == [0, 127, 255]
    assert levels(grey([0, 7.9, 255], "float32")) == [0, 7, 255]
    assert levels(b"P5 3 1 65535\n" + bytes([0, 0, 0, 9, 0, 200])) == [0, 0, 0]  # dark, but of 16 bits
    assert levels(b"P5 3 1 1023\n" + (0).to_bytes(2) + (512).to_bytes(2) + (1023).to_bytes(2)) == [0, 128, 255]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 70000], "int32"),
        ([-1, 9], "int32"),
        ([0, 300], "float32"),
        ([-0.1, 1], "float32"),
        ([0, np.nan], "float32"),
    ],
)
def test_grey_of_an_unknown_range(values: list[float], dtype: str) -> None:
    with pytest.raises(BadImage, match=r"its values range from .* so which is white is unknown: save it with 8 or 16"):
        decode(grey(values, dtype))


def tiff(bits: int, content: bytes, sample_format: int = 1) -> bytes:
    """A grey TIFF file of 2 x 1 pixels, written by hand: PIL writes neither 12 bits nor 16 bits with a sign."""
    tags = [(256, 2), (257, 1), (258, bits), (259, 1), (262, 1), (273, 8 + 2 + 10 * 12 + 4), (277, 1), (278, 1)]
    tags += [(279, len(content)), (339, sample_format)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + content


def test_grey_tiff_of_other_depths() -> None:
    assert levels(tiff(12, bytes([0x80, 0x0F, 0xFF]))) == [128, 255]
    assert levels(tiff(16, struct.pack("<hh", 0x4000, 0x7FFF), 2)) == [128, 255]
    assert levels(tiff(16, struct.pack("<hh", 0, 0xFF), 2)) == [0, 1]
    assert levels(tiff(16, struct.pack("<HH", 0x8000, 0xFFFF))) == [128, 255]
    with pytest.raises(BadImage, match="values range from -1 to 0"):
        decode(tiff(16, struct.pack("<hh", -1, 0), 2))


def test_grey_tiff_where_white_is_zero() -> None:
    assert levels(grey([0, 65535], "uint16", tiffinfo={262: 0})) == [255, 0]
    assert levels(grey([0, 255], "uint8")) == [0, 255]


def test_sixteen_bit_grey_with_a_transparent_value() -> None:
    content = grey([0x8000, 0x1234], "uint16", "PNG", transparency=0x1234)
    assert levels(content) == [128, 255]
    assert int(np.asarray(decode(content, "drop"))[0, 1, 0]) == 0x12


def test_colours_of_sixteen_bits() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)

    for colour, values, seen in (
        (2, [0x8000, 0x00FF, 0xFFFF], (128, 0, 255)),
        (4, [0x8000, 0xFFFF], (128, 128, 128)),
        (4, [0x8000, 0], (255, 255, 255)),
        (6, [0x8000, 0x00FF, 0xFFFF, 0xFFFF], (128, 0, 255)),
    ):
        header = (1).to_bytes(4) + (1).to_bytes(4) + bytes([16, colour, 0, 0, 0])
        line = zlib.compress(b"\0" + b"".join(value.to_bytes(2) for value in values))
        parts = (chunk(b"IHDR", header), chunk(b"IDAT", line), chunk(b"IEND", b""))
        assert pixel(b"\x89PNG\r\n\x1a\n" + b"".join(parts)) == seen


def test_modes_that_cannot_be_rgb_are_refused_in_a_line() -> None:
    with pytest.raises(BadImage, match="cannot be"):
        to_rgb(Image.new("La", (2, 2)), "white")


def test_fingerprint_covers_changed_scaling() -> None:
    def prints(content: bytes) -> bool:
        return fingerprint(content, load(content)) == hashlib.sha256(content).digest()

    assert prints(file_of(Image.new("RGB", (2, 2))))
    assert prints(grey([0, 65535], "uint16", "PNG"))  # as before
    assert prints(grey([0, 255], "int32"))
    assert not prints(grey([0, 65535], "int32"))
    assert not prints(grey([0, 0.5], "float32"))


def test_pixels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15)
    with (
        pytest.warns(Image.DecompressionBombWarning),
        pytest.raises(BadImage, match=r"too many pixels \(decompression bomb\): 4 x 4, more than 15"),
    ):
        decode(file_of(Image.new("RGB", (4, 4))))


def test_names_stay_inside_unless_they_may_leave(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for place in (folder, tmp_path):
        (place / "a.png").write_bytes(file_of(Image.new("RGB", (2, 2))))
    (folder / "link.png").symlink_to(tmp_path / "a.png")
    (folder / "inner.png").symlink_to("a.png")
    inside, anywhere = ImageFiles(folder), ImageFiles(folder, anywhere=True)
    for name in ("a.png", str(folder / "a.png"), "inner.png", "../set/a.png"):
        assert inside.read(name) == anywhere.read(name)
        assert encoded({"bytes": None, "path": name}, inside) == inside.read(name)
    for name in ("../a.png", str(tmp_path / "a.png"), "link.png"):
        assert anywhere.read(name)
        with pytest.raises(BadImage, match="lies outside the data set"):
            inside.read(name)
        with pytest.raises(BadImage, match="the data set carries no such file"):
            ImageFiles().read(name)


def test_snapshots_in_the_cache_of_the_hub(tmp_path: Path) -> None:
    repository = tmp_path / "datasets--owner--name"
    snapshot, blobs = repository / "snapshots" / ("a" * 40), repository / "blobs"
    (snapshot / "images").mkdir(parents=True)
    blobs.mkdir()
    for file in (blobs / "0123", tmp_path / "out.png"):
        file.write_bytes(file_of(Image.new("RGB", (2, 2))))
    (snapshot / "images" / "a.png").symlink_to("../../../blobs/0123")
    (snapshot / "b.png").symlink_to(tmp_path / "out.png")
    assert ImageFiles(snapshot).read("images/a.png") == ImageFiles(snapshot / "images").read("a.png")
    for name in ("b.png", str(tmp_path / "out.png"), "../../../out.png"):
        with pytest.raises(BadImage, match="lies outside the data set"):
            ImageFiles(snapshot).read(name)


@pytest.mark.parametrize("anywhere", [True, False])
def test_what_is_no_ordinary_file(tmp_path: Path, anywhere: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ImageFiles(tmp_path, anywhere)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "empty.png").touch()
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)
        listener.bind("socket.png")
        for name in ("pipe", "folder", "loop", "zero", "empty", "socket", "x" * 300, "nul\0"):
            with pytest.raises(BadImage) as caught:
                files.read(f"{name}.png")
            assert "\n" not in str(caught.value)
    with pytest.raises(BadImage, match=r"no ordinary file|outside"):
        files.read("/dev/zero")
    monkeypatch.setattr("vlalign.data.images.MAX_BYTES", 9)
    (tmp_path / "large.png").write_bytes(b"0" * 10)
    with pytest.raises(BadImage, match="has 10 bytes, more than 9"):
        files.read("large.png")


def test_base64_text() -> None:
    content = file_of(Image.new("RGB", (90, 90)).effect_spread(0))
    for text in (base64.b64encode(content).decode(), base64.encodebytes(content).decode()):
        assert encoded(text, ImageFiles()) == content
        assert encoded(f"data:image/png;base64,{text}", ImageFiles()) == content
    with pytest.raises(BadImage, match=r"is no file name: 200,001 characters, perhaps an encoded image") as caught:
        encoded("A" * 200_001, ImageFiles())
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "there is no image"),
        ({"bytes": None, "path": None}, "there is no image"),
        (b"", "0 bytes"),
        (7, "expected an image file, not int"),
        ("https://example.org/a.png", "is a URL"),
        ("a.png", "the data set carries no such file"),
    ],
)
def test_no_bytes(value: Any, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        encoded(value, ImageFiles())
