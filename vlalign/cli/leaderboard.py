"""Compare many models: a static site of score records, with tables as CSV, Markdown and JSON.

The site needs no server and no network: open its index.html, or publish it as a static Space of the Hub. The action
`check` recomputes a part of the records from their features (a folder of results of that name is ./check).

  vlalign leaderboard results --out site
  vlalign leaderboard results other-results/pair.json owner/name --out site
  vlalign leaderboard owner/name --out site --push owner/space
  vlalign leaderboard check owner/name --features owner/features --sample 5
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Annotated

from annotated_types import Ge
from cyclopts import App, Parameter

from vlalign.cli.app import Quiet
from vlalign.cli.output import Json, show_json
from vlalign.config import Folder
from vlalign.errors import VlalignError
from vlalign.paths import user_path

log = logging.getLogger(__name__)
run = App(name="leaderboard")

#: folders (searched at any depth), record files, or data sets of the Hub
Results = Annotated[str, Parameter(required=True)]


@run.default
def build(
    *results: Results,
    out: Folder = "site",
    title: str = "Alignment leaderboard",
    description: str = "",
    link: str = "",
    push: Annotated[str | None, Parameter(metavar="SPACE")] = None,
    force: bool = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read all records, write the site, and report what it shows.

    Args:
        results: folders (searched at any depth), record files, or data sets of the Hub (owner/name,
            owner/name@revision)
        out: folder of the site
        title: title of the first page
        description: text below the title
        link: address of a page about the leaderboard, shown below the title
        push: publish the site as this static Space of the Hub, OWNER/NAME; created if missing
        force: overwrite files in folder and Space that no leaderboard wrote
    """
    from tqdm import tqdm

    from vlalign.cli.push import set_up_bars, show_target
    from vlalign.hub import open_space, push_space, read_results
    from vlalign.report.console import console
    from vlalign.report.forms import visible_json
    from vlalign.report.leaderboard import FILES, Heading, check_site, save_leaderboard, show_leaderboard, to_json

    heading = Heading(title, description, link)
    site = check_site(out, force)
    for given in results:
        base = user_path(given).resolve()
        if base.is_dir() and (site.resolve() == base or base in site.resolve().parents):
            raise VlalignError(f"--out {site} lies in the results {given}, where its files would be read as records")
    target = open_space(push, force) if push else None
    collected = read_results(list(results))
    with tqdm(total=len(collected.records), unit="page", disable=quiet or None, leave=False) as bar:
        board = save_leaderboard(collected, site, lambda done, _: bar.update(done - bar.n), force, heading)
    if json:
        print(visible_json(to_json(board)), end="")
    else:
        show_leaderboard(board, site, console())
    if target is not None:
        set_up_bars(quiet)
        commit = push_space(target, site, FILES)
        if json:
            log.info("published %s, commit %s", target.url, commit)
        else:
            show_target(target.url, commit)


@run.command
def check(
    *results: Results,
    features: str,
    sample: Annotated[int, Ge(1)] = 5,
    seed: Annotated[int, Ge(0)] = 0,
    json: Json = False,
) -> int:
    """Recompute a random part of the records from their features; status 1 if one differs or none is verified.

    Layer scores, chance, null, p-value, interval and bits per byte may differ by rounding: four times as much as they
    change when the features are rounded once more.

    Args:
        results: folders (searched at any depth), record files, or data sets of the Hub (owner/name,
            owner/name@revision)
        features: feature store, or data set of the Hub that `vlalign push` made (owner/name, owner/name@revision)
        sample: number of records to recompute
        seed: random seed of the draw
    """
    from tqdm import tqdm

    from vlalign.files import work_folder
    from vlalign.hub import is_repo, pull, read_results, runs_on_hub, split_source
    from vlalign.report.console import console
    from vlalign.report.leaderboard.check import (
        DIFFERS,
        VERIFIED,
        check_record,
        choose_records,
        hashes_of,
        show_checked,
    )
    from vlalign.store import FeatureStore

    collected = read_results(list(results))
    with work_folder() as folder:
        if is_repo(features):
            repo, revision = split_source(features)
            configs = runs_on_hub(repo, revision)
            drawn, checked, left = choose_records(collected, configs, sample, seed)
            names = {configs[side["run"]["hash"]] for one in drawn for side in (one.record.x, one.record.y)}
            held = [one.run for one in pull(repo, folder, revision=revision, configs=sorted(names))] if names else []
        else:
            held = FeatureStore(features).runs()
            hashes = {digest for run in held for digest in hashes_of(run.key)}
            drawn, checked, left = choose_records(collected, hashes, sample, seed)
        runs = {digest: run for run in held for digest in hashes_of(run.key)} | {run.key.hash: run for run in held}
        checked += [check_record(one, runs) for one in tqdm(drawn, unit="record", disable=None, leave=False)]
    if json:
        show_json({"records": list(map(asdict, checked)), "not_drawn": left})
    else:
        show_checked(checked, left, console())
    states = {one.state for one in checked}
    return int(DIFFERS in states or VERIFIED not in states)  # a check of nothing is no success


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("leaderboard"))
