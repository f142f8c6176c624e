"""Measure how often the paired test of `vlalign compare` separates models that are aligned equally, or that differ.

    python benchmarks/simulate.py                 # 200 data sets a case: half an hour on two cores
    python benchmarks/simulate.py --repeats 40

Simulated models with a reference of 12 layers: every layer sees a shared signal of six dimensions of given strength, in
directions that are the same for both models, with separate noise (and noise that its layers share). In some cases all
layers of a model but the first see less of it.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch
from rich.progress import track
from rich.table import Table
from torch import Tensor

from vlalign.metrics import get_metric
from vlalign.report.console import console
from vlalign.stats.difference import paired_differences


@dataclass(frozen=True)
class Case:
    """``layers`` and ``signals`` of both models.

    ``common`` is the share of the noise that the layers of a model share, ``weaker`` how much of the signal all layers
    but the first of a model see.
    """

    n: int
    layers: tuple[int, int]
    signals: tuple[float, float] = (0.0, 0.0)
    common: float = 0.0
    weaker: float = 1.0

    def models(self, seed: int) -> list[list[Tensor]]:
        """Make layers [N, 32] of a, of b, and of the reference."""
        draw = torch.Generator().manual_seed(seed)
        shared = torch.randn(self.n, 6, generator=draw)
        view, other = torch.randn(2, 6, 32, generator=draw)
        parts = [(*one, view, self.weaker) for one in zip(self.layers, self.signals, strict=True)]
        made = []
        for count, signal, own, weaker in (*parts, (12, max(self.signals), other, 1.0)):
            strength = torch.full((count, 1, 1), signal * weaker)
            strength[0] = signal
            base = torch.randn(self.n, 32, generator=draw)
            noise = torch.randn(count, self.n, 32, generator=draw)
            noise = self.common**0.5 * base + (1 - self.common) ** 0.5 * noise
            made.append(list(strength * (shared @ own / 6**0.5) + noise))
        return made


EQUAL = [
    Case(128, (12, 12)),
    Case(128, (2, 60)),
    Case(128, (2, 60), common=0.8),
    Case(256, (12, 12), (0.7, 0.7)),
    Case(256, (4, 40), (1.2, 1.2)),
    Case(256, (4, 40), (2.0, 2.0), common=0.6),
    Case(128, (1, 21), (1.5, 1.5), weaker=0.85),
    Case(256, (1, 21), (1.5, 1.5), weaker=0.93),
]
DIFFERENT = [
    Case(256, (12, 12), (1.0, 1.25), common=0.6),
    Case(256, (4, 40), (1.25, 1.0), common=0.6),
    Case(256, (40, 4), (1.25, 1.0), common=0.6),
    Case(256, (1, 21), (1.5, 1.8), weaker=0.93),
    Case(256, (1, 21), (1.8, 1.5), weaker=0.93),
]


def separated(case: Case, repeats: int) -> list[str]:
    """Compute the shares of the data sets in which b scores higher, and in which a and b are separated at 5 %: by the
    scores as they are, by layers selected on one half and scored on the other, by both."""
    metric = get_metric("mutual_knn", k=10)
    results = [paired_differences(metric, *case.models(seed), seed=seed) for seed in range(repeats)]
    shares = [
        [one.largest.difference < 0 for one in results],
        [_significant(one.largest.p_value) for one in results],
        [_significant(one.crossed.p_value) for one in results],
        [_significant(one.p_value) for one in results],
    ]
    return [f"{100 * np.mean(one):.1f} %" for one in shares]


def _significant(p_value: float | None) -> bool:
    return p_value is not None and p_value < 0.05


def main() -> None:
    """Simulate one case per process and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200, metavar="N", help="data sets a case")
    repeats = parser.parse_args().repeats
    table = Table(title="mutual_knn, k = 10, 100 half-samples, p < 0.05")
    sizes = ("N", "layers of a, b", "signal of a, b", "weaker", "common noise")
    for column in (*sizes, "b scores higher", "separated by scores", "on halves", "by both"):
        table.add_column(column, justify="right")
    cases = [*EQUAL, *DIFFERENT]
    with ProcessPoolExecutor(initializer=torch.set_num_threads, initargs=(1,), mp_context=get_context("spawn")) as pool:
        results = pool.map(partial(separated, repeats=repeats), cases)
        for case, shares in track(zip(cases, results, strict=True), total=len(cases), console=console()):
            (a, b), (more, less) = case.layers, case.signals
            cells = f"{case.n}", f"{a}, {b}", f"{more:g}, {less:g}", f"{case.weaker:g}", f"{case.common:g}"
            table.add_row(*cells, *shares, end_section=case == EQUAL[-1])
    console().print(table)


if __name__ == "__main__":
    main()
