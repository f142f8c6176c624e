"""Measure the effect of the contrastive term on the synthetic task, whose shared and unique information is known.

    python benchmarks/advice_synthetic.py --uniqueness 0 --labels 300 --pairs 6000 --depth 2
    python benchmarks/advice_synthetic.py --uniqueness 2 --labels 300 --pairs 6000 --depth 2 --draws 6
    python benchmarks/advice_synthetic.py --uniqueness 0 --labels 4000 --depth 1

Arms with true pairs alone are trained, as `vlalign advise` trains them by default; controls would not change them.
Intervals are those of `vlalign advise` with its six weights; of several draws, those of the mean over new draws.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.table import Table
from scipy.stats import t

from vlalign.advice.analysis import score_table
from vlalign.advice.arms import Arm
from vlalign.advice.cells import all_cells
from vlalign.advice.config import ExperimentOptions
from vlalign.advice.data import make_data
from vlalign.advice.encoder import USES
from vlalign.advice.train import train_cells
from vlalign.display.format import interval, signed
from vlalign.metrics.base import Floats
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
    parser.add_argument("--draws", type=int, default=1, metavar="K", help="draws of other samples; averaged if several")
    parser.add_argument(
        "--csv", metavar="FILE", help="append the differences to this file, as docs/advise.csv has them"
    )
    asked = parser.parse_args()
    arms = [Arm(0.0), *map(Arm, asked.weights)]
    torch.set_num_threads(1)
    start = time.process_time()
    draws = [test_scores(asked, arms, draw) for draw in range(asked.draws)]
    title = f"U = {asked.uniqueness}, {asked.labels:,} labels, {asked.pairs:,} more pairs, draws: {asked.draws}"
    table = Table(title=f"{title}: accuracy and differences")
    for column in ("λ", *USES):
        table.add_column(column, justify="right")
    table.add_row("0", *(f"{np.mean([scores[:, 0, use] for scores in draws]):.3f}" for use in range(len(USES))))
    rows = []
    for i, arm in enumerate(arms[1:], 1):
        effects = [effect([scores[:, i, use] - scores[:, 0, use] for scores in draws]) for use in range(len(USES))]
        texts = (f"{signed(mean, 3)} ({interval(low, high, 3, ' to ')})" for mean, low, high in effects)
        table.add_row(f"{arm.weight:g}", *texts)
        rows += [
            [asked.uniqueness, asked.labels, asked.pairs, asked.draws, asked.depth, arm.weight, use, *values]
            for use, values in zip(USES, effects, strict=True)
        ]
    if asked.csv:
        names = ["uniqueness", "labels", "pairs", "draws", "depth", "weight", "use", "mean", "low", "high"]
        new = not Path(asked.csv).exists()
        pd.DataFrame(rows, columns=names).to_csv(asked.csv, mode="a", header=new, index=False, float_format="%.7f")
    console().print(table, f"{time.process_time() - start:.0f} CPU seconds")


def test_scores(asked: argparse.Namespace, arms: list[Arm], draw: int) -> Floats:
    """Train the arms on the samples of one draw; return the test scores [S, A, 3, n]."""
    made = make_synthetic(SyntheticConfig(), asked.uniqueness)
    first = draw * (asked.labels + asked.pairs)
    n, last = first + asked.labels, first + asked.labels + asked.pairs
    x1, x2 = (made.features(modality, 1) for modality in (0, 1))
    if last > len(x1):
        raise SystemExit(f"--draws {asked.draws} take more than the {len(x1):,} samples of the task")
    data = make_data(x1[first:n], x2[first:n], made.labels[first:n], (x1[n:last], x2[n:last]) if asked.pairs else None)
    options = ExperimentOptions()
    cells = all_cells(options.seeds, options.folds)
    trained = {cell: train_cells(options, data, [cell], arms, asked.depth, torch.device("cpu"))[0] for cell in cells}
    return score_table(trained, data.units)


def effect(differences: list[Floats]) -> tuple[float, float, float]:
    """Return a mean and its interval: for new seeds and samples of one draw [S, n], else for new draws."""
    if len(differences) == 1:
        one = crossed_mean(differences[0], len(USES) * sum(weight > 0 for weight in ExperimentOptions().weights))
        return one.mean, one.low, one.high
    means = np.array([values.mean() for values in differences])
    reach = float(t.ppf(0.975, len(means) - 1)) * means.std(ddof=1) / len(means) ** 0.5
    return float(means.mean()), float(means.mean() - reach), float(means.mean() + reach)


if __name__ == "__main__":
    main()
