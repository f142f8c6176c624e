"""An opened, unchecked data set, and errors of reading one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError, short_line

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Source:
    """An opened data set, its images undecoded.

    name: for the run key; of a local file or folder only the last part, so that moving it changes nothing.
    where: its name in errors. revision: the commit, Hub only. base: folder that image file names start from.
    anywhere: whether image file names may lead outside base: true for text tables on disk, which a user can inspect.
    files_are_ids: an image folder, whose relative file names are the ids. file: of a data set of one local file.
    unnamed: images of a folder that no row of its metadata names.
    """

    dataset: Dataset
    name: str
    where: str
    revision: str | None = None
    base: Path | None = None
    anywhere: bool = False
    files_are_ids: bool = False
    file: Path | None = None
    unnamed: int = 0


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn errors of `datasets` about a broken file or a wrong split into a VlalignError of one line."""
    try:
        yield
    except (VlalignError, KeyboardInterrupt, MemoryError):
        raise
    except Exception as error:
        if "Unknown split" in str(error):
            raise VlalignError(f"{where}: {short_line(error)} Choose with --split") from error
        if "Config name is missing" in str(error):
            raise VlalignError(
                f"{where} has several configurations, name one with --data-config: {short_line(error)}"
            ) from error
        cause: BaseException = error
        while cause.__cause__ is not None and type(cause).__name__.startswith("DatasetGeneration"):
            cause = cause.__cause__
        kind = type(cause).__name__
        if "corresponds to no data" in str(cause):
            raise VlalignError(f"{where} holds no samples") from error
        if kind in ("EmptyDatasetError", "DataFilesNotFoundError", "EmptyDataError", "SchemaInferenceError"):
            raise VlalignError(f"{where} holds no samples: {short_line(cause)}") from error
        raise VlalignError(f"cannot read {where}: {kind}: {short_line(str(cause))}") from error


def load_files(builder: str, files: Sequence[Path], **options: Any) -> Dataset:
    """Load local files by a builder of `datasets`, each name taken literally; options: the builder's.

    `datasets` writes the rows to its cache on disk and maps them into memory.
    """
    import glob

    from datasets import Dataset, concatenate_datasets, load_dataset

    if any("::" in str(file.resolve()) for file in files):  # `datasets` takes these for chained URLs
        return concatenate_datasets([Dataset(_table(file)) for file in files])
    names = [glob.escape(str(file.resolve())) for file in files]
    return load_dataset(builder, data_files={"train": names}, split="train", **options)


def _table(file: Path) -> Any:
    """Return a parquet or Arrow file (of stream or file format) as a table in memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.suffix.lower() == ".parquet":
        return pq.ParquetFile(file).read()
    with pa.memory_map(str(file)) as content:
        try:
            return pa.ipc.open_stream(content).read_all()
        except pa.ArrowInvalid:
            return pa.ipc.open_file(content).read_all()


def raw_values(dataset: Dataset, column: str) -> list[Any]:
    """Return a column as stored: nothing is decoded, so no file is opened that a value may name."""
    return dataset.select_columns([column]).with_format("arrow")[:].column(column).to_pylist()


def undecoded(dataset: Dataset) -> Dataset:
    """Return the data set without a format and its image columns as {bytes, path}; nothing is copied or decoded."""
    from datasets import Image

    dataset = dataset.with_format(None)
    for name, feature in dataset.features.items():
        if isinstance(feature, Image) and feature.decode:
            dataset = dataset.cast_column(name, Image(decode=False))
    return dataset
