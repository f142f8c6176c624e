"""Measure scoring: the layer grid against the reference algorithm, neighbours against the bare matmul, memory.

  python benchmarks/cpu_scores.py
  python benchmarks/cpu_scores.py --quick --json scores.json

Times that are compared are measured alternately in one process, after a warm-up; the medians are compared. Measure on
an idle machine: other work slows the reference's many small parallel steps more than ours and flatters the ratio of the
grid (94-110 when idle became 160-200 under load). Each row carries the load average before it started.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vlalign.metrics import knn
from vlalign.metrics.engine.neighbours import BLOCK_BYTES
from vlalign.scoring import score

Row = dict[str, Any]  # what, against, ours, theirs, unit, ratio, reach, met, and details of the measurement


def reference_mutual_knn(x: Tensor, y: Tensor, k: int) -> float:
    """Mutual-kNN of one layer pair as the public reference computes it: a full argsort of each similarity matrix."""
    masks = []
    for features in (normalize(x, p=2, dim=-1), normalize(y, p=2, dim=-1)):
        neighbours = (features @ features.T).fill_diagonal_(-1e8).argsort(dim=1, descending=True)[:, :k]
        mask = torch.zeros(len(features), len(features))
        mask[torch.arange(len(features)).unsqueeze(1), neighbours] = 1.0
        masks.append(mask)
    return float(((masks[0] * masks[1]).sum(dim=1) / k).mean())


def make_layers(n: int, layers: int, width: int, seed: int, shared: Tensor) -> list[Tensor]:
    """Layers [n, width] of a made-up model that see ``shared`` [n, d] through noise, more of it in the middle."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for layer in range(layers):
        signal = shared @ torch.randn(shared.shape[1], width, generator=generator) / shared.shape[1] ** 0.5
        noise = torch.randn(n, width, generator=generator)
        made.append(signal * (1 - abs(2 * layer / max(1, layers - 1) - 1)) + noise)
    return made


def grid_row(
    n: int = 1024, shape_x: tuple[int, int] = (31, 576), shape_y: tuple[int, int] = (12, 384), repeats: int = 5
) -> Row:
    """The whole mutual-kNN grid from features, against the reference pair by pair; the matrices must be the same."""
    load = os.getloadavg()[0]
    k = 10
    shared = torch.randn(n, 16, generator=torch.Generator().manual_seed(0))
    x, y = make_layers(n, *shape_x, 1, shared), make_layers(n, *shape_y, 2, shared)

    def ours() -> list[list[float]]:
        return score(x, y, k=k, preset="cosine", permutations=0, half_samples=0).matrix

    ours()
    theirs = [[0.0] * len(y) for _ in x]
    slow, fast, matrix = 0.0, [], []
    for i, layer_x in enumerate(x):  # the reference is timed as a whole, ours now and then beside it
        start = time.perf_counter()
        for j, layer_y in enumerate(y):
            theirs[i][j] = reference_mutual_knn(layer_x, layer_y, k)
        slow += time.perf_counter() - start
        if i % max(1, len(x) // repeats) == 0:
            start = time.perf_counter()
            matrix = ours()
            fast.append(time.perf_counter() - start)
    difference = float((torch.tensor(matrix) - torch.tensor(theirs)).abs().max())
    if difference > 1e-6:
        raise AssertionError(f"the matrix differs from the reference by {difference}")
    what = f"mutual-kNN grid, N={n}, {shape_x[0]}×{shape_x[1]} and {shape_y[0]}×{shape_y[1]} layers"
    ours_seconds = statistics.median(fast)
    return row_of(
        what, "per-pair full argsort", ours_seconds, slow, "s", at_least=150, same_matrix=True, load_before=load
    )


def knn_row(n: int = 16384, width: int = 576, repeats: int = 5) -> Row:
    """Neighbours of one layer against the row-block matmul alone."""
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
    """Growth of the peak memory of a process of its own during one call of knn."""
    load = os.getloadavg()[0]
    line = [sys.executable, "-c", f"import cpu_scores; cpu_scores.print_growth({n}, {width})"]
    done = subprocess.run(line, cwd=Path(__file__).resolve().parent, check=True, capture_output=True, text=True)
    growth, seconds = (float(part) for part in done.stdout.split())
    least = min(BLOCK_BYTES // 2, 4 * n * n) / 2**30  # what it allocates and fills at the very least
    if growth < least:
        raise AssertionError(
            f"a growth of {growth:.3f} GiB is less than one block ({least:.3f}): the measurement is broken"
        )
    row = row_of(f"kNN, N={n}, D={width}: growth of peak memory", "–", growth, None, "GiB", load_before=load)
    return {**row, "reach": "< 2 GiB", "met": growth < 2, "seconds": round(seconds, 1)}


def peak_bytes() -> int:
    """Peak resident memory of this process.

    On Linux not ``ru_maxrss``: a child starts with the peak of the parent that forked it, which hides its own growth.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def print_growth(n: int, width: int) -> None:
    """GiB that the peak resident memory grows by in knn, and its seconds; for :func:`memory_row`."""
    x = torch.randn(n, width)
    knn(x[:1024], 10)  # what libraries allocate once
    before = peak_bytes()
    start = time.perf_counter()
    knn(x, 10)
    seconds = time.perf_counter() - start
    print((peak_bytes() - before) / 2**30, seconds)


def rows(quick: bool = False) -> list[Row]:
    """All rows; ``quick`` measures smaller cases, to see that everything runs."""
    if quick:
        return [grid_row(256, (5, 64), (3, 48), 2), knn_row(2048, 64, 3), memory_row(8192, 64)]
    return [grid_row(), knn_row(width=576), knn_row(width=4096, repeats=3), memory_row()]


def alternate(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Medians of the seconds of both, called in turn, after a first round that warms up."""
    times: tuple[list[float], list[float]] = ([], [])
    for i in range(repeats + 1):
        for kept, work in zip(times, (ours, theirs), strict=True):
            start = time.perf_counter()
            work()
            if i:  # the first round warms up
                kept.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def row_of(
    what: str, against: str, ours: float, theirs: float | None, unit: str,
    *, at_least: float | None = None, at_most: float | None = None, **more: Any,
) -> Row:  # fmt: skip
    row: Row = {"what": what, "against": against, "ours": ours, "theirs": theirs, "unit": unit, "ratio": None}
    row |= {"reach": "–", "met": None}
    if at_least is not None and theirs is not None:
        row |= {"ratio": theirs / ours, "reach": f"≥ {at_least:g}×", "met": theirs / ours >= at_least}
    if at_most is not None and theirs is not None:
        row |= {"ratio": ours / theirs, "reach": f"≤ {at_most:g}×", "met": ours / theirs <= at_most}
    return {**row, "threads": torch.get_num_threads(), **more}


def print_row(row: Row) -> None:
    """One row as a line of text."""
    ratio = "" if row["ratio"] is None else f"ratio {row['ratio']:.2f}  "
    theirs = "" if row["theirs"] is None else f"against {row['theirs']:.3f} {row['unit']}  "
    load = f", load {row['load_before']:.1f}" if "load_before" in row else ""
    reach = "" if row["met"] is None else f"(reach {row['reach']}, met: {row['met']}{load})"
    print(f"{row['what']}: {row['ours']:.3f} {row['unit']}  {theirs}{ratio}{reach}")


def run_alone(rows: Callable[[bool], list[Row]], doc: str | None) -> int:
    """One part of the benchmark as a program: measure, show the rows, write JSON where asked."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small cases: shows that it runs, not how fast")
    parser.add_argument("--json", metavar="FILE", help="write the rows there too")
    arguments = parser.parse_args()
    made = rows(arguments.quick)
    for row in made:
        print_row(row)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run_alone(rows, __doc__))
