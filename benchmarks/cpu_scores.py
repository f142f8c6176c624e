"""Measure scoring: the layer grid against the reference algorithm, neighbours against the bare matmul, memory.

  python benchmarks/cpu_scores.py
  python benchmarks/cpu_scores.py --quick --json scores.json

Times that are compared are measured alternately in one process, after a warm-up; the medians are compared. Measure on
an idle machine: other work slows the reference's many small parallel steps more than ours and flatters the ratio of the
grid (94-110 when idle became 160-200 under load). Each row carries the load average before it started.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measure import Row, alternate, clock, growth_in_process, print_growth, row_of, run_alone, watched_growth
from torch import Tensor
from torch.nn.functional import normalize

from vlalign.arrays import DelayedLayer
from vlalign.data.embeddings import read_embeddings
from vlalign.metrics import MutualKnn, knn
from vlalign.metrics.engine.approximate import approximate_knn
from vlalign.metrics.engine.items import ItemLayer
from vlalign.metrics.engine.neighbour_lists import Layer
from vlalign.metrics.engine.neighbours import BLOCK_BYTES, NeighbourSearch, with_ties
from vlalign.metrics.engine.ties import Sided
from vlalign.scoring import score
from vlalign.scoring.batch import prepare_pairs
from vlalign.scoring.inputs import Arrays, Side
from vlalign.scoring.layers import PreparedSide
from vlalign.scoring.options import ScoreOptions
from vlalign.scoring.preprocessing import PRESETS
from vlalign.scoring.record import ScoreRecord

Shape = tuple[int, int]  # layers, width
_CONTENT = ("matrix", "best", "moments", "null", "interval", "checks")  # of a record, the same for any processes


def reference_mutual_knn(x: Tensor, y: Tensor, k: int) -> float:
    """Compute mutual-kNN of one layer pair as the public reference: a full argsort of each similarity matrix."""
    masks = []
    for features in (normalize(x, p=2, dim=-1), normalize(y, p=2, dim=-1)):
        neighbours = (features @ features.T).fill_diagonal_(-1e8).argsort(dim=1, descending=True)[:, :k]
        mask = torch.zeros(len(features), len(features))
        mask[torch.arange(len(features)).unsqueeze(1), neighbours] = 1.0
        masks.append(mask)
    return float(((masks[0] * masks[1]).sum(dim=1) / k).mean())


def make_layers(n: int, layers: int, width: int, seed: int, shared: Tensor) -> list[Tensor]:
    """Make layers [n, width] of a model that see ``shared`` [n, d] through noise, more of it in the middle."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for layer in range(layers):
        signal = shared @ torch.randn(shared.shape[1], width, generator=generator) / shared.shape[1] ** 0.5
        noise = torch.randn(n, width, generator=generator)
        made.append(signal * (1 - abs(2 * layer / max(1, layers - 1) - 1)) + noise)
    return made


def grid_rows(n: int = 1024, shape_x: Shape = (31, 576), shape_y: Shape = (12, 384), repeats: int = 5) -> list[Row]:
    """Measure scores of all layer pairs from features.

    The grid and the default score (null, interval and checks) against the reference pair by pair, with equal matrices;
    the grid of the preset ``platonic`` against one triangle of the inner products of each layer.
    """
    load = os.getloadavg()[0]
    k = 10
    shared = torch.randn(n, 16, generator=torch.Generator().manual_seed(0))
    x, y = make_layers(n, *shape_x, 1, shared), make_layers(n, *shape_y, 2, shared)

    def grid() -> ScoreRecord:
        return score(x, y, k=k, preset="cosine", permutations=0, half_samples=0)

    works: dict[str, Callable[[], object]] = {
        "grid": grid,
        "default": lambda: score(x, y, k=k, preset="cosine"),
        "platonic": lambda: score(x, y, k=k, permutations=0, half_samples=0),
        "triangle": lambda: triangles([*x, *y]),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    theirs: list[list[float]] = []
    slow = 0.0
    for i, layer_x in enumerate(x):  # all of the reference is timed, the others sometimes in between
        slow += clock(lambda: theirs.append([reference_mutual_knn(layer_x, layer_y, k) for layer_y in y]))  # noqa: B023
        if i % max(1, len(x) // repeats) == 0:
            for name, work in works.items():
                times[name].append(clock(work))
    difference = float((torch.tensor(grid().matrix) - torch.tensor(theirs)).abs().max())
    if difference > 1e-6:
        raise AssertionError(f"the matrix differs from the reference by {difference}")
    median = {name: statistics.median(values) for name, values in times.items()}
    what = f"N={n}, {shape_x[0]}×{shape_x[1]} and {shape_y[0]}×{shape_y[1]} layers"
    return [
        row_of(
            f"mutual-kNN grid, {what}", "per-pair full argsort", median["grid"], slow, "s", at_least=150,
            same_matrix=True, load_before=load,
        ),
        row_of(
            f"vlalign.score, default, {what}", "per-pair full argsort", median["default"], slow, "s", at_least=50,
            load_before=load,
        ),
        row_of(
            f"mutual-kNN grid, preset platonic, {what}", "bare triangle of products", median["platonic"],
            median["triangle"], "s", at_most=1.6, load_before=load,
        ),
    ]  # fmt: skip


def triangles(layers: Sequence[Tensor], tile: int = 128) -> None:
    """Compute one triangle of the inner products of each layer, in tiles of rows."""
    for layer in layers:
        for start in range(0, len(layer), tile):
            torch.mm(layer[start : start + tile], layer[start:].T)


def knn_row(n: int = 16384, width: int = 576, repeats: int = 5) -> Row:
    """Measure the neighbours of one layer against the row-block matmul alone."""
    load = os.getloadavg()[0]
    x = normalize(torch.randn(n, width, generator=torch.Generator().manual_seed(0)))
    block = min(n, 1024)
    products = torch.empty(block, n)

    def bare() -> None:
        for start in range(0, n, block):
            torch.mm(x[start : start + block], x.T, out=products)

    ours, theirs = alternate(lambda: knn(x, 10), bare, repeats)
    what = f"kNN of one layer, N={n}, D={width}"
    return row_of(what, "bare row-block matmul", ours, theirs, "s", at_most=1.3, load_before=load)


def memory_row(n: int = 100_000, width: int = 768) -> Row:
    """Measure the growth of the peak memory of a separate process during one call of knn."""
    load = os.getloadavg()[0]
    least = min(BLOCK_BYTES // 2, 4 * n * n) / 2**30  # the smallest allocation that it fills
    growth, seconds = growth_in_process(f"cpu_scores.knn_growth({n}, {width})", least)
    what = f"kNN, N={n}, D={width}: growth of peak memory"
    return row_of(what, "–", growth, None, "GiB", below=2, load_before=load, seconds=round(seconds, 1))


def knn_growth(n: int, width: int) -> None:
    """Print the growth of memory in knn, for :func:`memory_row`."""
    x = torch.randn(n, width)
    knn(x[:1024], 10)  # allocations of libraries that are made once
    print_growth(lambda: knn(x, 10))


def report_row(n: int = 8192, shape_x: Shape = (31, 576), shape_y: Shape = (12, 384)) -> Row:
    """Measure the growth of the peak memory of a separate process during a full report, features held before."""
    load = os.getloadavg()[0]
    growth, seconds = growth_in_process(f"cpu_scores.report_growth({n}, {shape_x}, {shape_y})")
    what = f"full report, N={n}, {shape_x[0]}×{shape_x[1]} and {shape_y[0]}×{shape_y[1]} layers: growth of peak memory"
    return row_of(what, "–", growth, None, "GiB", below=2, load_before=load, seconds=round(seconds, 1))


def report_growth(n: int, shape_x: Shape, shape_y: Shape) -> None:
    """Print the growth of memory in a full report, for :func:`report_row`."""
    shared = torch.randn(n, 16, generator=torch.Generator().manual_seed(0))
    x, y = make_layers(n, *shape_x, 1, shared), make_layers(n, *shape_y, 2, shared)
    score(x[0][:64], y[0][:64], full=True)  # allocations of libraries that are made once
    print_growth(lambda: score(x, y, full=True, permutations=20, half_samples=4))  # more draws need no more memory


class FirstRows(MutualKnn):
    """Mutual-kNN that searches the neighbours of the first rows among all, and notes the memory before."""

    rows: int
    growth: Callable[[], float]
    before: list[float]

    def __init__(self, rows: int, growth: Callable[[], float]) -> None:
        super().__init__()
        self.__dict__.update(rows=rows, growth=growth, before=[])

    @property
    def lazy(self) -> bool:
        return True

    def prepare(self, layer: Layer) -> Sided[Tensor]:
        """Search the lists [rows, k]."""
        assert not isinstance(layer, DelayedLayer | ItemLayer), "a score of one layer a side holds it"
        self.before.append(self.growth())
        search = NeighbourSearch(layer, self.k)
        lists = torch.empty((self.rows, self.k), dtype=torch.int32)
        return with_ties(lists, search.block(0, lists, torch.empty(self.rows, len(layer))))


def large_row(n: int = 1_000_000, width: int = 512, rows: int = 64, kind: str = "npy") -> Row:
    """Measure the memory of two float16 files until neighbours are searched; ``rows`` rows are searched.

    Args:
        n, width: of each array.
        rows: that are searched.
        kind: ``npy`` or ``parquet``.
    """
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        draw = torch.Generator().manual_seed(0)
        step = min(n, 10_000)
        files = [
            np.lib.format.open_memmap(f"{folder}/{side}.npy", mode="w+", dtype=np.float16, shape=(n, width))
            for side in "xy"
        ]
        for start in range(0, n, step):
            shared = torch.randn(step, width, generator=draw)
            for file in files:
                file[start : start + step] = (shared + torch.randn(step, width, generator=draw)).half().numpy()
        if kind == "parquet":
            for side, file in zip("xy", files, strict=True):
                write_parquet(file, f"{folder}/{side}.parquet", step)
        del files
        growth, seconds = growth_in_process(f"cpu_scores.large_growth({folder!r}, {rows}, {kind!r})")
    what = f"score of 2 float16 {kind} files, N={n}, D={width}: memory before the neighbours of {rows} rows"
    return row_of(what, "–", growth, None, "GiB", below=1, load_before=load, seconds=round(seconds, 1))


def write_parquet(array: np.ndarray, path: str, step: int) -> None:
    """Write an array [N, D] as a column of vectors, ``step`` rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = pa.list_(pa.float16(), array.shape[1])
    schema = pa.schema([("embedding", kind)])
    with pq.ParquetWriter(path, schema) as file:
        for start in range(0, len(array), step):
            flat = pa.array(array[start : start + step].reshape(-1))
            file.write_table(pa.table([pa.FixedSizeListArray.from_arrays(flat, type=kind)], schema=schema))


def large_growth(folder: str, rows: int, kind: str) -> None:
    """Print the growth of memory from opening two files to the search of neighbours, for :func:`large_row`."""
    score(torch.randn(64, 8), torch.randn(64, 8))  # allocations of libraries that are made once
    with watched_growth() as growth:
        metric = FirstRows(rows, growth)

        def work() -> None:
            arrays = [Arrays(read_embeddings(f"{folder}/{side}.{kind}").features, side) for side in "xy"]
            (planned,) = prepare_pairs([(arrays[0], arrays[1])], ScoreOptions(metric=(metric,)))
            for given, label in zip(planned.sides, "xy", strict=True):
                PreparedSide(Side(given, label), PRESETS["platonic"], False, None).prepare(metric, {})

        seconds = clock(work)
    print(max(metric.before), seconds)


def large_rows(n: int = 1_000_000, width: int = 512) -> list[Row]:
    """Measure both kinds of files."""
    return [large_row(n, width, kind=kind) for kind in ("npy", "parquet")]


def default_row(n: int = 16_384, layers: int = 2, width: int = 384) -> Row:
    """Measure a default score: grid, null, interval and checks."""
    load = os.getloadavg()[0]
    shared = torch.randn(n, 16, generator=torch.Generator().manual_seed(0))
    x, y = (make_layers(n, layers, width, seed, shared) for seed in (1, 2))
    score(x[0][:64], y[0][:64])
    seconds = clock(lambda: score(x, y))
    what = f"vlalign.score, default, N={n}, {layers} × {layers} layers, D={width}"
    return row_of(what, "–", seconds, None, "s", below=15, load_before=load)


def approximate_row(n: int = 100_000, width: int = 384, length: int = 90) -> Row:
    """Measure approximate neighbours of one layer against exact ones, on one thread, in seconds of the processor."""
    load, threads = os.getloadavg()[0], torch.get_num_threads()
    torch.set_num_threads(1)
    shared = torch.randn(n, 16, generator=torch.Generator().manual_seed(0))
    x = normalize(make_layers(n, 2, width, 1, 3 * shared)[1])
    times, recall = [], 0.0
    try:
        for search in (approximate_knn, None):
            start = time.process_time()
            if search is None:
                knn(x, length)
            else:
                recall = search(x, 10, length)[1]
            times.append(time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    what = f"neighbours by faiss, N={n}, D={width}, lists of {length}, recall {recall:.3f}"
    return row_of(what, "exact neighbours", times[0], times[1], "s", at_least=1, load_before=load)


def processes_row(n: int = 100_000, width: int = 384) -> Row:
    """Measure the default score of two files with two processes against one, one thread each; same record."""
    load = os.getloadavg()[0]
    root = Path(__file__).parents[1]
    shared = torch.randn(n, 16, generator=torch.Generator().manual_seed(0))
    times, records = [], []
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{name}.npy" for name in "xy"]
        for seed, file in enumerate(files):
            np.save(file, torch.stack(make_layers(n, 2, width, seed, shared), dim=1).numpy())
        for count in (2, 1):
            out = Path(folder, str(count))
            launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(count)]
            command = [*launch, "scripts/score.py", *files, "--out", str(out), "--no-figure"]
            run = partial(subprocess.run, command, cwd=root, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
            times.append(clock(lambda: run(stdout=subprocess.DEVNULL)))  # noqa: B023
            (path,) = out.glob("*.json")
            records.append({name: value for name, value in vars(ScoreRecord.load(path)).items() if name in _CONTENT})
    if records[0] != records[1]:
        raise AssertionError("two processes gave another record than one")
    what = f"vlalign.score of two files, N={n}, 2 × 2 layers, D={width}: two processes"
    return row_of(what, "one process", times[0], times[1], "s", at_most=0.62, same_record=True, load_before=load)


def rows(quick: bool = False) -> list[Row]:
    """Measure all rows; ``quick`` measures smaller cases, to check that everything runs."""
    if quick:
        return [
            *grid_rows(256, (5, 64), (3, 48), 2), knn_row(2048, 64, 3), memory_row(8192, 64),
            report_row(512, (3, 32), (2, 16)), *large_rows(40_000, 64), default_row(512, 2, 16),
            approximate_row(1500, 16, 20),
        ]  # fmt: skip
    return [
        *grid_rows(), knn_row(width=576), knn_row(width=4096, repeats=3), memory_row(), report_row(), *large_rows(),
        default_row(), approximate_row(), processes_row(),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_alone(rows, __doc__))
