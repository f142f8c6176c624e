"""Compare the analytic null with permutations: its p-values at points of their tail, and its time.

python benchmarks/analytic_null.py --permutations 100000
python benchmarks/analytic_null.py --kernels --permutations 20000
python benchmarks/analytic_null.py --speed
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from vlalign.metrics import parse_metric
from vlalign.metrics.base import NullMoments
from vlalign.metrics.definitions.mutual_knn import overlap_counts_permuted
from vlalign.metrics.engine.covariance import shared_neighbour_moments
from vlalign.metrics.engine.neighbours import knn
from vlalign.report.console import console
from vlalign.stats.analytic import largest_value
from vlalign.stats.null import permutations

#: N, k, layers of each side, dimensions, the part of the features that layers of a side share, and the kind of rows
CASES = [
    (16, 3, 5, 16, 0.7, ""), (64, 1, 1, 16, 0.0, ""), (64, 1, 20, 16, 0.0, ""), (64, 5, 3, 16, 0.7, "equal"),
    (64, 10, 20, 16, 0.7, ""), (64, 50, 3, 16, 0.7, ""), (128, 10, 5, 64, 0.0, ""), (256, 10, 5, 64, 0.7, "equal"),
    (256, 10, 5, 64, 0.7, "hubs"), (256, 10, 20, 64, 0.7, ""), (256, 10, 20, 64, 0.0, ""), (512, 10, 5, 8, 0.7, ""),
    (1024, 1, 3, 64, 0.7, ""), (1024, 10, 5, 300, 0.0, ""), (4096, 10, 2, 64, 0.7, ""), (4096, 1, 5, 64, 0.7, ""),
    (512, 50, 5, 64, 0.0, ""), (1024, 50, 2, 64, 0.7, ""), (60, 11, 5, 16, 0.7, "equal"),
    (100, 19, 5, 16, 0.7, "clusters"), (200, 20, 5, 16, 0.7, "clusters"), (200, 39, 1, 16, 0.7, "clusters"),
    (120, 5, 5, 16, 0.7, "clusters"), (400, 20, 5, 16, 0.7, "clusters"), (400, 20, 5, 16, 0.7, "signs"),
    (1024, 50, 5, 16, 0.7, "clusters"),
]  # fmt: skip
KERNELS = ("unbiased_cka", "cka", "cka:kernel=rbf,bandwidth=median", "cmd", "rsa")
#: N, layers of each side, dimensions, the part of the features that layers of a side share, and the kind of rows
KERNEL_CASES = [
    (64, 3, 64, 0.7, ""), (64, 3, 64, 0.7, "clusters"), (64, 3, 64, 0.7, "decay"), (64, 3, 64, 0.7, "hubs"),
    (64, 3, 64, 0.7, "outliers"), (128, 5, 64, 0.0, ""), (128, 3, 300, 0.7, "equal"), (128, 3, 64, 0.7, "decay"),
    (128, 3, 64, 0.7, "hubs"), (256, 3, 64, 0.7, ""), (256, 3, 64, 0.7, "clusters"), (256, 3, 64, 0.7, "decay"),
]  # fmt: skip
POINTS = (0.05, 0.01, 0.001)


def lists(layers: int, n: int, k: int, width: int, shared: float, kind: str, seed: int) -> Tensor:
    """Return neighbour lists [L, N, k] of random layers; a tenth of the samples repeats others.

    Kind ``equal``: eight samples each are equal. ``hubs``: norms differ, so that few samples are neighbours of most.
    ``clusters``: four of them. ``signs``: of three features, so that there are eight different rows.
    """
    draw = torch.Generator().manual_seed(seed)
    base = torch.randn(n, width, generator=draw)
    if kind == "clusters":
        base = base + 3 * torch.randn(4, width, generator=draw)[torch.arange(n) % 4]
    made = [shared * base + (1 - shared) * torch.randn(n, width, generator=draw) for _ in range(layers)]
    rows = torch.arange(n)
    rows[: n // 10] = rows[n // 10 : n // 10 + n // 10]
    if kind == "equal":
        rows = rows // 8
    if kind == "signs":
        made = [one[:, :3].sign() for one in made]
    norms = (0.3 * torch.randn(n, 1, generator=draw)).exp() if kind == "hubs" else torch.ones(n, 1)
    return torch.stack([knn(norms * torch.nn.functional.normalize(one[rows], dim=1), k) for one in made])


def kernel_layers(layers: int, n: int, width: int, shared: float, kind: str, seed: int) -> list[Tensor]:
    """Return random layers [N, D].

    Kind ``equal``: eight samples each are equal. ``hubs``: norms differ. ``outliers``: two samples are 20 times as
    large. ``clusters``: five of them. ``decay``: a few directions have most of the variance.
    """
    draw = torch.Generator().manual_seed(seed)
    base, rows = torch.randn(n, width, generator=draw), torch.arange(n)
    if kind == "clusters":
        base = base + 6 * torch.randn(5, width, generator=draw)[rows % 5]
    scale = torch.ones(n, 1)
    if kind == "hubs":
        scale = (0.6 * torch.randn(n, 1, generator=draw)).exp()
    if kind == "outliers":
        scale[-2:] = 20
    spread = torch.arange(1, width + 1) ** (-1.0 if kind == "decay" else 0.0)
    made = [shared * base + (1 - shared) * torch.randn(n, width, generator=draw) for _ in range(layers)]
    return [scale * spread * (one[rows // 8] if kind == "equal" else one) for one in made]


def moments(x: Tensor, y: Tensor) -> NullMoments:
    """Return the moments of the counts of all layer pairs."""
    mean, covariance = shared_neighbour_moments(x.numpy(), y.numpy())
    return NullMoments(mean.ravel(), covariance.reshape(mean.size, mean.size))


def tails(count: int) -> None:
    """Compare p-values at the largest values that 5 %, 1 % and .1 % of the permutations reach, a case a line."""
    print(f"p-value of the analytic null / share of {count:,} permutations at points of the tail; 95 % points")
    print("| N | k | pairs | shared | rows | 5 % | 1 % | .1 % | 95 % point |")
    for n, k, layers, width, shared, kind in CASES:
        x, y = (lists(layers, n, k, width, shared, kind, seed) for seed in (0, 1))
        maxima = np.concatenate(
            [overlap_counts_permuted(x, y, part).max(axis=(1, 2)) for part in permutations(n, count, 0, 500)]
        )
        texts = [str(n), str(k), str(layers**2), f"{shared:g}", kind or "plain", *compared(moments(x, y), maxima)]
        print("|", " | ".join(texts), "|", flush=True)


def kernel_tails(count: int) -> None:
    """Compare as :func:`tails`, for metrics of kernels and dissimilarities."""
    print(f"p-value of the analytic null / share of {count:,} permutations at points of the tail; 95 % points")
    print("| metric | N | pairs | shared | rows | skewness | heaviness | 5 % | 1 % | .1 % | 95 % point |")
    for name in KERNELS:
        metric = parse_metric(name)
        for n, layers, width, shared, kind in KERNEL_CASES:
            x, y = (map(metric.prepare, kernel_layers(layers, n, width, shared, kind, seed)) for seed in (0, 1))
            sides = list(x), list(y)
            maxima = np.concatenate(
                [metric.permuted(*sides, part).max(axis=(1, 2)) for part in permutations(n, count, 0, 500)]
            )
            known = metric.null_moments(*sides)
            assert known is not None
            assert known.skewness is not None
            skewness = known.skewness[np.abs(known.skewness).argmax()]
            texts = [name, str(n), str(layers**2), f"{shared:g}", kind or "plain", f"{skewness:.2f}"]
            print("|", " | ".join([*texts, f"{known.heaviness:.2f}", *compared(known, maxima)]), "|", flush=True)


def compared(known: NullMoments, maxima: np.ndarray) -> list[str]:
    """Return p-values of both nulls at points of the tail of permutations, and the 95 % points of both."""
    texts = []
    for point in POINTS:
        observed = float(np.quantile(maxima, 1 - point, method="higher"))
        p_value = largest_value(known, observed, draws=1).p_value
        texts.append(f"{p_value:.5f} / {(maxima >= observed).mean():.5f}")
    exact = np.sort(maxima)[int(np.ceil(0.95 * len(maxima))) - 1]
    return [*texts, f"{largest_value(known, 0).threshold():.4g} / {exact:.4g}"]


def speed() -> Table:
    """Time the analytic null of 2 × 2 layers beside 100 permutations, scaled to 1,000."""
    table = Table(title="seconds of CPU of the null of 2 × 2 layers, k = 10")
    for column in ("N", "analytic", "1,000 permutations"):
        table.add_column(column, justify="right")
    for n in (1024, 16_384, 65_536, 1_000_000):
        x, y = (distinct_lists(n, seed) for seed in (0, 1))
        start = time.process_time()
        largest_value(moments(x, y), 130)
        analytic, text = time.process_time() - start, "–"
        if n < 100_000:
            (part,) = permutations(n, 100, 0, 100)
            start = time.process_time()
            overlap_counts_permuted(x, y, part)
            text = f"{10 * (time.process_time() - start):.1f}"
        table.add_row(f"{n:,}", f"{analytic:.2f}", text)
    return table


def distinct_lists(n: int, seed: int) -> Tensor:
    """Return random lists [2, N, 10] of other samples, each without repetition."""
    steps = torch.randint(1, (n - 1) // 10 + 1, (2, n, 10), generator=torch.Generator().manual_seed(seed))
    return (torch.arange(n)[:, None] + steps.cumsum(dim=2)) % n


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--permutations", type=int, default=20_000, metavar="K")
    parser.add_argument("--kernels", action="store_true", help="metrics of kernels and dissimilarities")
    parser.add_argument("--speed", action="store_true", help="time instead of p-values")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.speed:
        console().print(speed())
    else:
        (kernel_tails if asked.kernels else tails)(asked.permutations)


if __name__ == "__main__":
    main()
