"""How often does the paired test of `vlalign compare` tell models apart that are aligned equally, or do differ?

    python scripts/simulate.py                 # 100 data sets a case, about half an hour
    python scripts/simulate.py --repeats 40

Made-up models with a reference of 12 layers: every layer sees a shared signal of six dimensions as strongly as told,
in directions that are the same for both models, with noise of its own (and noise that its layers share).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from rich.progress import track
from rich.table import Table
from torch import Tensor

from vlalign.metrics import get_metric
from vlalign.report.console import console
from vlalign.stats.difference import Difference, paired_differences


@dataclass(frozen=True)
class Case:
    """``layers`` and ``signals`` of both models; ``common``: the share of the noise that layers of a model share."""

    n: int
    layers: tuple[int, int]
    signals: tuple[float, float] = (0.0, 0.0)
    common: float = 0.0

    def models(self, seed: int) -> list[list[Tensor]]:
        """Layers [N, 32] of a, of b, and of the reference."""
        draw = torch.Generator().manual_seed(seed)
        shared = torch.randn(self.n, 6, generator=draw)
        view = torch.randn(6, 32, generator=draw)
        strong = max(self.signals)
        made = []
        for count, signal, own in ((self.layers[0], self.signals[0], view), (self.layers[1], self.signals[1], view),
                                   (12, strong, torch.randn(6, 32, generator=draw))):  # fmt: skip
            base = torch.randn(self.n, 32, generator=draw)
            noise = torch.randn(count, self.n, 32, generator=draw)
            seen = signal * shared @ own / 6**0.5
            made.append(list(seen + self.common**0.5 * base + (1 - self.common) ** 0.5 * noise))
        return made


EQUAL = [
    Case(128, (12, 12)),
    Case(128, (7, 31)),
    Case(128, (2, 60)),
    Case(128, (2, 60), common=0.8),
    Case(256, (12, 12), (0.7, 0.7)),
    Case(256, (4, 40), (0.7, 0.7)),
    Case(256, (4, 40), (1.2, 1.2)),
    Case(256, (4, 40), (2.0, 2.0), common=0.6),
]
DIFFERENT = [
    Case(256, (12, 12), (1.0, 1.25), common=0.6),
    Case(256, (4, 40), (1.25, 1.0), common=0.6),
    Case(256, (40, 4), (1.25, 1.0), common=0.6),
]


def told_apart(case: Case, repeats: int) -> list[str]:
    """Shares of the data sets: b has the larger score; the test says b; it tells the models apart at 5 %."""
    metric = get_metric("mutual_knn", k=10)
    larger, ahead, sure = [], [], []
    for seed in range(repeats):
        found = paired_differences(metric, *case.models(seed), seed=seed)
        best: Difference = found.best
        larger.append(found.b.max() > found.a.max())
        ahead.append(best.difference < 0)
        sure.append(best.p_value is not None and best.p_value < 0.05)
    return [f"{100 * np.mean(one):.1f} %" for one in (larger, ahead, sure)]


def main() -> None:
    """Simulates and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=100, metavar="N", help="data sets a case")
    repeats = parser.parse_args().repeats
    table = Table(title="mutual_knn, k = 10, 100 half-samples")
    for column in (
        "N",
        "layers of a, b",
        "signal of a, b",
        "common noise",
        "b scores higher",
        "test: b ahead",
        "p < 0.05",
    ):
        table.add_column(column, justify="right")
    for case in track([*EQUAL, *DIFFERENT], console=console()):
        a, b = case.signals
        cells = [str(case.n), f"{case.layers[0]}, {case.layers[1]}", f"{a:g}, {b:g}", f"{case.common:g}"]
        table.add_row(*cells, *told_apart(case, repeats), end_section=case == EQUAL[-1])
    console().print(table)


if __name__ == "__main__":
    main()
