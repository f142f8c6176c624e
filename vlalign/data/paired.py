"""Checked paired data with stable ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.data.images import BadImage, ImageFiles, decode, encoded
from vlalign.display import quoted
from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL.Image import Image


@dataclass(frozen=True)
class PairedData:
    """Images and captions with stable ids; `open_data` returns it. Can be pickled: images are read on demand.

    ids: one per sample, all different. id_source: "column", "file" (name in an image folder) or "row" (row number).
    name, revision: of the data set; the commit for Hub sets, else None.
    captions: one per sample, or None if text was not requested. has_images: whether images were requested.
    skipped: {"id", "reason"} of every bad sample left out.
    without_caption, without_image: numbers of images and of captions that are left out as the other is missing or bad.
    """

    ids: list[str]
    id_source: str
    name: str
    revision: str | None
    captions: list[str] | None
    skipped: list[dict[str, str]]
    has_images: bool
    identities: dict[str, dict[str, Any]] = field(repr=False)
    images: Dataset | None = field(default=None, repr=False)
    rows: Sequence[int] = field(default=(), repr=False)
    image_column: str = field(default="", repr=False)
    files: ImageFiles = field(default=ImageFiles(), repr=False)
    alpha: str = field(default="white", repr=False)
    without_caption: int = field(default=0, repr=False)
    without_image: int = field(default=0, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.ids)

    @property
    def base(self) -> Path | None:
        """Folder on disk that the data are read from; None for the Hub and the built-in set."""
        return self.files.base if self.revision is None else None

    def image(self, i: int) -> Image:
        """Decode image i to RGB. Raises VlalignError naming the id if its file has since become unreadable."""
        if self.images is None:
            raise VlalignError(f"{self.name} was opened without images: ask for the modality vision")
        try:
            return decode(encoded(self.images[self.rows[i]][self.image_column], self.files), self.alpha)
        except BadImage as error:
            raise VlalignError(f"image of sample {quoted(self.ids[i])} of {self.name}: {error}") from error

    def typical_size(self) -> tuple[int, int] | None:
        """Return the median width and height in pixels of up to 32 of the images; None if they were not requested."""
        import io
        from statistics import median_low

        from PIL import Image

        if self.images is None:
            return None
        sizes = []
        for row in self.rows[:: -(-len(self.rows) // 32)]:
            with Image.open(io.BytesIO(encoded(self.images[row][self.image_column], self.files))) as image:
                sizes.append(image.size)
        return median_low(width for width, _ in sizes), median_low(height for _, height in sizes)

    def identity(self, modality: str) -> dict[str, Any]:
        """Return what identifies this data in the run key: plain values and SHA-256 hashes, the same on every machine.

        modality: "text" or "vision", requested at opening; else VlalignError.
        """
        if modality not in self.identities:
            raise VlalignError(f"{self.name} was opened for {' and '.join(self.identities)}, not for {modality}")
        return dict(self.identities[modality])


def sha256_of(parts: Iterable[bytes]) -> str:
    """Return the SHA-256 of a sequence of byte strings, each preceded by its length.

    >>> sha256_of([b"ab", b"c"]) == sha256_of([b"a", b"bc"])
    False
    """
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()
