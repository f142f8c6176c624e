"""Folders on disk: images with or without a metadata file, and data files by split."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from vlalign.data.card import declared_files
from vlalign.data.source import Source, load_files, reading, undecoded
from vlalign.data.spec import DataSpec
from vlalign.data.splits import by_folder, select_split, splits_of
from vlalign.data.tables import KINDS, append, as_dataset, kind_of, read_columns
from vlalign.display import quoted, some
from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

BUILDERS = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
}
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
IGNORED = {"README.md", "config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json"}
SPLIT_FOLDERS = {"train", "training", "validation", "valid", "val", "dev", "test", "testing", "eval", "evaluation"}


def readable() -> str:
    """Return the readable formats, for error messages."""
    return f"give one of {', '.join(BUILDERS)}, or a folder of images"


def open_folder(spec: DataSpec, folder: Path) -> Source:
    """Open one split of a folder of images or of data files.

    Raises:
        VlalignError: no data in it, no such split, or a file that cannot be read.
    """
    files = list(listing(folder))
    images = [name for name in files if is_image_file(name)]
    tables = [name for name in files if kind_of(name) in BUILDERS]
    metadata = [name for name in tables if PurePosixPath(name).name in METADATA]
    if not images and not tables:
        raise VlalignError(f"{spec.source} holds no samples: it has no image and no data file; {readable()}")
    card = declared_files(spec.source, folder, tables) if tables and not metadata else None
    if metadata or (card is None and len(images) > len(tables)):
        beside = [name for name in tables if name not in metadata]
        if beside:
            log.warning(
                "%s is read as a folder of %d images; not read: %s (captions belong in metadata.csv, with a column "
                "file_name)", spec.source, len(images), some(beside),
            )  # fmt: skip
        return _image_folder(spec, folder, images, metadata)
    if images:
        log.warning("%s is read by its data files; its %d images are not: %s", spec.source, len(images), some(images))
    return _data_folder(spec, folder, *(card or (splits_of(tables), {})))


def listing(folder: Path) -> Iterator[str]:
    """Yield the files of a folder in order of their names, relative to it; hidden ones are left out."""
    names, visited = [], {folder.resolve()}
    for place, folders, files in os.walk(folder, onerror=_unreadable, followlinks=True):
        inside = {entry: (Path(place) / entry).resolve() for entry in folders if not entry.startswith((".", "__"))}
        folders[:] = [entry for entry, target in inside.items() if target not in visited]
        visited.update(inside.values())
        names += [Path(place, name) for name in files if not name.startswith(".") and name not in IGNORED]
    yield from sorted(file.relative_to(folder).as_posix() for file in names if file.is_file())


def _unreadable(error: OSError) -> None:
    raise VlalignError(f"cannot read the folder {error.filename}: {error.strerror}") from error


def is_image_file(name: str) -> bool:
    """Return whether a file's ending is that of a format that PIL reads."""
    from PIL import Image

    Image.init()
    return Image.EXTENSION.get(PurePosixPath(name.lower()).suffix) in Image.OPEN


def _image_folder(spec: DataSpec, folder: Path, images: list[str], metadata: list[str]) -> Source:
    from datasets import ClassLabel, Dataset, Features, Image

    # without folders named after splits all files are one split: the name of a file ("test_1.png") does not count
    tops = {entry.name.lower() for entry in folder.iterdir() if entry.is_dir()}
    files = [*images, *metadata]
    splits = (by_folder(files) if tops & SPLIT_FOLDERS else {}) or {"train": files}
    inside = {name for named in splits.values() for name in named}
    apart = [name for name in images if name not in inside]
    if apart:
        log.warning(
            "%s: %d images lie outside its splits (%s) and are left out: %s",
            spec.source, len(apart), ", ".join(splits), some(apart),
        )  # fmt: skip

    unnamed = 0  # images that no row of metadata names

    def rows(split: list[str]) -> Dataset:
        nonlocal unnamed
        names = [name for name in split if is_image_file(name)]
        if metadata:
            above = [name for name in metadata if name not in inside]
            tables = [*(name for name in metadata if name in split), *above]
            dataset, unnamed = _with_metadata(spec, folder, tables, names, above)
            return dataset
        labels = [PurePosixPath(folder.name, name).parent.name for name in names]
        paths = [{"bytes": None, "path": str(folder / name)} for name in names]
        features = Features({"image": Image(decode=False)})
        if len(set(labels)) > 1 and len({name.count("/") for name in images}) == 1:
            features["label"] = ClassLabel(names=sorted(set(labels)))
            return Dataset.from_dict({"image": paths, "label": labels}, features=features)
        return Dataset.from_dict({"image": paths}, features=features)

    known = {name: partial(rows, split) for name, split in splits.items()}
    with reading(spec.source):
        dataset = select_split(known, spec.split, spec.source)
    text = all(kind_of(name) in KINDS for name in metadata)
    return Source(dataset, folder.name, spec.source, base=folder, files_are_ids=True, anywhere=text, unnamed=unnamed)


def _with_metadata(
    spec: DataSpec, folder: Path, tables: list[str], images: list[str], above: list[str]
) -> tuple[Dataset, int]:
    """Return the rows of the metadata files of one split, with file names (file_name, x_file_name) as images.

    The second value is the number of images that no row names.

    images: those of the split. above: tables outside its folder, of which only rows of these images belong to it.
    """
    if len({kind_of(table) for table in tables}) > 1:
        raise VlalignError(f"{spec.source} has metadata files of different formats: {some(tables)}; keep one format")
    columns: dict[str, list[Any]] = {}
    named: set[str] = set()
    ours = set(images)
    for table in tables:
        where = f"{spec.source}/{table}"
        path = folder / table
        rows = read_columns(path, where)
        files = [name for name in rows if name == "file_name" or name.endswith("_file_name")]
        if rows and not files:
            raise VlalignError(f"{where} has no column file_name; its columns: {some(list(rows))}")
        places: list[Path] = []
        for name in files:
            places = [_named_file(path.parent, value, where, row) for row, value in enumerate(rows.pop(name))]
            named |= {file.relative_to(folder).as_posix() for file in places}
            rows[name.removesuffix("file_name").removesuffix("_") or "image"] = [
                {"bytes": None, "path": str(file)} for file in places
            ]
        if table in above:
            kept = [row for row, file in enumerate(places) if file.relative_to(folder).as_posix() in ours]
            rows = {name: [values[row] for row in kept] for name, values in rows.items()}
        append(columns, rows)
    if apart := [name for name in images if name not in named]:
        log.warning(
            "%s: %d of %d images %s no row in %s: %s (left out)", spec.source, len(apart), len(images),
            "has" if len(apart) == 1 else "have", ", ".join(tables[:3]), some(apart),
        )  # fmt: skip
    return as_dataset(columns, spec.source), len(apart)


def _named_file(folder: Path, name: Any, where: str, row: int) -> Path:
    """Return the file that a row of metadata names. Raises VlalignError for one outside the metadata file's folder."""
    text = "" if name is None else str(name)
    if not text.strip():
        raise VlalignError(f"{where}: row {row} (counted from 0) has no file_name")
    path = folder / text
    if "\\" in text and not path.exists():
        path = folder / text.replace("\\", "/")
    path = Path(os.path.normpath(path))
    if "://" in text or not path.is_relative_to(folder):
        raise VlalignError(f"{where}: row {row} names {quoted(text)}: a file_name is relative and stays in this folder")
    return path


def _data_folder(spec: DataSpec, folder: Path, splits: dict[str, list[str]], options: dict[str, Any]) -> Source:
    """Open data files by split; options as for `_read_files`."""
    chosen = {split: _of_one_format(spec, files) for split, files in splits.items()}
    known = {split: partial(_read_files, spec, folder, files, options) for split, files in chosen.items()}
    with reading(spec.source):
        dataset = select_split(known, spec.split, spec.source)
    text = all(kind_of(name) in KINDS for files in chosen.values() for name in files)
    return Source(undecoded(dataset), folder.name, spec.source, base=folder, anywhere=text)


def _of_one_format(spec: DataSpec, files: list[str]) -> list[str]:
    """Return the files of the most common format (of equally common ones the first of BUILDERS); warn of the others."""
    counts = Counter(BUILDERS[kind_of(name)] for name in files)
    best = max(dict.fromkeys(BUILDERS.values()), key=lambda builder: counts[builder])
    others = [name for name in files if BUILDERS[kind_of(name)] != best]
    if others:
        log.warning("%s: of its data files those of format %s are read, not %s", spec.source, best, some(others))
    return [name for name in files if BUILDERS[kind_of(name)] == best]


def _read_files(spec: DataSpec, folder: Path, files: list[str], options: dict[str, Any]) -> Dataset:
    """Return the rows of files of one format. options: of the `datasets` builder, as a README.md declares them."""
    if kind_of(files[0]) not in KINDS or set(options) - {"sep", "delimiter"}:
        return load_files(BUILDERS[kind_of(files[0])], [folder / name for name in files], **options)
    columns: dict[str, list[Any]] = {}
    for name in files:
        separator = options.get("sep", options.get("delimiter"))
        append(columns, read_columns(folder / name, f"{spec.source}/{name}", separator))
    return as_dataset(columns, spec.source)
