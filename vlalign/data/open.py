"""Open a data set and check all of it before any model is loaded."""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.data.columns import ID_NAME, Columns, choose, type_name
from vlalign.data.edits import row_id
from vlalign.data.images import BadImage, ImageFiles, encoded, fingerprint, load, to_rgb
from vlalign.data.paired import PairedData, sha256_of
from vlalign.data.reading import Source, raw_values
from vlalign.data.sources import open_source
from vlalign.data.spec import MODALITIES, DataSpec, quoted
from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

CHUNK = 64  # images a thread checks before it takes the next ones


def open_data(spec: DataSpec, modalities: Collection[str]) -> PairedData:
    """Open a data set and check every sample: ids, captions, and that every image decodes.

    spec: what to read. modalities: "text", "vision" or both: what will be read. A bad sample (caption empty or
    missing, no caption of that index, an image that does not decode) is an error, or with on_bad_sample="skip" is left
    out for all the modalities and recorded in `skipped`. Each image is read once, by a few threads, and let go again.
    Raises VlalignError: the source or a column is not there, no samples, ids missing or twice, bad samples.

    >>> data = open_data(DataSpec("builtin:emoji", text_column="text_es", max_samples=2), {"text"})
    >>> data.ids, data.captions
    (['1f466', '1f611'], ['niño: joven', 'cara sin expresión: inexpresiva, inexpresivo, inexpresión'])
    """
    wanted = sorted(set(modalities))
    if not wanted or not set(wanted) <= set(MODALITIES):
        raise VlalignError(f"modalities are {wanted}: ask for text, vision or both")
    source = open_source(spec)
    dataset = source.dataset
    if len(dataset) == 0:
        raise VlalignError(f"{source.where} (split {spec.split}) holds no samples")
    if spec.max_samples is not None:
        dataset = dataset.select(range(min(spec.max_samples, len(dataset))))
    columns = choose(dataset, spec, wanted, source.where)
    ids, id_source = read_ids(dataset, columns, source)

    bad: dict[int, str] = {}
    captions: list[str] = []
    if "text" in wanted:
        captions = read_captions(dataset, columns.text, spec.caption, source, bad)
        _stop_or_go_on(bad, ids, spec, source)
    images, digests = None, {}
    files = ImageFiles(source.base, source.anywhere)
    if "vision" in wanted:
        images = dataset.select_columns([columns.image])
        rows = [row for row in range(len(ids)) if row not in bad]
        digests = check_images(images, str(columns.image), rows, files, spec.alpha, bad)
        _stop_or_go_on(bad, ids, spec, source)

    rows = [row for row in range(len(ids)) if row not in bad]
    if not rows:
        raise VlalignError(f"no sample of {source.where} is left: all {len(ids)} are bad, {_examples(bad, ids)}")
    skipped = [{"id": ids[row], "reason": bad[row]} for row in sorted(bad)]
    if skipped:
        log.warning("%s: left out %d of %d samples: %s", source.where, len(bad), len(ids), _examples(bad, ids))
    kept = [ids[row] for row in rows]
    texts = [captions[row] for row in rows] if captions else None
    return PairedData(
        ids=kept,
        id_source=id_source,
        name=source.name,
        revision=source.revision,
        captions=texts,
        skipped=skipped,
        has_images=images is not None,
        identities=_identities(
            spec, source, columns, kept, id_source, texts, [digests[row] for row in rows if digests]
        ),
        images=images,
        rows=rows,
        image_column=columns.image or "",
        files=files,
        alpha=spec.alpha,
    )


def available_modalities(spec: DataSpec) -> set[str]:
    """Which of "text" and "vision" a data set has a column for, named or found; nothing is checked or decoded.

    >>> sorted(available_modalities(DataSpec("builtin:emoji")))
    ['text', 'vision']
    """
    source = open_source(spec)
    columns = choose(source.dataset, spec, (), source.where)
    return {name for name, column in (("text", columns.text), ("vision", columns.image)) if column is not None}


def read_ids(dataset: Dataset, columns: Columns, source: Source) -> tuple[list[str], str]:
    """Return the ids and where they come from. Raises VlalignError for missing ids and ids that occur twice."""
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
    """Return a stored value as text: bytes as UTF-8; None for what is missing (None, NaN).

    Raises:
        UnicodeDecodeError: bytes that are not UTF-8.

    >>> as_text(7), as_text("é".encode()), as_text(float("nan"))
    ('7', 'é', None)
    """
    if value is None or value != value:
        return None
    return bytes(value).decode() if isinstance(value, bytes | bytearray | memoryview) else str(value)


def read_captions(dataset: Dataset, column: str | None, caption: int, source: Source, bad: dict[int, str]) -> list[str]:
    """Return one caption per row, "" for bad rows, whose reasons go into bad. Numbers become text, bytes are UTF-8."""
    values = raw_values(dataset, str(column))
    if caption and not any(isinstance(value, list) for value in values):
        raise VlalignError(
            f"column {quoted(column)} of {source.where} holds one caption per sample: there is only caption 0, "
            f"not {caption}"
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
    """Decode every image of rows; the reasons of those that do not go into bad.

    Returns the fingerprint of each good image's encoded bytes by row. Threads hold one image each.
    """
    from PIL import Image

    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # such images are refused, in one line

    def check(chunk: Sequence[int]) -> list[tuple[int, bytes, str]]:
        found = []
        for row in chunk:
            try:
                content = encoded(images[row][column], files)
                image = load(content)
                to_rgb(image, alpha)
                found.append((row, fingerprint(content, image), ""))
            except BadImage as error:
                found.append((row, b"", str(error)))
        return found

    digests: dict[int, bytes] = {}
    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1), thread_name_prefix="check-images")
    try:
        for found in pool.map(check, [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]):
            for row, digest, reason in found:
                if reason:
                    bad[row] = f"image: {reason}"
                else:
                    digests[row] = digest
    finally:
        pool.shutdown(cancel_futures=True)
    return digests


def _stop_or_go_on(bad: dict[int, str], ids: list[str], spec: DataSpec, source: Source) -> None:
    if bad and spec.on_bad_sample == "error":
        raise VlalignError(
            f"{len(bad)} of {len(ids)} samples of {source.where} cannot be used: {_examples(bad, ids)}; "
            "mend them, or leave them out with --on-bad-sample skip"
        )


def _examples(bad: dict[int, str], ids: list[str]) -> str:
    """The first bad samples with their reasons."""
    first = [f"{quoted(ids[row])} ({bad[row]})" for row in sorted(bad)[:3]]
    return ", ".join(first) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")


def _identities(
    spec: DataSpec,
    source: Source,
    columns: Columns,
    ids: list[str],
    id_source: str,
    captions: list[str] | None,
    digests: list[bytes],
) -> dict[str, dict[str, Any]]:
    """What goes into the run key, by modality."""
    names = [name.encode() for name in ids]
    common = {
        "name": source.name,
        "revision": source.revision,
        "config": spec.config,
        "split": spec.split,
        "n": len(ids),
        "id_source": id_source,
        "ids": sha256_of(names),
    }
    if id_source == "row" and source.file is not None:  # row numbers pair samples of the very same file only
        with source.file.open("rb") as handle:
            common["file"] = hashlib.file_digest(handle, "sha256").hexdigest()
    found: dict[str, dict[str, Any]] = {}
    if captions is not None:
        content = sha256_of(part for name, text in zip(names, captions, strict=True) for part in (name, text.encode()))
        found["text"] = common | {"content": content, "text_column": columns.text, "caption": spec.caption}
    if digests:
        content = sha256_of(part for name, digest in zip(names, digests, strict=True) for part in (name, digest))
        found["vision"] = common | {"content": content, "image_column": columns.image, "alpha": spec.alpha}
    return found
