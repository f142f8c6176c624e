"""Scores of single samples at the best layer pair of a record, and the file beside the record that holds them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlalign.errors import VlalignError
from vlalign.files import one_line, write_whole
from vlalign.metrics.base import Floats

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.scoring.record import ScoreRecord

_TOLERANCE = 1e-9  # between the score of a record and the mean over its samples


def keep(record: ScoreRecord, ids: list[str] | None, rows: Sequence[int], values: Floats) -> None:
    """Add the scores [N] of the samples to a new record, with their ids or, without ids, their row numbers."""
    object.__setattr__(record, "_samples", (np.array(rows) if ids is None else ids, values))


def file_beside(path: Path) -> Path:
    """Return the file for the samples of the record in a file."""
    return path.with_suffix(".samples.parquet")


def write_beside(record: ScoreRecord, path: Path) -> Path | None:
    """Write the samples of a new record beside its file ``path``, and return their file.

    None for a metric that is no mean over samples: a file of an earlier record is then removed.

    Raises:
        VlalignError: the file cannot be written.
    """
    file = file_beside(path)
    if record._samples is None:
        file.unlink(missing_ok=True)
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids, values = record._samples
    columns = [_texts(ids) if isinstance(ids, list) else _numbers(ids), _numbers(values)]
    table = pa.Table.from_arrays(columns, names=["id", "score"])
    return write_whole(file, lambda temp: pq.write_table(table, temp))


def _texts(values: list[str]) -> Any:
    """Return an Arrow array of texts; pyarrow.array would import pandas, which takes a second."""
    import pyarrow as pa

    encoded = [value.encode("utf-8", "backslashreplace") for value in values]  # odd names of files
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return pa.LargeStringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))


def _numbers(values: NDArray[Any]) -> Any:
    """Return an Arrow array of numbers, without pandas."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def frame_of(record: ScoreRecord) -> pd.DataFrame:
    """Return :meth:`vlalign.ScoreRecord.samples`."""
    import pandas as pd

    if record._samples is not None:
        ids, values = record._samples
        return pd.DataFrame({"id": ids, "score": values})
    name = record.metric["name"]
    if record._path is None:
        raise VlalignError(f"no scores of samples: {name} is no mean over samples, or the record was changed")
    file = file_beside(record._path)
    try:
        frame = pd.read_parquet(file, columns=["id", "score"])
    except FileNotFoundError as error:
        raise VlalignError(
            f"there is no file {file}: {name} is no mean over samples, or score again with --force to write it"
        ) from error
    except Exception as error:  # pandas and pyarrow raise various errors for a broken file
        raise VlalignError(f"cannot read {file}: {one_line(error)}; score again with --force to write it") from error
    mean = float(frame["score"].mean()) if len(frame) == record.n else math.nan
    if not math.isclose(mean, record.score, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
        raise VlalignError(f"{file} is of another record than {record._path}: score again with --force")
    return frame
