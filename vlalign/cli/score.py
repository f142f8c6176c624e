"""Score alignment between models of a feature store, over all layer pairs.

Records in the output folder are kept, so the same command resumes after an interruption.

Without names, every vision model is scored with every text model (or, in a store of one modality, every two models).

  vlalign score features dinov2-small llama-7b
  vlalign score features
  vlalign score features dinov2-small llama-7b --report full
  vlalign score features --metric mutual_knn:k=20 --metric unbiased_cka --metric cka:kernel=rbf,bandwidth=median
  vlalign score features dinov2-small@1f4b llama-7b --metric all --permutations 0
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from vlalign.cli.app import Flags, Quiet
from vlalign.config import Folder
from vlalign.errors import VlalignError
from vlalign.scoring.options import ScoreOptions

if TYPE_CHECKING:
    from vlalign.store import FeatureStore, Run

log = logging.getLogger(__name__)


def run(
    store: str,
    /,
    *runs: str,
    out: Folder = "results",
    report: Literal["compact", "full"] = "compact",
    force: bool = False,
    figure: Annotated[bool, Parameter(negative="--no-figure")] = True,
    options: Annotated[ScoreOptions, Flags] = ScoreOptions(),
    quiet: Quiet = False,
) -> None:
    """Score pairs, write a record and a heat map for each, and show the result.

    Args:
        store: folder of the feature store
        runs: two runs: model names ("name char_delete:30" for edited data), or name@digits of the key (see
            `vlalign runs`)
        out: folder of records and figures
        report: full: also compute and show the interval of the maximum over layers and curves against N and k, and
            show best layers, data checks and three figures
        force: recompute records that are in --out
        figure: write figures
    """
    from vlalign.report.console import console
    from vlalign.report.score import show_records
    from vlalign.scoring.batch import prepare_pairs
    from vlalign.scoring.resume import score_missing
    from vlalign.store import FeatureStore

    options = replace(options, full=report == "full")
    planned = prepare_pairs(choose_pairs(FeatureStore(store), runs), options)
    records = score_missing(planned, Path(out), force=force, progress=not quiet)
    show_records(records, Path(out), console(), figure=figure, full=options.full)


def choose_pairs(store: FeatureStore, names: Sequence[str]) -> list[tuple[Run, Run]]:
    """Return the pair that two names give, else the pairs of both modalities, or all pairs of one modality.

    Raises:
        VlalignError: another number of names, an unknown run, or a store with fewer than two runs.
    """
    if names:
        if len(names) != 2:
            raise VlalignError(f"name two runs to score one pair, or no run to score all pairs; {len(names)} given")
        x, y = (store.find(name) for name in names)
        return [(x, y)]
    runs = store.runs()
    if plain := [run for run in runs if not run.key.edits]:
        if len(plain) < len(runs):
            log.info("left out %d runs of edited data: name two runs to score them", len(runs) - len(plain))
        runs = plain
    runs = [run for run in runs if _has_ids(run)]
    vision = [run for run in runs if run.key.modality == "vision"]
    text = [run for run in runs if run.key.modality == "text"]
    pairs = list(product(vision, text)) or list(combinations(runs, 2))
    if not pairs:
        raise VlalignError(f"{store.root} holds {len(runs)} complete run(s), scoring needs two: extract another")
    return pairs


def _has_ids(run: Run) -> bool:
    """Return whether the sample ids of a run can be read; warn if not."""
    try:
        return bool(run.ids)
    except VlalignError as error:
        log.warning("left out: %s", error)
        return False


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("score"))
