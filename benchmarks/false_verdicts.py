"""Measure how often `vlalign advise` gives a verdict where the term makes no difference.

    python benchmarks/false_verdicts.py           # 200 experiments a case

Test scores are drawn: in every arm, of any λ and control, a sample is right with the same probability, up to the chance
of training, which shifts each seed of each arm, and some samples of it.
"""

from __future__ import annotations

import argparse

import numpy as np
from rich.table import Table

from vlalign.advice.analysis import effect_table
from vlalign.advice.arms import all_arms
from vlalign.advice.config import ExperimentOptions
from vlalign.advice.verdict import NO_DIFFERENCE, decide
from vlalign.report.console import console

SEEDS = 5
#: test samples; standard deviation of a seed's accuracy, and of a sample's probability in one training
CASES = [(60, 0.0, 0.1), (60, 0.05, 0.1), (400, 0.0, 0.1), (400, 0.03, 0.1), (2000, 0.01, 0.05)]


def false_verdicts(n: int, seed_sd: float, sample_sd: float, repeats: int) -> tuple[int, int]:
    """Return the experiments with a verdict for the first use, and for any of the three."""
    random = np.random.RandomState(n)
    arms = all_arms(ExperimentOptions().weights)
    first = any_use = 0
    for _ in range(repeats):
        level = random.beta(2, 1, n)
        shift = seed_sd * random.standard_normal((SEEDS, len(arms), 3, 1))
        noise = sample_sd * random.standard_normal((SEEDS, len(arms), 3, n))
        scores = (random.rand(SEEDS, len(arms), 3, n) < level + shift + noise).astype(float)
        effects = effect_table(scores, scores.mean(axis=(0, 3)), arms)
        given = [verdict.decision != NO_DIFFERENCE for verdict in decide(effects, {"names": ["a", "b"]})]
        first += given[0]
        any_use += any(given)
    return first, any_use


def main() -> None:
    """Simulate the cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200, metavar="N", help="experiments a case")
    repeats = parser.parse_args().repeats
    table = Table(title=f"verdicts where no difference exists, {repeats} experiments, {SEEDS} seeds")
    for column in ("test samples", "sd of seeds", "sd of samples", "first use", "any of three uses"):
        table.add_column(column, justify="right")
    for n, seed_sd, sample_sd in CASES:
        shares = (f"{100 * count / repeats:.1f} %" for count in false_verdicts(n, seed_sd, sample_sd, repeats))
        table.add_row(str(n), f"{seed_sd:g}", f"{sample_sd:g}", *shares)
    console().print(table)


if __name__ == "__main__":
    main()
