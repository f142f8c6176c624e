"""Edited images on disk while several vision models read them, so that each is decoded and edited once.

Unedited ones are decoded for each model: to read a decoded photo takes half the time, to write it as long again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlalign.files import free_bytes, work_folder

if TYPE_CHECKING:
    from PIL.Image import Image

    from vlalign.data import PairedData

_MOST = 2**31  # bytes of all these images; also at most a quarter of the free space


@dataclass(frozen=True)
class EditedImages:
    """Images of a data set that are decoded and edited when first used, and then read from a folder, by any process.

    Attributes:
        data: the images, edits included.
        folder: for the edited images.
        most: bytes of the largest image that is kept.
    """

    data: PairedData
    folder: Path
    most: int

    @property
    def ids(self) -> list[str]:
        """Sample ids."""
        return self.data.ids

    def image(self, i: int) -> Image:
        """Return image i as RGB, edited; see :meth:`~vlalign.data.PairedData.image`."""
        import numpy as np
        from PIL import Image

        path = self.folder / f"{i}.npy"
        with contextlib.suppress(OSError, ValueError, EOFError):
            return Image.fromarray(np.load(path))
        picture = self.data.image(i)
        if picture.mode == "RGB" and 3 * picture.width * picture.height <= self.most:
            part = path.with_suffix(f".{os.getpid()}")
            with contextlib.suppress(OSError):  # a full disk: it is edited again
                with part.open("wb") as file:
                    np.save(file, np.asarray(picture))
                part.replace(path)
        return picture


@contextlib.contextmanager
def edited_once(data_sets: Sequence[PairedData]) -> Iterator[dict[int, EditedImages]]:
    """Give the data sets that occur more than once with images that are edited once, by ``id()`` of the data set.

    Images are kept in the system's temporary folder until the end; those without room there are edited again.

    Args:
        data_sets: edited ones that vision models read, one for each pass.
    """
    several = {id(data): data for i, data in enumerate(data_sets) if any(data is other for other in data_sets[:i])}
    edited: dict[int, EditedImages] = {}
    with contextlib.ExitStack() as stack:
        if several:
            with contextlib.suppress(OSError):
                root = stack.enter_context(work_folder())
                most = min(_MOST, free_bytes(root) // 4) // sum(map(len, several.values()))
                for number, (key, data) in enumerate(several.items()):
                    folder = root / str(number)
                    folder.mkdir()
                    edited[key] = EditedImages(data, folder, most)
        yield edited
