"""Push score records to the Hugging Face Hub, as they are, with a table of all and a card.

Records that are there stay, and are not uploaded again under another name; what would replace one needs --force. Files
that hold no sound record are listed with the reason and left out.

  vlalign push-results results --repo you/alignment
  vlalign push-results results other/results friend/alignment --repo you/alignment --tag 2025-01
"""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    from vlalign.cli.push import add_repo_arguments

    parser.add_argument(
        "results", nargs="+", metavar="RESULTS", help="folders or files of records, or data sets of the Hub"
    )
    add_repo_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Checks, uploads, and says what is where."""
    from vlalign.cli.push import say_where, set_up_bars
    from vlalign.hub import push_results
    from vlalign.report.console import console

    set_up_bars(arguments)
    done = push_results(
        arguments.results,
        arguments.repo,
        private=arguments.private,
        revision=arguments.revision,
        tag=arguments.tag,
        dry_run=arguments.dry_run,
        force=arguments.force,
        licence=arguments.licence,
    )
    counts = f"{len(done.new)} new, {len(done.replaced)} replaced, {len(done.same)} there already; {done.total} in all"
    text, left = f"records   {counts}", len(done.invalid)
    console().print(text + (f"; {left} {'file' if left == 1 else 'files'} left out" if left else ""), soft_wrap=True)
    say_where(done.target.url, done.commit, arguments.dry_run)
    return 0


def main() -> int:
    """``python -m vlalign.cli.push_results`` and ``scripts/push_results.py``."""
    from vlalign.cli import run_verb

    return run_verb("push-results")


if __name__ == "__main__":
    sys.exit(main())
