"""List the runs of a feature store: model, layers, samples, data, precision, bits per byte.

vlalign runs features
"""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    parser.add_argument("store", nargs="?", default="features", help="folder of the store")


def run(arguments: argparse.Namespace) -> int:
    """Prints the table."""
    from vlalign.report.console import console
    from vlalign.report.extraction import runs_table
    from vlalign.store import FeatureStore

    store = FeatureStore(arguments.store)
    console().print(runs_table(store.runs(), store.incomplete()))
    return 0


def main() -> int:
    """``python -m vlalign.cli.runs``."""
    from vlalign.cli import run_verb

    return run_verb("runs")


if __name__ == "__main__":
    sys.exit(main())
