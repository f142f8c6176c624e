"""Push features of a store to the Hugging Face Hub as a data set: Parquet, one configuration a run.

Everything is built and read back on this machine first and appears on the Hub in one commit, with a card. What vlalign
pushed there before stays. An interrupted push resumes.

  vlalign push features --repo you/features --dry-run
  vlalign push features --repo you/features
  vlalign push features --repo you/features --model llama-7b --perturb none --dtype float32 --private
  vlalign push features --repo you/features --revision v2 --tag v2.0
  vlalign push features --repo community/features --create-pr
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from vlalign.cli.app import Flags, Quiet
from vlalign.config import Folder, Options

if TYPE_CHECKING:
    from rich.table import Table

    from vlalign.hub.upload import Pushed


class PushOptions(Options):
    """Options of samples that are pushed where asked for."""

    push: Annotated[str | None, Parameter(metavar="REPO")] = None
    """push the samples to this data set of the Hub, OWNER/NAME; created if missing"""

    private: bool = False
    """make the pushed data set private"""

    force: bool = False
    """push into a data set that holds something else"""

    licence: Annotated[str | None, Parameter(name="--license")] = None
    """licence of the data set, as the Hub spells it (default for synthetic data: apache-2.0)"""


class RepoOptions(Options):
    """Options of a push to a repository of the Hub."""

    repo: str
    """data set of the Hub, OWNER/NAME; created if missing"""

    private: bool = False
    """make a new data set private"""

    revision: Annotated[str | None, Parameter(metavar="BRANCH")] = None
    """commit to this branch (default: main)"""

    tag: str | None = None
    """mark the commit with a tag when it is complete"""

    create_pr: bool = False
    """open a pull request instead, on a data set that others own"""

    licence: Annotated[str | None, Parameter(name="--license")] = None
    """licence of the data set, as the Hub spells it; stays until another is given"""

    dry_run: bool = False
    """check token, permission and the repository's files; change nothing"""

    force: bool = False
    """replace what differs and a card edited above its mark, and write beside files that are not vlalign's"""


def run(
    store: str,
    /,
    *,
    where: Annotated[RepoOptions, Flags],
    models: Annotated[tuple[str, ...], Parameter(name="--model", metavar="RUN...")] = (),
    perturb: tuple[Annotated[str, Parameter(metavar="EDIT")], ...] = (),
    dtype: Literal["float16", "float32"] = "float16",
    out: Folder | None = None,
    quiet: Quiet = False,
) -> None:
    """Check, build, upload, and report what is where.

    Args:
        store: folder of the feature store
        models: push the runs of these models only (or name@digits of one run, see `vlalign runs`)
        perturb: push the runs of data edited with OP:RATE only; OP: at all rates; none: of unedited data
        dtype: numbers in the data set; float16 is half as large and rounds, and the card states by how much
        out: keep the built files in this folder, if there are new ones
    """
    from vlalign.hub import push
    from vlalign.report.console import console

    set_up_bars(quiet)
    pushed = push(store, models=list(models), perturb=list(perturb), dtype=dtype, out=out, **vars(where))
    console().print(_table(pushed))
    if out and not where.dry_run:
        kept = out if pushed.abouts else f"nothing new was built; {out} is unchanged"
        console().print(f"files     {kept}", soft_wrap=True)
    show_target(pushed.pull_request or pushed.target.url, pushed.commit, where.dry_run)


def set_up_bars(quiet: bool) -> None:
    """Hide the bars of the Hub's library where only results are wanted."""
    from huggingface_hub.utils import disable_progress_bars

    if quiet:
        disable_progress_bars()


def show_target(url: str, commit: str | None, dry_run: bool = False) -> None:
    """Show the last line of a push: the repository, and the commit if any."""
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
            table.add_row(config, "–", "–", "–", "–", "kept unchanged")
    return table


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("push"))
