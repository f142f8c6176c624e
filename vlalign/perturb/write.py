"""Export of a perturbed data set to a parquet file, to inspect, to share, or for other programs."""

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
    """Return the path if a data set can be written to it.

    Raises:
        VlalignError: not .parquet, no such folder, a folder, or the file that the data are read from.
    """
    path = user_path(path)
    if path.suffix.lower() != ".parquet":
        raise VlalignError(f"perturbed data are written as parquet: name a file ending in .parquet, not {path}")
    if not path.absolute().parent.is_dir() or path.is_dir():
        problem = f"{path.parent} is no folder" if not path.is_dir() else "it is no file"
        raise VlalignError(f"cannot write {path}: {problem}")
    if data.base is not None and path.exists() and path.resolve() == (data.base / data.name).resolve():
        raise VlalignError(f"{path} holds the unedited data: choose another name for the perturbed")
    return path


def write_perturbed(data: PairedData, path: str | Path) -> Path:
    """Write ids and the edited captions and images; return the path.

    Columns are ``id``, ``text`` (if the data have captions) and ``image`` (if they have images: PNG without loss, an
    Image feature of `datasets`). The file has its name only when it is complete. Images are edited and written group by
    group. Empty captions are written too, but are bad samples for :func:`~vlalign.data.open_data`.

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
