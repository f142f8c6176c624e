"""Push features of a store to the Hugging Face Hub as a data set: Parquet, one configuration a run.

Everything is built and read back on this machine first and appears on the Hub in one commit, with a card. What vlalign
pushed there before stays. An interrupted push goes on where it stopped.

  vlalign push features --repo you/features --dry-run
  vlalign push features --repo you/features
  vlalign push features --repo you/features --model llama-7b --perturb none --dtype float32 --private
  vlalign push features --repo you/features --revision v2 --tag v2.0
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from vlalign.hub.push import Pushed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    parser.add_argument("store", help="folder of the feature store")
    what = parser.add_argument_group("what")
    what.add_argument(
        "--model", dest="models", action="append", default=[], metavar="NAME",
        help="push the runs of this model only (or name@digits of one run, see `vlalign runs`); may be repeated",
    )  # fmt: skip
    what.add_argument(
        "--perturb", action="append", default=[], metavar="OP:RATE",
        help="push the runs of data edited so only; OP: at all rates; none: of unedited data; may be repeated",
    )  # fmt: skip
    what.add_argument(
        "--dtype", default="float16", choices=("float16", "float32"),
        help="of the numbers there; float16 is half as large and rounds, and the card says by how much",
    )  # fmt: skip
    add_repo_arguments(parser)
    parser.add_argument("--out", metavar="FOLDER", help="keep the built files in this folder, if there are new ones")


def add_repo_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags about the repository that ``push`` and ``push-results`` share."""
    where = parser.add_argument_group("where")
    where.add_argument("--repo", required=True, metavar="OWNER/NAME", help="data set of the Hub; made if not there")
    where.add_argument("--private", action="store_true", help="make a new data set private")
    where.add_argument("--revision", metavar="BRANCH", help="commit to this branch (default: main)")
    where.add_argument("--tag", metavar="NAME", help="mark the commit with a tag when it is complete")
    where.add_argument(
        "--license", dest="licence", metavar="ID",
        help="of the data set, as the Hub spells it; stays until another is given",
    )  # fmt: skip
    where.add_argument(
        "--dry-run", action="store_true", help="check token, permission and what is there; change nothing"
    )
    where.add_argument(
        "--force", action="store_true",
        help="replace what differs and a card edited above its mark, and write beside files that are not vlalign's",
    )  # fmt: skip


def set_up_bars(arguments: argparse.Namespace) -> None:
    """No bars of the Hub's library where only results are wanted."""
    from huggingface_hub.utils import disable_progress_bars

    if arguments.quiet:
        disable_progress_bars()


def run(arguments: argparse.Namespace) -> int:
    """Checks, builds, uploads, and says what is where."""
    from vlalign.hub import push
    from vlalign.report.console import console

    set_up_bars(arguments)
    done = push(
        arguments.store,
        arguments.repo,
        models=arguments.models,
        perturb=arguments.perturb,
        dtype=arguments.dtype,
        private=arguments.private,
        revision=arguments.revision,
        tag=arguments.tag,
        dry_run=arguments.dry_run,
        force=arguments.force,
        out=arguments.out,
        licence=arguments.licence,
    )
    out = console()
    out.print(_table(done))
    if arguments.out and not arguments.dry_run:
        kept = arguments.out if done.abouts else f"nothing new was built; {arguments.out} is as it was"
        out.print(f"files     {kept}", soft_wrap=True)
    say_where(done.target.url, done.commit, arguments.dry_run)
    return 0


def say_where(url: str, commit: str | None, dry_run: bool = False) -> None:
    """The last line: what was pushed where, if anything was."""
    from vlalign.report.console import console

    if dry_run:
        text = f"dry run   nothing was uploaded to {url}"
    elif commit is None:
        text = f"unchanged {url} holds all of it already"
    else:
        text = f"pushed    {url} (commit {commit[:8]})"
    console().print(text, soft_wrap=True)


def _table(done: Pushed) -> Table:
    from rich import box
    from rich.table import Table

    from vlalign.hub.build import loss_text

    made = {about.config: about for about in done.abouts}
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("configuration", "run"):
        table.add_column(column, overflow="fold")
    for column in ("layers", "samples", "MB"):
        table.add_column(column, justify="right")
    table.add_column("", overflow="fold")
    for item in done.items:
        about = made.get(item.config)
        size = about.size if about else item.bytes
        table.add_row(
            item.config, f"{item.run.key.title} @{item.run.key.short[:8]}", str(len(item.run.layers)),
            str(item.run.n), f"{size / 1e6:.1f}", item.state + (f"; {loss_text(about)}" if about else ""),
        )  # fmt: skip
    for config in done.kept:
        if config not in {item.config for item in done.items}:
            table.add_row(config, "–", "–", "–", "–", "stays as it is there")
    return table


def main() -> int:
    """``python -m vlalign.cli.push`` and ``scripts/push.py``."""
    from vlalign.cli import run_verb

    return run_verb("push")


if __name__ == "__main__":
    sys.exit(main())
