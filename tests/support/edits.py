"""A small set of captions, and extractions of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vlalign.data import DataSpec
from vlalign.extraction import extract
from vlalign.store import Run

CAPTIONS = ["a red circle on a table", "two ships in a storm", "the old bridge", "a map of the northern towns", "sheep"]


def table_of(path: Path, captions: list[str]) -> DataSpec:
    """A data set of captions with ids s0, s1, …"""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.dumps({"id": f"s{i}", "text": text}) for i, text in enumerate(captions)]
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return DataSpec(str(path))


def extracted(model: Path, data: DataSpec, store: Path, **settings: Any) -> Run:
    """The one run of a model."""
    (run,) = extract(str(model), data=data, store=store, **{"workers": 0, **settings})
    return run
