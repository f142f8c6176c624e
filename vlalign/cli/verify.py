"""Check every shard of a feature store against its checksum.

A damaged shard is named; the extraction's command, run again, replaces it.

  vlalign verify features
"""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    parser.add_argument("store", nargs="?", default="features", help="folder of the store")


def run(arguments: argparse.Namespace) -> int:
    """Prints what is wrong; status 1 if anything is."""
    from vlalign.display import visible
    from vlalign.store import FeatureStore

    store = FeatureStore(arguments.store)
    problems = store.verify()
    for problem in problems:
        print(visible(problem))
    if problems:
        print(f"{len(problems)} problem(s): run the extraction's command again to repair them", file=sys.stderr)
        return 1
    print(f"{len(store.runs())} complete run(s), every shard as it was written")
    return 0


def main() -> int:
    """``python -m vlalign.cli.verify``."""
    from vlalign.cli import run_verb

    return run_verb("verify")


if __name__ == "__main__":
    sys.exit(main())
