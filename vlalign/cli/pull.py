"""Pull features that vlalign pushed to the Hugging Face Hub into a feature store, every checksum checked.

float32 comes back with its run key, byte for byte; rounded float16 with a key that says so.

  vlalign pull you/features --store features
  vlalign pull you/features --revision v2.0 --config llama-7b --config dinov2-small
"""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    parser.add_argument("repo", metavar="OWNER/NAME", help="data set of the Hub")
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit (default: main)")
    parser.add_argument(
        "--config", dest="configs", action="append", default=[], metavar="NAME",
        help="pull this configuration only; may be repeated",
    )  # fmt: skip
    parser.add_argument("--store", default="features", metavar="FOLDER", help="feature store to write to")


def run(arguments: argparse.Namespace) -> int:
    """Fetches, rebuilds, and says where the runs are."""
    from rich import box
    from rich.table import Table

    from vlalign.cli.push import set_up_bars
    from vlalign.hub import pull
    from vlalign.hub.build import loss_text
    from vlalign.report.console import console

    set_up_bars(arguments)
    done = pull(arguments.repo, arguments.store, revision=arguments.revision, configs=arguments.configs)
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("configuration", "run", "stored as", ""):
        table.add_column(column, overflow="fold")
    for one in done:
        run = one.run
        table.add_row(
            one.about.config, f"{run.key.title} @{run.key.short[:8]}", loss_text(one.about),
            str(run.path) if one.fresh else "was there",
        )  # fmt: skip
    console().print(table)
    return 0


def main() -> int:
    """``python -m vlalign.cli.pull`` and ``scripts/pull.py``."""
    from vlalign.cli import run_verb

    return run_verb("pull")


if __name__ == "__main__":
    sys.exit(main())
