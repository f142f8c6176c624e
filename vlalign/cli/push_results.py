"""Push score records to the Hugging Face Hub, as they are, with a table of all and a card.

Records in the data set stay, and are not uploaded again under another name; replacing one needs --force. Files
without a valid record are listed with the reason and left out.

  vlalign push-results results --repo you/alignment
  vlalign push-results results --repo community/alignment --create-pr
  vlalign push-results results other/results friend/alignment --repo you/alignment --tag 2025-01
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from vlalign.cli.app import Flags, Quiet
from vlalign.cli.push import RepoOptions, set_up_bars, show_target


def run(
    *results: Annotated[str, Parameter(required=True)],
    where: Annotated[RepoOptions, Flags],
    quiet: Quiet = False,
) -> None:
    """Check, upload, and report what is where.

    Args:
        results: folders or files of records, or data sets of the Hub
    """
    from vlalign.hub import push_results
    from vlalign.report.console import console

    set_up_bars(quiet)
    pushed = push_results(list(results), **vars(where))
    counts = f"{len(pushed.new)} new, {len(pushed.replaced)} replaced, {len(pushed.same)} unchanged"
    text = f"{counts}; {pushed.total} in all"
    if left := len(pushed.invalid):
        text += f"; {left} {'file' if left == 1 else 'files'} left out"
    console().print(f"records   {text}", soft_wrap=True)
    show_target(pushed.pull_request or pushed.target.url, pushed.commit, where.dry_run)


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("push-results"))
