"""Where data comes from: the built-in set, files and folders on disk. The Hub is in hub.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vlalign.data.edits import unedited
from vlalign.data.hub import open_hub
from vlalign.data.reading import SEPARATORS, Source, check_lines, reading, undecoded
from vlalign.data.spec import BUILTIN, DataSpec
from vlalign.errors import VlalignError

BUILDERS = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".jsonl": "json",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
}
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
SPLIT_FOLDERS = {"train", "training", "validation", "valid", "val", "dev", "test", "testing", "eval", "evaluation"}


def open_source(spec: DataSpec) -> Source:
    """Open what spec.source names: built-in, then disk, then Hub. Raises VlalignError."""
    if spec.source in BUILTIN:
        return _builtin(spec)
    path = Path(spec.source).expanduser()
    if path.exists():
        if spec.revision is not None:
            raise VlalignError(f"{spec.source} is on disk and has no revisions: leave --data-revision out")
        if spec.config is not None:
            raise VlalignError(f"{spec.source} is on disk: name the folder or file of configuration {spec.config!r}")
        return _folder(spec, path) if path.is_dir() else _file(spec, path)
    looks_local = spec.source.startswith((".", "/", "~")) or spec.source.count("/") > 1 or "\\" in spec.source
    if looks_local or path.suffix.lower() in BUILDERS:
        raise VlalignError(f"no such file or folder: {spec.source}")
    return open_hub(spec)


def _builtin(spec: DataSpec) -> Source:
    import pyarrow.parquet as pq
    from datasets import Dataset

    if spec.revision is not None:
        raise VlalignError(f"{spec.source} has no revisions: leave --data-revision out")
    _only_train(spec)
    # small enough for memory, so that nothing is written to the cache
    return Source(undecoded(Dataset(pq.read_table(BUILTIN[spec.source]))), spec.source, spec.source)


def _only_train(spec: DataSpec) -> None:
    if spec.split.split("[")[0] != "train":
        raise VlalignError(f"{spec.source} has no split {spec.split!r}: its one split is train")


def _file(spec: DataSpec, path: Path) -> Source:
    from datasets import load_dataset

    builder = BUILDERS.get(path.suffix.lower())
    if builder is None:
        raise VlalignError(f"{spec.source}: files ending in {path.suffix or 'nothing'} are not read; {_readable()}")
    if path.stat().st_size == 0:
        raise VlalignError(f"{spec.source} holds no samples: the file has 0 bytes")
    _only_train(spec)
    if path.suffix.lower() == ".json" and (edits := unedited(path)) is not None:
        return Source(edits, path.resolve().name, spec.source, base=path.resolve().parent, file=path)
    with reading(spec.source):
        options = _csv_options(path) if builder == "csv" else {}
        dataset = load_dataset(builder, data_files={"train": str(path.resolve())}, split=spec.split, **options)
    return Source(undecoded(dataset), path.resolve().name, spec.source, base=path.resolve().parent, file=path)


def _csv_options(path: Path) -> dict[str, Any]:
    """Every value stays the text it is: "NA" is no missing value and "0012" no number."""
    from datasets import Features, Value

    separator = SEPARATORS[path.suffix.lower()]
    features = Features({name: Value("string") for name in check_lines(path, separator)})
    return {"sep": separator, "features": features, "keep_default_na": False, "index_col": False}


def _readable() -> str:
    return f"give one of {', '.join(BUILDERS)}, or a folder of images"


def _folder(spec: DataSpec, path: Path) -> Source:
    from datasets import DatasetDict, load_dataset, load_from_disk

    folder = path.resolve()
    name = folder.name
    if (folder / "state.json").exists() or (folder / "dataset_dict.json").exists():  # written by save_to_disk
        with reading(spec.source):
            saved = load_from_disk(str(folder))
        if isinstance(saved, DatasetDict):
            if spec.split not in saved:
                raise VlalignError(f"{spec.source} has no split {spec.split!r}: it has {', '.join(saved)}")
            saved = saved[spec.split]
        return Source(undecoded(saved), name, spec.source, base=folder)
    if not _image_folder(spec, folder):
        with reading(spec.source):
            dataset = load_dataset(str(folder), split=spec.split)
        return Source(undecoded(dataset), name, spec.source, base=folder)
    # Without folders named after splits everything is one split: a file's name ("test_1.png") says nothing.
    tops = {entry.name.lower() for entry in folder.iterdir() if entry.is_dir()}
    files = None if tops & SPLIT_FOLDERS else {"train": "**"}
    with reading(spec.source):
        dataset = load_dataset("imagefolder", data_dir=str(folder), data_files=files, split=spec.split)
    return Source(undecoded(dataset), name, spec.source, base=folder, files_are_ids=True)


def _image_folder(spec: DataSpec, folder: Path) -> bool:
    """A folder with metadata.csv/jsonl, or with images and no data files. Raises VlalignError if it has neither."""
    from PIL import Image

    Image.init()
    images = data = False
    for _, folders, files in os.walk(folder):
        folders[:] = [entry for entry in folders if not entry.startswith(".")]
        if not set(METADATA).isdisjoint(files):
            return True
        endings = {os.path.splitext(file)[1].lower() for file in files if not file.startswith(".")}
        images = images or not endings.isdisjoint(Image.EXTENSION)
        data = data or not endings.isdisjoint(BUILDERS)
    if not images and not data:
        raise VlalignError(f"{spec.source} holds no samples: no image and no data file was found; {_readable()}")
    return images and not data
