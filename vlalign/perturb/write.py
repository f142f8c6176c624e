"""A perturbed data set as one parquet file, to look at, to share, or to read with other programs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.data.paired import PairedData
from vlalign.errors import VlalignError
from vlalign.files import new_file
from vlalign.paths import user_path

if TYPE_CHECKING:
    from PIL.Image import Image

GROUP_ROWS, GROUP_BYTES = 256, 64 << 20  # a row group ends at whichever comes first, so that memory stays flat


def check_target(data: PairedData, path: str | Path) -> Path:
    """The path, where a data set can be written to.

    Raises:
        VlalignError: no .parquet, no such folder, a folder, or the file that the data are read from.
    """
    path = user_path(path)
    if path.suffix.lower() != ".parquet":
        raise VlalignError(f"perturbed data are written as parquet: name a file ending in .parquet, not {path}")
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise VlalignError(f"cannot write {path}: {'it' if path.is_dir() else path.parent} is no "
                           f"{'file' if path.is_dir() else 'folder'}")  # fmt: skip
    if data.base is not None and path.exists() and path.resolve() == (data.base / data.name).resolve():
        raise VlalignError(f"{path} holds the unedited data: choose another name for the perturbed")
    return path


def write_perturbed(data: PairedData, path: str | Path) -> Path:
    """Writes ids, captions and images as they are edited; returns the path.

    Columns are ``id``, ``text`` (if the data have captions) and ``image`` (if they have images: PNG without loss, an
    Image feature of `datasets`). The file has its name only when it is complete. Images are edited and written group by
    group. Captions that are left empty are written too, but :func:`~vlalign.data.open_data` takes them for bad samples.

    Raises:
        VlalignError: see :func:`check_target`; no space or permission; or an image has become unreadable.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features, Value
    from datasets import Image as ImageFeature

    path = check_target(data, path)
    columns: dict[str, Any] = {"id": Value("string")}
    columns |= {} if data.captions is None else {"text": Value("string")}
    columns |= {"image": ImageFeature()} if data.has_images else {}
    schema = Features(columns).arrow_schema
    with new_file(path) as temporary, pq.ParquetWriter(temporary, schema) as file:
        for group in _groups(data):
            file.write_table(pa.Table.from_pylist(group, schema=schema))
    return path


def _groups(data: PairedData) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    size = 0
    for i, name in enumerate(data.ids):
        row: dict[str, Any] = {"id": name}
        if data.captions is not None:
            row["text"] = data.captions[i]
        if data.has_images:
            content = _png(data.image(i))
            row["image"] = {"bytes": content, "path": f"{name.replace('/', '_')}.png"}
            size += len(content)
        rows.append(row)
        if len(rows) == GROUP_ROWS or size >= GROUP_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _png(picture: Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
