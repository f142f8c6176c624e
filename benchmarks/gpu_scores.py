"""Neighbours, the parts of a score and whole scores for a growing number of samples."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from measure import DEVICE, Reporter, peak_gib, reset_peak, synchronize
from torch import Tensor
from torch.nn.functional import normalize

from vlalign.data import DataSpec
from vlalign.metrics import knn
from vlalign.scoring import ScoreRecord, score
from vlalign.scoring.preprocessing import clip_threshold
from vlalign.stats.checks import check_side

WIDTH, K = 768, 10


def scores(report: Reporter, data: DataSpec, tiny: bool) -> None:
    """Measure each size after the smaller ones."""
    sizes = (512, 1024) if tiny else (16_384, 65_536, 262_144, 1_000_000)
    taken: dict[str, tuple[int, float]] = {}  # size and seconds of the last measurement of each kind

    def measure(
        kind: str, n: int, limit: float, work: Callable[[], Any], tera: float | None = None, power: int = 2
    ) -> None:
        what = f"{kind}, N={n}"
        if kind in taken:
            size, seconds = taken[kind]
            expected = seconds * (n / size) ** power
            if expected > limit:
                report(what, skipped=f"about {expected:.0f} s by the time at N={size}")
                return
        with report.attempt(what, limit):
            reset_peak()
            start = time.perf_counter()
            result = work()
            synchronize()
            seconds = time.perf_counter() - start
            taken[kind] = n, seconds
            numbers = stages_of(result) if isinstance(result, ScoreRecord) else {}
            rate = {} if tera is None else {"tflops": tera / seconds}
            report(what, seconds=seconds, peak_gib=peak_gib(), **numbers, **rate)

    for n in sizes:
        tera = 2 * n * n * WIDTH / 1e12
        layer = normalize(torch.randn(n, WIDTH, device=DEVICE))
        knn(layer[:1024], K)
        measure("neighbours, default blocks", n, 60, partial(knn, layer, K), tera)
        if n < 1_000_000:
            measure("products alone, blocks of 1 GiB", n, 60, partial(products, layer), tera)
        lists = torch.randint(0, n, (n, K), device=DEVICE)
        measure("checks of a layer", n, 20, partial(check_side, layer, neighbours=lists))
        kept = layer.cpu()
        measure("clip threshold of a layer", n, 20, partial(threshold, kept), power=1)
        del layer, lists, kept
    for n in sizes[:3]:
        x, y = features(n)
        options: dict[str, Any] = {"device": DEVICE, "permutations": 0, "half_samples": 0}
        measure("score 2 × 2, grid alone", n, 40, partial(score, x, y, **options))
        measure("score 2 × 2, default", n, 40, partial(score, x, y, device=DEVICE))


def products(layer: Tensor) -> None:
    """Compute all inner products in row blocks, and nothing else."""
    block = 2**28 // len(layer)
    out = torch.empty(min(block, len(layer)), len(layer), device=DEVICE)
    for rows in layer.split(block):
        torch.mm(rows, layer.T, out=out[: len(rows)])


def threshold(layer: Tensor) -> float:
    """Return the clip threshold of a layer in the memory of the CPU, as a score reads it."""
    return clip_threshold(lambda: [layer.to(DEVICE)], 0.95)


def stages_of(record: ScoreRecord) -> dict[str, Any]:
    """Return a score and the time of each of its stages."""
    stages = {f"{stage}_s": seconds for stage, seconds in record.seconds.items() if seconds >= 0.005}
    return {"score": record.score, "p_value": record.p_value, **stages}


def features(n: int) -> tuple[list[Tensor], list[Tensor]]:
    """Make two sides of two layers [n, width] in the memory of the CPU that share a signal of 16 dimensions."""
    shared = torch.randn(n, 16, device=DEVICE)
    layers = [
        (shared @ torch.randn(16, WIDTH, device=DEVICE) + 8 * torch.randn(n, WIDTH, device=DEVICE)).cpu()
        for _ in range(4)
    ]
    return layers[:2], layers[2:]
