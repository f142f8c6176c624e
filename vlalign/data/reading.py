"""An opened data set, and what reading one can raise."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlalign.data.spec import one_line
from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from datasets import Dataset

SEPARATORS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Source:
    """An opened data set, its images undecoded.

    name: as it goes into the run key; of a local file or folder only the last part, so that moving it changes nothing.
    where: as errors call it. revision: the commit, Hub only. base: folder that image file names start from.
    files_are_ids: an image folder, whose relative file names are the ids. file: the one local file it is, if it is one.
    """

    dataset: Dataset
    name: str
    where: str
    revision: str | None = None
    base: Path | None = None
    files_are_ids: bool = False
    file: Path | None = None


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn what `datasets` raises for a broken file or a wrong split into one VlalignError."""
    try:
        yield
    except (VlalignError, KeyboardInterrupt, MemoryError):
        raise
    except Exception as error:
        if "Unknown split" in str(error):
            raise VlalignError(f"{where}: {one_line(error)} Choose with --split") from error
        if "Config name is missing" in str(error):
            raise VlalignError(
                f"{where} has several configurations, name one with --data-config: {one_line(error)}"
            ) from error
        cause: BaseException = error
        while cause.__cause__ is not None and type(cause).__name__.startswith("DatasetGeneration"):
            cause = cause.__cause__
        kind = type(cause).__name__
        if "corresponds to no data" in str(cause):
            raise VlalignError(f"{where} holds no samples") from error
        if kind in ("EmptyDatasetError", "DataFilesNotFoundError", "EmptyDataError", "SchemaInferenceError"):
            raise VlalignError(f"{where} holds no samples: {one_line(cause)}") from error
        raise VlalignError(f"cannot read {where}: {kind}: {one_line(cause)}") from error


def check_lines(path: Path, separator: str) -> list[str]:
    """The columns of a CSV file. Raises VlalignError naming the line that has more values than the header."""
    import pandas as pd

    header = [str(name) for name in pd.read_csv(path, sep=separator, nrows=0, index_col=False).columns]
    with path.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.reader(lines, delimiter=separator)
        for row in rows:
            if len(row) > len(header):
                raise VlalignError(
                    f"{path}: line {rows.line_num} has {len(row)} values, the header {len(header)}: "
                    f'put quotes ("…") around values that hold a {"tab" if separator == chr(9) else "comma"}'
                )
    return header


def undecoded(dataset: Dataset) -> Dataset:
    """The same data set with every image column left as {bytes, path}; nothing is copied or decoded."""
    from datasets import Image

    for name, feature in dataset.features.items():
        if isinstance(feature, Image) and feature.decode:
            dataset = dataset.cast_column(name, Image(decode=False))
    return dataset
