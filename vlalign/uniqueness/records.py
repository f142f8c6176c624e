"""Score records of a study, one file for each pair and rate, which later runs reuse."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from vlalign.metrics import Metric
    from vlalign.scoring import ScoreRecord
    from vlalign.uniqueness.points import Point

log = logging.getLogger(__name__)

FOLDER = "records"


class Records:
    """Folder of the records of a study.

    Args:
        out: the study's folder; nothing is created until a record is put there.
        metric: records of other metrics are not read.
    """

    def __init__(self, out: str | Path, metric: Metric) -> None:
        self.out = Path(out)
        self._wanted = {"name": metric.name, "params": {name: _plain(v) for name, v in metric.params.items()}}
        self._stored: dict[tuple[str, str], tuple[str, ScoreRecord]] | None = None

    def get(self, x: str, y: str) -> tuple[str, ScoreRecord] | None:
        """Return path (relative to the study's folder) and record of the runs with these hashes, if scored."""
        if self._stored is None:
            self._stored = self._read()
        return self._stored.get((x, y))

    def put(self, record: ScoreRecord) -> str:
        """Write a record; return its path relative to the study's folder.

        Raises:
            VlalignError: it cannot be written.
        """
        path = f"{FOLDER}/{record.filename}"
        record.save(self.out / path)
        return path

    def _read(self) -> dict[tuple[str, str], tuple[str, ScoreRecord]]:
        stored = {}
        for path in sorted((self.out / FOLDER).glob("*.json")):
            try:
                record = load(path)
                runs = record.x["run"], record.y["run"]
                key = tuple(run["hash"] for run in runs if run)
            except VlalignError as error:  # scored again, and then replaced
                log.warning("%s", error)
                continue
            except (TypeError, KeyError):
                log.warning("%s is not a whole score record: it does not state of which runs", path)
                continue
            if record.metric == self._wanted and len(key) == 2:
                stored[key] = f"{FOLDER}/{path.name}", record
        return stored


def load(path: str | Path) -> ScoreRecord:
    """Load a record by its path."""
    from vlalign.scoring import ScoreRecord

    return ScoreRecord.load(path)


def load_of(out: str | Path, point: Point) -> ScoreRecord | None:
    """Load the record of a point; None if it has no record or the file is missing."""
    path = Path(out) / (point.record or "")
    return load(path) if path.is_file() else None


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
