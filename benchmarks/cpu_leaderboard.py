"""Measure the leaderboard: seconds and size of the site for 1,000 records.

  python benchmarks/cpu_leaderboard.py
  python benchmarks/cpu_leaderboard.py --quick --json leaderboard.json

The records are those of one made-up pair of models, 12 × 31 layers, in depth (a null of 1,000 permutations, curves,
interval), under the names and keys of a grid of models: as large as those of the demonstration. How fast the page
searches and sorts is measured in a browser, by tests/browser.
"""

from __future__ import annotations

import copy
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from cpu_metrics import Shape
from cpu_scores import make_layers
from measure import Row, row_of, run_alone

from vlalign.models.registry import MODELS
from vlalign.report.leaderboard import save_leaderboard
from vlalign.scoring import ScoreRecord, score
from vlalign.scoring.collect import collect
from vlalign.store import RunKey

SECONDS, MEGABYTES = 20, 15  # of 1,000 records


def run_of(name: str, modality: str, seed: int) -> dict[str, Any]:
    """Make the entry of a run in a record."""
    key = {
        "format": 1,
        "model": {"name": name, "modality": modality, "source": f"hub:made-up/{name}", "revision": f"{seed:040x}"},
        "dtype": "float32",
        "quantization": "none",
        "layers": "all",
        "data": {"name": "made-up", "n": 256, "id_source": "column", "ids": "0" * 64, "content": modality[0] * 64}
        | ({"caption": 0} if modality == "text" else {}),
        "perturbations": [],
        "pooling": "mean",
    }
    return {"hash": RunKey(key).hash, "key": key, "facts": {"truncated": 0}}


def made_up_records(count: int, shape: tuple[Shape, Shape] = ((12, 64), (31, 64))) -> Iterator[ScoreRecord]:
    """Make ``count`` records of a grid of vision and text models, its square root on each side."""
    shared = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
    first = score(make_layers(256, *shape[0], 1, shared), make_layers(256, *shape[1], 2, shared), full=True)
    names = {kind: [spec.alias for spec in MODELS if spec.modality == kind] for kind in ("vision", "text")}
    side = int(count**0.5 + 0.999)
    draw = torch.Generator().manual_seed(1)
    for i in range(count):
        x, y = divmod(i, side)
        sides = []
        for kind, at in (("vision", x), ("text", y)):
            name = names[kind][at % len(names[kind])] + (
                f"-v{at // len(names[kind])}" if at >= len(names[kind]) else ""
            )
            sides.append({"model": name, "modality": kind, "run": run_of(name, kind, at), "tensor": None})
        share = 0.6 + 0.4 * float(torch.rand((), generator=draw))
        matrix = [[value * share for value in row] for row in first.matrix]
        best = copy.deepcopy(first.best) | {"score": first.score * share}
        assert first.interval is not None
        interval = first.interval | {end: first.interval[end] * share for end in ("low", "high")}
        performance = {"x": None, "y": {"bits_per_byte": 0.8 + 0.4 * share}}
        yield replace(
            first, x=sides[0], y=sides[1], matrix=matrix, best=best, interval=interval, performance=performance
        )


def site_rows(count: int, **sizes: Any) -> list[Row]:
    """Measure reading the records and building the site: seconds, and megabytes of the folder."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        results, site = Path(folder) / "results", Path(folder) / "site"
        for i, record in enumerate(made_up_records(count, **sizes)):
            record.save(results / f"{i:05d}.json")
        start = time.perf_counter()
        board = save_leaderboard(collect([results]), site)
        seconds = time.perf_counter() - start
        size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 1e6
        index = (site / "index.html").stat().st_size / 1e6
    if len(board.entries) != count or board.invalid:
        raise AssertionError(f"{len(board.entries)} of {count} records are on the board")
    goals = (SECONDS, MEGABYTES) if count >= 1000 else (None, None)
    what = f"leaderboard site of {count:,} records"
    return [
        row_of(f"{what}, read and built", "–", seconds, None, "s", below=goals[0], load_before=load),
        row_of(f"{what}: size", "–", size, None, "MB", below=goals[1], index=round(index, 2), load_before=load),
    ]


def rows(quick: bool = False) -> list[Row]:
    """Measure all rows; ``quick`` measures a small case, to check that everything runs."""
    return site_rows(10, shape=((2, 8), (3, 8))) if quick else site_rows(1000)


if __name__ == "__main__":
    sys.exit(run_alone(rows, __doc__))
