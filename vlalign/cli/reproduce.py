"""Give the raw score and layer indices of a reference implementation, beside ours, with the reason for each difference.

"platonic" is the released code of the Platonic Representation Hypothesis (github.com/minyoungg/platonic-rep,
measure_alignment.py with X as a model of --modality_x and Y of --modality_y), computed here from the same features.

  vlalign reproduce platonic llama-7b dinov2-small
  vlalign reproduce platonic llama-7b dinov2-small --quantile mean
  vlalign reproduce platonic llama-7b dinov2-small --store features --metric cka --json reproduction.json
"""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    parser.add_argument("reference", choices=("platonic",), help="whose numbers")
    for side in ("x", "y"):
        parser.add_argument(side, metavar=side.upper(), help="run: model name, or name@digits (see `vlalign runs`)")
    parser.add_argument("--store", default="features", metavar="FOLDER", help="feature store")
    parser.add_argument("--metric", default="mutual_knn", help="metric that both have")
    parser.add_argument("--k", type=int, default=10, help="neighbours (the reference's --topk)")
    parser.add_argument(
        "--quantile", default="exact", choices=("exact", "mean"),
        help="clip threshold of the reference: exact is its --precise, as published numbers used; mean, of each "
        "sample's 0.95 quantile, is what its command does without that flag (default: exact)",
    )  # fmt: skip
    parser.add_argument("--json", metavar="FILE", help="write everything, matrices included")


def run(arguments: argparse.Namespace) -> int:
    """Computes both, shows them side by side, and writes the file asked for."""
    from vlalign.paths import user_path
    from vlalign.report.console import console
    from vlalign.report.reproduce import show_reproduction
    from vlalign.reproduce.compare import reproduce
    from vlalign.store import FeatureStore
    from vlalign.store.checksums import check_space

    store = FeatureStore(arguments.store)
    x, y = store.find(arguments.x), store.find(arguments.y)
    if arguments.json:
        check_space(user_path(arguments.json).absolute().parent, 0)  # found out before the work, not after
    found = reproduce(x, y, metric=arguments.metric, k=arguments.k, quantile=arguments.quantile)
    show_reproduction(found, console(), path=arguments.json)
    return 0


def main() -> int:
    """``python -m vlalign.cli.reproduce`` and ``scripts/reproduce.py``."""
    from vlalign.cli import run_verb

    return run_verb("reproduce")


if __name__ == "__main__":
    sys.exit(main())
