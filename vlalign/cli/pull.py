"""Pull features that vlalign pushed to the Hugging Face Hub into a feature store, every checksum checked.

float32 comes back with its run key, byte for byte; rounded float16 with a key that records it.

  vlalign pull you/features --store features
  vlalign pull you/features --revision v2.0 --config llama-7b --config dinov2-small
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from vlalign.cli.app import Quiet
from vlalign.config import Folder


def run(
    repo: str,
    /,
    *,
    revision: str | None = None,
    configs: Annotated[tuple[str, ...], Parameter(name="--config", metavar="NAME...")] = (),
    store: Folder = "features",
    quiet: Quiet = False,
) -> None:
    """Download, rebuild, and report the runs.

    Args:
        repo: data set of the Hub, OWNER/NAME
        revision: branch, tag or commit (default: main)
        configs: pull these configurations only
        store: folder of the feature store to write to
    """
    from rich import box
    from rich.table import Table

    from vlalign.cli.push import set_up_bars
    from vlalign.hub import pull
    from vlalign.hub.build import loss_text
    from vlalign.report.console import console

    set_up_bars(quiet)
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("configuration", "run", "stored as", ""):
        table.add_column(column, overflow="fold")
    for pulled in pull(repo, store, revision=revision, configs=list(configs)):
        run = pulled.run
        table.add_row(
            pulled.about.config, f"{run.key.title} @{run.key.short[:8]}", loss_text(pulled.about),
            str(run.path) if pulled.fresh else "unchanged",
        )  # fmt: skip
    console().print(table)


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("pull"))
