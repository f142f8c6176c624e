"""Compare many models: a static site of score records, with tables as CSV, Markdown and JSON.

The site needs no server and no network: open its index.html, or publish the folder.

  vlalign leaderboard results --out site
  vlalign leaderboard results other-results/pair.json owner/name --out site
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlalign.scoring.collect import Collected


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    parser.add_argument(
        "results",
        nargs="+",
        metavar="RESULTS",
        help="folders (searched at any depth), record files, or data sets of the Hub (owner/name, owner/name@revision)",
    )
    parser.add_argument("--out", default="site", metavar="FOLDER", help="where the site goes")
    parser.add_argument("--force", action="store_true", help="overwrite files there that no leaderboard wrote")


def run(arguments: argparse.Namespace) -> int:
    """Reads all records, writes the site, says what is on it."""

    from tqdm import tqdm

    from vlalign.errors import VlalignError
    from vlalign.paths import user_path
    from vlalign.report.console import console
    from vlalign.report.leaderboard import check_site, save_leaderboard, show_leaderboard

    out = check_site(arguments.out, arguments.force)
    for given in arguments.results:
        base = user_path(given).resolve()
        if base.is_dir() and (out.resolve() == base or base in out.resolve().parents):
            raise VlalignError(f"--out {out} lies in the results {given}, where its files would be read as records")
    collected = read(arguments.results)
    with tqdm(total=len(collected.records), unit="page", disable=arguments.quiet or None, leave=False) as bar:
        board = save_leaderboard(collected, out, lambda done, _: bar.update(done - bar.n), arguments.force)
    show_leaderboard(board, out, console())
    return 0


def read(results: list[str]) -> Collected:
    """The records that the arguments name."""
    from vlalign.hub import read_results

    return read_results(results)


def main() -> int:
    """``python -m vlalign.cli.leaderboard`` and ``scripts/leaderboard.py``."""
    from vlalign.cli import run_verb

    return run_verb("leaderboard")


if __name__ == "__main__":
    sys.exit(main())
