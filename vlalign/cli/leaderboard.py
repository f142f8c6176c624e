"""Compare many models: a static site of score records, with tables as CSV, Markdown and JSON.

The site needs no server and no network: open its index.html, or publish the folder.

  vlalign leaderboard results --out site
  vlalign leaderboard results other-results/pair.json owner/name --out site
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from vlalign.cli.app import Quiet
from vlalign.config import Folder
from vlalign.errors import VlalignError
from vlalign.paths import user_path


def run(
    *results: Annotated[str, Parameter(required=True)], out: Folder = "site", force: bool = False, quiet: Quiet = False
) -> None:
    """Read all records, write the site, and report what it shows.

    Args:
        results: folders (searched at any depth), record files, or data sets of the Hub (owner/name,
            owner/name@revision)
        out: folder of the site
        force: overwrite files in it that no leaderboard wrote
    """
    from tqdm import tqdm

    from vlalign.hub import read_results
    from vlalign.report.console import console
    from vlalign.report.leaderboard import check_site, save_leaderboard, show_leaderboard

    site = check_site(out, force)
    for given in results:
        base = user_path(given).resolve()
        if base.is_dir() and (site.resolve() == base or base in site.resolve().parents):
            raise VlalignError(f"--out {site} lies in the results {given}, where its files would be read as records")
    collected = read_results(list(results))
    with tqdm(total=len(collected.records), unit="page", disable=quiet or None, leave=False) as bar:
        board = save_leaderboard(collected, site, lambda done, _: bar.update(done - bar.n), force)
    show_leaderboard(board, site, console())


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("leaderboard"))
