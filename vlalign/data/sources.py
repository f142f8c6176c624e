"""Where data comes from: the built-in set, files and folders on disk. The Hub is in hub.py."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vlalign.data.edits import unedited
from vlalign.data.folders import BUILDERS, open_folder, readable
from vlalign.data.hub import open_hub
from vlalign.data.reading import Source, load_files, reading, undecoded
from vlalign.data.spec import BUILTIN, DataSpec, quoted
from vlalign.data.splits import select_split
from vlalign.data.tables import KINDS, as_dataset, kind_of, read_columns
from vlalign.errors import VlalignError
from vlalign.paths import user_path

if TYPE_CHECKING:
    from datasets import Dataset


def open_source(spec: DataSpec) -> Source:
    """Open what spec.source names: built-in, then disk, then Hub. Raises VlalignError."""
    if spec.source in BUILTIN:
        return _builtin(spec)
    path = user_path(spec.source)
    if path.exists():
        if spec.revision is not None:
            raise VlalignError(f"{spec.source} is on disk and has no revisions: leave --data-revision out")
        if spec.config is not None:
            raise VlalignError(f"{spec.source} is on disk: name the folder or file of configuration {spec.config!r}")
        return _folder(spec, path) if path.is_dir() else _file(spec, path)
    looks_local = spec.source.startswith((".", "/", "~")) or spec.source.count("/") > 1 or "\\" in spec.source
    if looks_local or kind_of(spec.source) in BUILDERS:
        raise VlalignError(f"no such file or folder: {spec.source}")
    return open_hub(spec)


def _builtin(spec: DataSpec) -> Source:
    import pyarrow.parquet as pq
    from datasets import Dataset

    if spec.revision is not None:
        raise VlalignError(f"{spec.source} has no revisions: leave --data-revision out")
    # small enough for memory, so that nothing is written to the cache
    rows = undecoded(Dataset(pq.read_table(BUILTIN[spec.source])))
    return Source(select_split({"train": lambda: rows}, spec.split, spec.source), spec.source, spec.source)


def _file(spec: DataSpec, path: Path) -> Source:
    kind = kind_of(path.name)
    if kind not in BUILDERS:
        raise VlalignError(f"{spec.source}: files ending in {path.suffix or 'nothing'} are not read; {readable()}")
    if not path.is_file():
        raise VlalignError(f"{spec.source} is no ordinary file")
    if path.stat().st_size == 0:
        raise VlalignError(f"{spec.source} holds no samples: the file has 0 bytes")

    def rows() -> Dataset:
        if kind == ".json" and (edits := unedited(path)) is not None:
            return edits
        if kind in KINDS:
            return as_dataset(read_columns(path, spec.source), spec.source)
        return undecoded(load_files(BUILDERS[kind], [path]))

    with reading(spec.source):
        dataset = select_split({"train": rows}, spec.split, spec.source)
    resolved = path.resolve()
    return Source(dataset, resolved.name, spec.source, base=resolved.parent, anywhere=kind in KINDS, file=path)


def _folder(spec: DataSpec, path: Path) -> Source:
    from datasets import DatasetDict, load_from_disk

    folder = path.resolve()
    if not ((folder / "state.json").exists() or (folder / "dataset_dict.json").exists()):
        return open_folder(spec, folder)
    if "::" in str(folder):  # `datasets` takes it for a chained URL
        raise VlalignError(f"{spec.source}: a saved data set cannot be read from a path with '::': rename the folder")
    with reading(spec.source):  # written by save_to_disk
        for state in [folder / "state.json", *folder.glob("*/state.json")]:
            names = (
                [file["filename"] for file in json.loads(state.read_bytes())["_data_files"]] if state.is_file() else []
            )
            if outside := [name for name in names if Path(name).name != name]:
                raise VlalignError(f"{spec.source}: {state.name} names {quoted(outside[0])}, a file outside the folder")
        saved = load_from_disk(str(folder))
        splits = saved if isinstance(saved, DatasetDict) else {str(saved.split or "train"): saved, "train": saved}
        known = {name: functools.partial(undecoded, rows) for name, rows in splits.items()}
        return Source(select_split(known, spec.split, spec.source), folder.name, spec.source, base=folder)
