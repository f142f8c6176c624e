"""Checks of every sample of a data set before any model is loaded: ids, captions and images."""

from __future__ import annotations

import logging
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.data.columns import ID_NAME, Columns, type_name
from vlalign.data.edits import row_id
from vlalign.data.images import BadImage, ImageFiles, encoded, fingerprint, load, to_rgb
from vlalign.data.source import Source, raw_values
from vlalign.data.spec import DataSpec
from vlalign.display import quoted
from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

CHUNK = 64  # images a thread checks before it takes the next ones


def read_ids(dataset: Dataset, columns: Columns, source: Source) -> tuple[list[str], str]:
    """Return the ids and their origin (see PairedData). Raises VlalignError for missing or repeated ids."""
    if columns.id is not None:
        raw = raw_values(dataset, columns.id)
        try:
            ids = [as_text(value) or "" for value in raw]
        except UnicodeDecodeError:  # bytes that are no text, such as hashes
            ids = [value.hex() if isinstance(value, bytes) else as_text(value) or "" for value in raw]
        missing = [row for row, value in enumerate(ids) if not value.strip()]
        if missing:
            rows = ", ".join(map(str, missing[:3]))
            raise VlalignError(
                f"{len(missing)} of {len(ids)} samples of {source.where} have no id in column {quoted(columns.id)} "
                f"(rows {rows}, counted from 0): fill them in or choose another with --id-column"
            )
        id_source = "column"
    elif source.files_are_ids and source.base is not None and columns.image is not None:
        names = raw_values(dataset, columns.image)
        ids = [Path(os.path.relpath((file or {}).get("path") or "", source.base)).as_posix() for file in names]
        id_source = "file"
    else:
        if ID_NAME in dataset.features:
            kind = type_name(dataset.features[ID_NAME])
            log.warning("%s: its column %r holds %s, no ids: rows are numbered instead", source.where, ID_NAME, kind)
        return [row_id(row) for row in range(len(dataset))], "row"
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        place = f"column {quoted(columns.id)}" if columns.id else "file names"
        examples = ", ".join(map(quoted, twice[:3]))
        raise VlalignError(
            f"{len(twice)} ids of {source.where} occur more than once in its {place}, such as {examples}: "
            "make them different or choose another with --id-column"
        )
    return ids, id_source


def as_text(value: Any) -> str | None:
    """Return a stored value as text: bytes as UTF-8; None for missing values (None, NaN).

    Raises:
        UnicodeDecodeError: bytes that are not UTF-8.

    >>> as_text(7), as_text("é".encode()), as_text(float("nan"))
    ('7', 'é', None)
    """
    if value is None or value != value:
        return None
    return bytes(value).decode() if isinstance(value, bytes | bytearray | memoryview) else str(value)


def read_captions(dataset: Dataset, column: str | None, caption: int, source: Source, bad: dict[int, str]) -> list[str]:
    """Return one caption per row, "" for bad rows; reasons go into bad. Numbers become text, bytes are UTF-8."""
    values = raw_values(dataset, str(column))
    if caption and not any(isinstance(value, list) for value in values):
        raise VlalignError(
            f"column {quoted(column)} of {source.where} holds one caption per sample: caption 0, not {caption}"
        )
    captions = []
    for row, value in enumerate(values):
        if isinstance(value, list):
            if caption >= len(value):
                bad[row] = (
                    f"has {len(value)} caption(s) in column {quoted(column)}, so no caption {caption} (counted from 0)"
                )
                value = None
            else:
                value = value[caption]
        try:
            text = as_text(value)
        except UnicodeDecodeError:
            bad[row], text = f"the caption in column {quoted(column)} holds bytes that are not UTF-8", ""
        if text is None or not text.strip():
            bad.setdefault(row, f"the caption in column {quoted(column)} is {'missing' if text is None else 'empty'}")
        captions.append(text or "")
    return captions


def check_images(
    images: Dataset, column: str, rows: Sequence[int], files: ImageFiles, alpha: str, bad: dict[int, str]
) -> dict[int, bytes]:
    """Decode every image of rows; reasons for bad images go into bad.

    Returns the fingerprint of each good image's encoded bytes by row. Threads hold one image each.
    """
    from PIL import Image

    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # such images are refused, in one line

    def check(chunk: Sequence[int]) -> list[tuple[int, bytes, str]]:
        results = []
        for row in chunk:
            try:
                content = encoded(images[row][column], files)
                image = load(content)
                to_rgb(image, alpha)
                results.append((row, fingerprint(content, image), ""))
            except BadImage as error:
                results.append((row, b"", str(error)))
        return results

    digests: dict[int, bytes] = {}
    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1), thread_name_prefix="check-images")
    try:
        for results in pool.map(check, [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]):
            for row, digest, reason in results:
                if reason:
                    bad[row] = f"image: {reason}"
                else:
                    digests[row] = digest
    finally:
        pool.shutdown(cancel_futures=True)
    return digests


def refuse_bad(bad: dict[int, str], ids: list[str], spec: DataSpec, source: Source) -> None:
    """Raise VlalignError for bad samples, unless they are to be left out."""
    if bad and spec.on_bad_sample == "error":
        raise VlalignError(
            f"{len(bad)} of {len(ids)} samples of {source.where} cannot be used: {examples(bad, ids)}; "
            "correct them, or leave them out with --on-bad-sample skip"
        )


def examples(bad: dict[int, str], ids: list[str]) -> str:
    """Return the first bad samples with their reasons."""
    first = [f"{quoted(ids[row])} ({bad[row]})" for row in sorted(bad)[:3]]
    return ", ".join(first) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
