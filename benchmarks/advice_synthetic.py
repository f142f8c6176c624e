"""Measure the effect of the contrastive term on the synthetic task, whose shared and unique information is known.

    python benchmarks/advice_synthetic.py --uniqueness 0 --labels 300 --pairs 6000 --depth 2
    python benchmarks/advice_synthetic.py --uniqueness 0 --labels 4000 --depth 1

Arms with true pairs alone are trained, as `vlalign advise` trains them by default; controls would not change them.
Intervals are those of `vlalign advise` with its six weights.
"""

from __future__ import annotations

import argparse
import time

import torch
from rich.table import Table

from vlalign.advice.analysis import score_table
from vlalign.advice.arms import Arm
from vlalign.advice.cells import all_cells
from vlalign.advice.config import ExperimentOptions
from vlalign.advice.data import make_data
from vlalign.advice.encoder import USES
from vlalign.advice.train import train_cells
from vlalign.display.format import interval, signed
from vlalign.report.console import console
from vlalign.stats.crossed import crossed_mean
from vlalign.synthetic import SyntheticConfig
from vlalign.synthetic import make_data as make_synthetic


def main() -> None:
    """Train the arms and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uniqueness", type=int, default=0, metavar="U")
    parser.add_argument("--labels", type=int, default=300, metavar="N", help="labelled samples")
    parser.add_argument("--pairs", type=int, default=0, metavar="M", help="more pairs without a label")
    parser.add_argument("--depth", type=int, default=2, metavar="D", help="layers of an encoder")
    parser.add_argument("--weights", type=float, nargs="+", default=[1.0, 4.0], metavar="λ")
    asked = parser.parse_args()
    made = make_synthetic(SyntheticConfig(), asked.uniqueness)
    x1, x2 = (made.features(modality, 1) for modality in (0, 1))
    n, last = asked.labels, asked.labels + asked.pairs
    data = make_data(x1[:n], x2[:n], made.labels[:n], (x1[n:last], x2[n:last]) if asked.pairs else None)
    options, arms = ExperimentOptions(), [Arm(0.0), *map(Arm, asked.weights)]
    torch.set_num_threads(1)
    start = time.process_time()
    cells = all_cells(options.seeds, options.folds)
    results = {cell: train_cells(options, data, [cell], arms, asked.depth, torch.device("cpu"))[0] for cell in cells}
    scores = score_table(results)
    table = Table(title=f"U = {asked.uniqueness}, {n:,} labels, {asked.pairs:,} more pairs: accuracy and differences")
    for column in ("λ", *USES):
        table.add_column(column, justify="right")
    table.add_row("0", *(f"{scores[:, 0, use].mean():.3f}" for use in range(len(USES))))
    together = len(USES) * sum(weight > 0 for weight in options.weights)
    for i, arm in enumerate(arms[1:], 1):
        effects = [crossed_mean(scores[:, i, use] - scores[:, 0, use], together) for use in range(len(USES))]
        texts = (f"{signed(one.mean, 3)} ({interval(one.low, one.high, 3, ' to ')})" for one in effects)
        table.add_row(f"{arm.weight:g}", *texts)
    console().print(table, f"{time.process_time() - start:.0f} CPU seconds")


if __name__ == "__main__":
    main()
