"""Score alignment between models of a feature store, over all layer pairs.

Records that are in the output folder already are kept, so the same command resumes after an interruption.

Without names, every vision model is scored with every text model (or, in a store of one modality, every two models).

  vlalign score features dinov2-small llama-7b
  vlalign score features
  vlalign score features dinov2-small llama-7b --report full
  vlalign score features --metric mutual_knn:k=20 --metric unbiased_cka --metric cka:kernel=rbf,bandwidth=median
  vlalign score features dinov2-small@1f4b llama-7b --metric all --permutations 0
"""

from __future__ import annotations

import argparse
import logging
import sys
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlalign.store import Run

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    parser.add_argument("store", help="folder of the feature store")
    parser.add_argument(
        "runs",
        nargs="*",
        default=[],  # without it argparse calls RUN required when the store is missing
        metavar="RUN",
        help='two runs: model names ("name char_delete:30" for edited data), or name@digits of the key (see '
        "`vlalign runs`)",
    )
    parser.add_argument(
        "--metric", action="append", metavar="NAME",
        help="alignment metric, with parameters as name:param=value,… (see `vlalign metrics`); may be given several "
        "times; all: every metric (default: mutual_knn)",
    )  # fmt: skip
    parser.add_argument("--k", type=int, default=10, help="neighbours, for metrics that have them")
    parser.add_argument("--preset", default="platonic", help="platonic (clip, then cosine), cosine or none")
    parser.add_argument(
        "--permutations", type=int, metavar="K",
        help="of the null, at most; 0 leaves it out (default: what suits the metric: 1000, 200 or 0)",
    )  # fmt: skip
    parser.add_argument(
        "--half-samples", type=int, metavar="B",
        help="of the interval; 0 leaves it out (default: 100, 20 for the costly metrics)",
    )  # fmt: skip
    parser.add_argument(
        "--groups", metavar="FILE",
        help="samples that belong together, permuted and drawn as blocks: a .csv, .tsv, .jsonl or .parquet file with "
        "columns id and group, or exact (samples with identical features)",
    )  # fmt: skip
    parser.add_argument(
        "--report", choices=("compact", "full"), default="compact",
        help="full: best layers, data checks, curves against N and k, interval of the maximum, three figures",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="random seed for permutations and half-samples")
    parser.add_argument("--concat", action="store_true", help="also score the concatenation of all layers (index -1)")
    parser.add_argument("--device", help="where neighbours are computed (default: a GPU if there is one)")
    parser.add_argument("--out", default="results", metavar="FOLDER", help="where records and figures go")
    parser.add_argument("--force", action="store_true", help="also compute the records that are in --out already")
    parser.add_argument("--no-figure", dest="figure", action="store_false", help="write no figures")


def run(arguments: argparse.Namespace) -> int:
    """Score pairs, write a record and a heat map for each, and show the result."""
    from vlalign.metrics import metric_names
    from vlalign.report.console import console
    from vlalign.report.score import show_records
    from vlalign.scoring.batch import prepare_pairs
    from vlalign.scoring.resume import score_missing
    from vlalign.store import FeatureStore

    names = arguments.metric or ["mutual_knn"]
    pairs = choose_pairs(FeatureStore(arguments.store), arguments.runs)
    full = arguments.report == "full"
    planned = prepare_pairs(
        pairs,
        metric=[one for name in names for one in (metric_names() if name == "all" else [name])],
        k=arguments.k,
        preset=arguments.preset,
        permutations=arguments.permutations,
        half_samples=arguments.half_samples,
        groups=arguments.groups,
        full=full,
        seed=arguments.seed,
        concat=arguments.concat,
        device=arguments.device,
    )
    out = Path(arguments.out)
    records = score_missing(planned, out, force=arguments.force, progress=not arguments.quiet)
    show_records(records, out, console(), figure=arguments.figure, full=full)
    return 0


def choose_pairs(store: object, names: list[str]) -> list[tuple[Run, Run]]:
    """The pairs that the arguments name."""
    from vlalign.errors import VlalignError
    from vlalign.store import FeatureStore

    assert isinstance(store, FeatureStore)
    if names:
        if len(names) != 2:
            raise VlalignError(f"name two runs to score one pair, or none to score all pairs; {len(names)} given")
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
    """Whether the sample ids of a run can be read; a warning says if not."""
    from vlalign.errors import VlalignError

    try:
        return bool(run.ids)
    except VlalignError as error:
        log.warning("left out: %s", error)
        return False


def main() -> int:
    """``python -m vlalign.cli.score`` and ``scripts/score.py``."""
    from vlalign.cli import run_verb

    return run_verb("score")


if __name__ == "__main__":
    sys.exit(main())
