"""Existing records of a folder, and scores computed only where a record is missing."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vlalign.display import visible
from vlalign.errors import VlalignError
from vlalign.processes import meet_sharing
from vlalign.scoring.batch import Planned
from vlalign.scoring.collect import read_record
from vlalign.scoring.inputs import is_run
from vlalign.scoring.record import ScoreRecord
from vlalign.store.checksums import canonical, encode
from vlalign.store.probes import OF_TEXT, stored_performance

log = logging.getLogger(__name__)

_TITLE = 50  # characters of a pair beside the bar


def records_in(folder: Path, known: Mapping[Path, ScoreRecord] | None = None) -> dict[Path, ScoreRecord]:
    """Return the valid records directly in a folder by their files, sorted; other files are skipped.

    Args:
        folder: of the files.
        known: records of files that need not be read.
    """
    records = dict(known or {})
    for path in folder.glob("*.json"):
        if path in records:
            continue
        try:
            records[path] = read_record(path)
        except VlalignError as error:
            log.debug("%s", error)
    return dict(sorted(records.items()))


def kept_records(planned: Sequence[Planned], folder: Path, *, force: bool = False) -> list[ScoreRecord | None]:
    """Return for each planned score the record in the folder that it would give again; with ``force`` None for all."""
    earlier = {} if force else {encode(canonical(r.environment.get("request"))): r for r in records_in(folder).values()}
    if not earlier:  # digests of arrays, which requests have, take time
        return [None] * len(planned)
    return [None if one.request is None else earlier.get(encode(canonical(one.request))) for one in planned]


def score_missing(
    planned: Sequence[Planned], folder: Path, *, force: bool = False, progress: bool = True
) -> Iterator[ScoreRecord]:
    """Yield the record of each planned score: the existing one in the folder, or a new one.

    A record is kept if it was made from the same runs with the same settings by this version of vlalign.

    Args:
        planned: scores, in order.
        folder: of earlier records; need not exist.
        force: compute all of them.
        progress: show a bar on standard error.
    """
    from tqdm import tqdm

    kept = kept_records(planned, folder, force=force)
    meet_sharing()  # before any of them writes
    count = sum(record is not None for record in kept)
    if count:
        log.info("%d of %d scores already in %s: kept (--force recomputes them)", count, len(planned), folder)
    bar = tqdm(
        total=len(planned), initial=count, desc="scoring", unit=" pairs", delay=1e-9, dynamic_ncols=True, leave=False,
        disable=not progress or count == len(planned),
    )  # fmt: skip
    with bar:
        for one, record in zip(planned, kept, strict=True):
            if record is not None:
                one.pass_over()
                yield _with_performance(record, one)
                continue
            bar.set_postfix_str(visible(one.title, most=_TITLE))
            record = one()
            bar.clear()
            yield record  # saved and shown by the caller
            bar.update()


def _with_performance(record: ScoreRecord, planned: Planned) -> ScoreRecord:
    """Return an existing record with the scores of the probes that are now stored; no features are read."""
    performance = dict(record.performance)
    for label, side in zip("xy", planned.sides, strict=True):
        if is_run(side):
            kept = {name: value for name, value in (performance[label] or {}).items() if name in OF_TEXT}
            performance[label] = {**stored_performance(side.path), **kept} or None  # type: ignore[union-attr]
    return record if performance == record.performance else replace(record, performance=performance)
