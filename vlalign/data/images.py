"""Encoded images in a data set: reading their bytes, decoding, and conversion to RGB."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.display import quoted
from vlalign.errors import short_line

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 1 << 30  # of an image file
MAX_NAME = 4096  # characters of a file name with its folders
_BASE64 = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")  # how PNG, JPEG, GIF and WebP files begin in base64
DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")  # PIL's modes of grey with more than 8 bits


class BadImage(ValueError):
    """An image that cannot be used; the text is the reason."""


@dataclass(frozen=True)
class ImageFiles:
    """The files that image file names of a data set refer to.

    base: folder that relative names start from; None without one. anywhere: whether names may leave it: in a text table
    on disk, but not in a Hub data set or a parquet file, whose author could name any file of the user.
    """

    base: Path | None = None
    anywhere: bool = False

    def read(self, name: str) -> bytes:
        """Return the content of an image file. Raises BadImage: missing, outside, no ordinary file, or too large."""
        shown = quoted(name)
        if "://" in name:
            raise BadImage(f"{shown} is a URL: single images are not downloaded")
        if len(name) > MAX_NAME:
            raise BadImage(f"{shown} is no file name: {len(name):,} characters, perhaps an encoded image")
        if self.base is None:
            raise BadImage(f"{shown} is a file name, but the data set carries no such file")
        file = self.base / name
        try:
            if not self.anywhere and not file.resolve().is_relative_to(_whole(self.base.resolve())):
                raise BadImage(f"{shown} lies outside the data set; only a CSV, TSV or JSON file may name such files")
            with open(file, "rb", opener=_open_at_once) as handle:
                status = os.fstat(handle.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise BadImage(f"{shown} is no ordinary file")
                if status.st_size > MAX_BYTES:
                    raise BadImage(f"{shown} has {status.st_size:,} bytes, more than {MAX_BYTES:,}")
                content = handle.read(MAX_BYTES + 1)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links that lead to themselves
            if isinstance(error, BadImage):
                raise
            code = getattr(error, "errno", None)
            raise BadImage(f"{shown}: {os.strerror(code) if code else short_line(error)}") from None
        if not content:
            raise BadImage(f"{shown} has 0 bytes")
        return content


def _whole(base: Path) -> Path:
    """Return the folder with all files of a data set: in the Hub's cache, a snapshot links to files above it."""
    for folder in base.parents:
        if folder.name == "snapshots" and folder.parent.name.startswith("datasets--"):
            return folder.parent
    return base


def _open_at_once(file: str, flags: int) -> int:
    """Open a file without waiting for the other end of a pipe."""
    return os.open(file, flags | getattr(os, "O_NONBLOCK", 0))


def encoded(value: Any, files: ImageFiles) -> bytes:
    """Return the bytes of an image file.

    value: {"bytes", "path"} (an undecoded `datasets` image), bytes, or the name of a file; base64 text is decoded.
    files: that names refer to.
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
        raise BadImage(f"expected an image file, not {type(value).__name__}")
    return _base64(value) or files.read(value)


def _base64(text: str) -> bytes | None:
    """Return the content of an image that is written as base64 text or a data URL, None for other text."""
    head = re.match(r"data:image/[\w.+-]+;base64,", text)
    if head is None and len(text) <= MAX_NAME and not text.startswith(_BASE64):
        return None
    try:
        return base64.b64decode("".join(text[head.end() if head else 0 :].split()), validate=True) or None
    except ValueError:
        return None


def fingerprint(content: bytes, image: Image) -> bytes:
    """Return the SHA-256 digest of an encoded image, which goes into run keys.

    image: the content as `load` returns it. If its values are scaled to 8 bits by another rule than in earlier
    versions, the digest covers that too, so that features by the earlier rule are not mistaken for today's.
    """
    scaled = image.mode in DEEP and eight_bits(image)[1]
    return hashlib.sha256(content + (b"scaled to 8 bits" if scaled else b"")).digest()


def decode(content: bytes, alpha: str = "white") -> Image:
    """Decode an image file to RGB; the first frame of an animation.

    alpha: "white" lays transparent pixels on white; "drop" keeps the colours stored under them.
    The EXIF orientation of a photograph is not applied: pixels stay as stored. Grey of more than 8 bits is scaled to 8;
    see `eight_bits`.
    Raises BadImage: not an image, truncated, of more pixels than PIL's limit, or grey of an unknown range.
    """
    return to_rgb(load(content), alpha)


def load(content: bytes) -> Image:
    """Return an image file decoded, in the mode in which it is stored. Raises BadImage; see `decode`."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(content))
        most = Image.MAX_IMAGE_PIXELS or MAX_BYTES
        if image.width * image.height > most:  # PIL itself refuses only twice this number
            raise BadImage(f"too many pixels (decompression bomb): {image.width} x {image.height}, more than {most:,}")
        image.load()
        return image
    except BadImage:
        raise
    except UnidentifiedImageError:
        raise BadImage("not an image that PIL can read") from None
    except Image.DecompressionBombError:
        raise BadImage("too many pixels (decompression bomb)") from None
    except MemoryError:
        raise BadImage("too large for the memory at hand") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error …
        raise BadImage(f"cannot be decoded: {short_line(error)}") from error


def to_rgb(image: Image, alpha: str) -> Image:
    """Return a loaded image of any mode as RGB. Raises BadImage; see `decode`."""
    from PIL import Image

    try:
        if image.mode in DEEP:
            image, _ = eight_bits(image)
        if image.mode == "RGB" and "transparency" not in image.info:
            return image
        if alpha == "white" and image.has_transparency_data:
            image = image.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        return image.convert("RGB")
    except MemoryError:
        raise BadImage("too large for the memory at hand") from None
    except ValueError as error:
        if isinstance(error, BadImage):
            raise
        raise BadImage(f"of mode {image.mode} cannot be made RGB: {short_line(error)}") from error


def eight_bits(image: Image) -> tuple[Image, bool]:
    """Return a grey image of more than 8 bits (a mode of DEEP) with 8, and whether earlier versions did otherwise.

    16-bit values (12, or 15 and a sign, in a TIFF that declares so) keep their upper 8 bits. 32-bit integers count as
    8-bit values up to 255 and as 16-bit values up to 65,535. Floating-point numbers are read as shares of white up to 1
    and as 8-bit values up to 255.
    Raises BadImage for values outside these ranges: the value of white is unknown.
    """
    import numpy as np
    from PIL import Image

    tags = getattr(image, "tag_v2", {})
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if not (0 <= low <= high <= (255 if image.mode == "F" else 65535)):  # also where values are not numbers (NaN)
        raise BadImage(
            f"its values range from {low:g} to {high:g}, so which is white is unknown: save it with 8 or 16 bits"
        )
    stored, signed = tags.get(258, (32,))[0], tags.get(339, (1,))[0] == 2
    bits = stored - signed if 8 < stored <= 16 else 16
    sixteen = image.mode.startswith("I;16") or image.format == "PPM"
    sixteen = sixteen or (image.mode == "I" and (high > 255 or stored == 16))
    changed = (image.mode != "I;16" and sixteen) or bits < 16
    if image.mode == "F":
        changed = high <= 1
        values = values * 255 if changed else values
    elif sixteen:
        values = values.astype(np.uint16) >> (bits - 8)
    if tags.get(262) == 0 and (sixteen or image.mode == "F"):  # white is zero
        values, changed = 255 - values, True
    grey = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    clear = image.info.get("transparency")
    if isinstance(clear, int) and sixteen:  # a grey value that marks transparent pixels
        grey.putalpha(Image.fromarray(np.where(np.asarray(image) == clear, 0, 255).astype(np.uint8)))
        changed = True
    return grey, changed
