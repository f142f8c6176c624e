"""Measure pushing features: writing Parquet from a store against pyarrow alone writing the same tables.

  python benchmarks/cpu_hub.py
  python benchmarks/cpu_hub.py --quick --json hub.json

Ours reads the shards, casts them, measures the loss, writes and computes the checksum; pyarrow alone has the
finished tables in memory and writes them one after the other, with the same options. MB are of features as float16.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from measure import Row, alternate, clock, row_of, run_alone

from vlalign.hub.build import build_runs
from vlalign.hub.parquet import OPTIONS, row_bytes, write_run
from vlalign.store import FeatureStore, Layer, Run, RunKey
from vlalign.study.jobs import run_jobs


def make_store(folder: Path, models: int, n: int, layers: int, width: int) -> list[Run]:
    """Make a store of random features, in shards of 128 rows."""
    generator = torch.Generator().manual_seed(0)
    axis = [Layer(i, f"block_{i}", width, "") for i in range(layers)]
    runs = []
    for model in range(models):
        key = RunKey({"model": {"name": f"model-{model}", "modality": "text"}})
        writer = FeatureStore(folder).writer(key, [f"sample-{i}" for i in range(n)])
        for shard in writer.shards:
            writer.write(shard, {a.name: torch.randn(shard.rows, width, generator=generator) for a in axis}, axis, {})
        runs.append(writer.finish({}))
    return runs


def rows_of(n: int, layers: int, width: int, models: int, repeats: int) -> list[Row]:
    """Measure writing, its rate, and a whole build with checks before and after."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = make_store(folder / "store", models, n, layers, width)
        size = sum(run.n * row_bytes(run, "float16") for run in runs) / 1e6

        def write(run: Run, check: Callable[[], None]) -> None:
            write_run(run, folder / "ours", run.key.model, "float16", {})

        def ours() -> None:
            run_jobs(runs, write, torch.device("cpu"))

        ours()
        tables = [pq.read_table(folder / "ours" / "data" / run.key.model) for run in runs]
        assert all(table.schema.field("layer_00").type == pa.list_(pa.float16(), width) for table in tables)

        def theirs() -> None:
            for i, table in enumerate(tables):
                pq.write_table(table, folder / f"{i}.parquet", **OPTIONS)

        our_seconds, their_seconds = alternate(ours, theirs, repeats)
        shutil.rmtree(folder / "ours")
        whole = clock(lambda: build_runs([(run, run.key.model) for run in runs], folder / "built", "float16"))
    what = f"features of {models} models as Parquet, {n} × {layers} layers × {width}, float16"
    rate = size / our_seconds
    first = row_of(what, "pyarrow alone, same tables", our_seconds, their_seconds, "s", at_most=1.5, load_before=load)
    second = row_of(f"{what}: rate", "–", rate, None, "MB/s", above=200, load_before=load)
    third = row_of(
        f"{what}: with shards checked and files read back", "–", size / whole, None, "MB/s", load_before=load
    )
    return [first, second, third]


def rows(quick: bool = False) -> list[Row]:
    """Measure all rows; ``quick`` measures smaller cases, to check that everything runs."""
    if quick:
        return rows_of(256, 4, 64, 2, 1)
    return [*rows_of(1024, 44, 768, 4, 5), *rows_of(1024, 44, 4096, 4, 1)]


if __name__ == "__main__":
    sys.exit(run_alone(rows, __doc__))
