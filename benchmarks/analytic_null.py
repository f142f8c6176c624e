"""Compare the analytic null of shared neighbours with permutations: its p-values at points of their tail, and its time.

python benchmarks/analytic_null.py --permutations 100000
python benchmarks/analytic_null.py --speed
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from vlalign.metrics.base import Floats
from vlalign.metrics.definitions.mutual_knn import overlap_counts_permuted
from vlalign.metrics.engine.covariance import shared_neighbour_moments
from vlalign.metrics.engine.neighbours import knn
from vlalign.report.console import console
from vlalign.stats.analytic import largest_count
from vlalign.stats.null import permutations

#: N, k, layers of each side, dimensions, the part of the features that layers of a side share, and the kind of rows
CASES = [
    (16, 3, 5, 16, 0.7, ""), (64, 1, 1, 16, 0.0, ""), (64, 1, 20, 16, 0.0, ""), (64, 5, 3, 16, 0.7, "equal"),
    (64, 10, 20, 16, 0.7, ""), (64, 50, 3, 16, 0.7, ""), (128, 10, 5, 64, 0.0, ""), (256, 10, 5, 64, 0.7, "equal"),
    (256, 10, 5, 64, 0.7, "hubs"), (256, 10, 20, 64, 0.7, ""), (256, 10, 20, 64, 0.0, ""), (512, 10, 5, 8, 0.7, ""),
    (1024, 1, 3, 64, 0.7, ""), (1024, 10, 5, 300, 0.0, ""), (4096, 10, 2, 64, 0.7, ""), (4096, 1, 5, 64, 0.7, ""),
    (512, 50, 5, 64, 0.0, ""), (1024, 50, 2, 64, 0.7, ""),
]  # fmt: skip
POINTS = (0.05, 0.01, 0.001)


def lists(layers: int, n: int, k: int, width: int, shared: float, kind: str, seed: int) -> Tensor:
    """Return neighbour lists [L, N, k] of random layers; a tenth of the samples repeats others.

    Kind ``equal``: eight samples each are equal. ``hubs``: norms differ, so that few samples are neighbours of most.
    """
    draw = torch.Generator().manual_seed(seed)
    base = torch.randn(n, width, generator=draw)
    made = [shared * base + (1 - shared) * torch.randn(n, width, generator=draw) for _ in range(layers)]
    rows = torch.arange(n)
    rows[: n // 10] = rows[n // 10 : n // 10 + n // 10]
    if kind == "equal":
        rows = rows // 8
    norms = (0.3 * torch.randn(n, 1, generator=draw)).exp() if kind == "hubs" else torch.ones(n, 1)
    return torch.stack([knn(norms * torch.nn.functional.normalize(one[rows], dim=1), k) for one in made])


def moments(x: Tensor, y: Tensor) -> tuple[Floats, Floats]:
    """Return mean [P] and covariance [P, P] of all layer pairs."""
    mean, covariance = shared_neighbour_moments(x.numpy(), y.numpy())
    return mean.ravel(), covariance.reshape(mean.size, mean.size)


def tails(count: int) -> None:
    """Compare p-values at the largest values that 5 %, 1 % and .1 % of the permutations reach, a case a line."""
    print(f"p-value of the analytic null / share of {count:,} permutations at points of the tail; 95 % points")
    print("| N | k | pairs | shared | kind | 5 % | 1 % | .1 % | 95 % point |")
    for n, k, layers, width, shared, kind in CASES:
        x, y = (lists(layers, n, k, width, shared, kind, seed) for seed in (0, 1))
        maxima = np.concatenate(
            [overlap_counts_permuted(x, y, part).max(axis=(1, 2)) for part in permutations(n, count, 0, 500)]
        )
        mean, covariance = moments(x, y)
        texts = []
        for point in POINTS:
            observed = float(np.quantile(maxima, 1 - point, method="higher"))
            p_value = largest_count(mean, covariance, observed, draws=1).p_value
            texts.append(f"{p_value:.5f} / {(maxima >= observed).mean():.5f}")
        exact = np.sort(maxima)[int(np.ceil(0.95 * len(maxima))) - 1]
        texts.append(f"{largest_count(mean, covariance, 0).threshold():.0f} / {exact:.0f}")
        print("|", " | ".join([str(n), str(k), str(layers**2), f"{shared:g}", kind, *texts]), "|", flush=True)


def speed() -> Table:
    """Time the analytic null of 2 × 2 layers beside 100 permutations, scaled to 1,000."""
    table = Table(title="seconds of CPU of the null of 2 × 2 layers, k = 10")
    for column in ("N", "analytic", "1,000 permutations"):
        table.add_column(column, justify="right")
    for n in (1024, 16_384, 65_536, 1_000_000):
        x, y = (torch.randint(n - 1, (2, n, 10), generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
        start = time.process_time()
        largest_count(*moments(x, y), 130)
        analytic, text = time.process_time() - start, "–"
        if n < 100_000:
            (part,) = permutations(n, 100, 0, 100)
            start = time.process_time()
            overlap_counts_permuted(x, y, part)
            text = f"{10 * (time.process_time() - start):.1f}"
        table.add_row(f"{n:,}", f"{analytic:.2f}", text)
    return table


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--permutations", type=int, default=20_000, metavar="K")
    parser.add_argument("--speed", action="store_true", help="time instead of p-values")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.speed:
        console().print(speed())
    else:
        tails(asked.permutations)


if __name__ == "__main__":
    main()
