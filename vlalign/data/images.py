"""Encoded images in a data set: finding their bytes, decoding them, and making them RGB."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image


class BadImage(ValueError):
    """An image that cannot be used; the text is the reason."""


def encoded(value: Any, base: Path | None) -> bytes:
    """The bytes of an image file.

    value: {"bytes", "path"} (an undecoded `datasets` image), bytes, or the name of a file.
    base: folder that relative names start from; None where there is none.
    Raises BadImage with the reason.
    """
    path: str | None = None
    if isinstance(value, dict):
        path = value.get("path")
        value = value.get("bytes") if value.get("bytes") is not None else path
    if value is None or value == "":
        raise BadImage("there is no image")
    if isinstance(value, bytes | bytearray | memoryview):
        if not len(value):
            raise BadImage("the image has 0 bytes")
        return bytes(value)
    if not isinstance(value, str):
        raise BadImage(f"an image file was expected, found {type(value).__name__}")
    if "://" in value:
        raise BadImage(f"{value} is a web address: images are not downloaded one by one")
    file = Path(value)
    if not file.is_absolute():
        if base is None:
            raise BadImage(f"{value} is a file name, but the data set carries no such file")
        file = base / file
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadImage(f"{value}: {os.strerror(error.errno) if error.errno else error}") from None
    if not content:
        raise BadImage(f"{value} has 0 bytes")
    return content


def decode(content: bytes, alpha: str = "white") -> Image:
    """Decode an image file to RGB; the first frame of an animation.

    alpha: "white" lays transparent pixels on white; "drop" keeps the colours stored under them.
    The orientation mark (EXIF) of a photograph is not applied: pixels stay as they are stored. 16-bit grey is scaled
    to 8 bits.
    Raises BadImage: not an image, truncated, or so large that PIL takes it for a decompression bomb.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(content))
        image.load()
        return to_rgb(image, alpha)
    except UnidentifiedImageError:
        raise BadImage("not an image that PIL can read") from None
    except Image.DecompressionBombError:
        raise BadImage("too many pixels (decompression bomb)") from None
    except MemoryError:
        raise BadImage("too large for the memory at hand") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error …
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadImage(f"cannot be decoded: {reason}") from error


def to_rgb(image: Image, alpha: str) -> Image:
    """An image of any mode as RGB; see decode."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if alpha == "white" and image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
