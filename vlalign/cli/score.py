"""Score alignment between models of a feature store, or between files of embeddings, over all layer pairs.

Records in the output folder are kept, so the same command resumes after an interruption.

Without names, every vision model is scored with every text model (or, in a store of one modality, every two models),
and baselines of the store (see `vlalign baselines`) with baselines: results of models state what trivial pairs reach.
A file is .npy, .npz:KEY, .pt, .safetensors:KEY, .parquet:COLUMN, .arrow:COLUMN, .feather:COLUMN, .csv, .tsv or .jsonl;
rows are paired by id where both files have ids, and else by their order.

  vlalign score image.npy text.npy
  vlalign score clip.parquet:image clip.parquet:text --id-column sku --groups clip.parquet:product
  vlalign score vision/*.npy --with text/*.npy --metric mutual_knn --metric unbiased_cka
  vlalign score features dinov2-small llama-7b
  vlalign score features
  vlalign score features dinov2-small llama-7b --report full
  vlalign score features dinov2-small llama-7b --within labels.csv:category    # how much of it is the category?
  vlalign score features dinov2-small llama-7b --positives captions.csv    # columns id, group: captions of one image
  vlalign score features dinov2-small llama-7b --baselines
  vlalign score features --metric mutual_knn:k=20 --metric unbiased_cka --metric cka:kernel=rbf,bandwidth=median
  vlalign score features --table latex --figure-format pdf --style paper > table.tex
  vlalign score features dinov2-small@1f4b llama-7b --metric all --permutations 0
  torchrun --nproc_per_node 2 scripts/score.py features dinov2-small llama-7b    # processes share out the work
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from vlalign.cli.app import Flags, Quiet
from vlalign.cli.output import FigureFormat, FigureStyle, Json, TableKind, form_of, show_json
from vlalign.config import Folder
from vlalign.errors import VlalignError
from vlalign.scoring.options import ScoreOptions
from vlalign.store.key import is_baseline

if TYPE_CHECKING:
    from vlalign.data.embeddings import Embeddings
    from vlalign.scoring.batch import Planned
    from vlalign.scoring.categories import Column
    from vlalign.scoring.inputs import Arrays, Features
    from vlalign.store import FeatureStore, Run

log = logging.getLogger(__name__)


def run(
    store: str,
    /,
    *runs: str,
    others: Annotated[tuple[str, ...], Parameter(name="--with", metavar="FILE")] = (),
    ids: Annotated[tuple[str, ...], Parameter(metavar="FILE")] = (),
    id_column: str | None = None,
    out: Folder = "results",
    report: Literal["compact", "full"] = "compact",
    baselines: bool = False,
    force: bool = False,
    dry_run: bool = False,
    figure: Annotated[bool, Parameter(negative="--no-figure")] = True,
    figure_format: FigureFormat = "png",
    style: FigureStyle = "screen",
    table: TableKind = None,
    json: Json = False,
    options: Annotated[ScoreOptions, Flags] = ScoreOptions(),
    quiet: Quiet = False,
) -> None:
    """Score pairs, write a record and a heat map for each, and show the result.

    Args:
        store: folder of the feature store, or a file of embeddings
        runs: two runs: model names ("name char_delete:30" for edited data), or name@digits of the key (see
            `vlalign runs`); or further files
        others: files of the other side: each file is scored with each of these
        ids: ids of the rows, one a line or a column as FILE:COLUMN: one file for both sides, or one for each side
        id_column: column of ids in tables of embeddings (default: id, if there is one)
        out: folder of records and figures
        report: full: also compute and show the interval of the maximum over layers and curves against N and k, and
            show best layers, data checks and three figures
        baselines: make baselines of the runs' data where they are missing; score them with each other and with models
        force: recompute records that are in --out
        dry_run: check everything and estimate time and disk, score nothing
        figure: write figures
    """
    from vlalign.display.figures import figure_style
    from vlalign.processes import launched_together, main_first, sharing
    from vlalign.report.console import console
    from vlalign.report.score import estimate_table, show_records
    from vlalign.scoring.estimate import estimate_scores
    from vlalign.scoring.resume import kept_records, score_missing

    form = form_of(json, table, dry_run)
    options = replace(options, full=report == "full")
    state = launched_together(cpu=options.device == "cpu")

    planned, options = main_first(state, lambda: plan(store, runs, others, ids, id_column, baselines, options))
    if state is not None and not state.is_main_process:
        with sharing(state):
            for _ in () if dry_run else score_missing(planned, Path(out), force=force, progress=False):
                pass  # the main process writes and shows the records
        return
    if dry_run:
        kept = kept_records(planned, Path(out), force=force)
        missing = [one for one, record in zip(planned, kept, strict=True) if record is None]
        estimates = estimate_scores(missing, options, figure)
        if form == "json":
            show_json(
                {"plan": list(map(asdict, estimates)), "pairs": len(planned), "finished": len(planned) - len(missing)}
            )
        else:
            console().print(estimate_table(estimates, len(planned), out))
        return
    records = score_missing(planned, Path(out), force=force, progress=not quiet)
    kind = figure_format if figure else None
    with figure_style(style), sharing(state):
        show_records(records, Path(out), console(), figures=kind, full=options.full, form=form)


def plan(
    store: str, runs: Sequence[str], others: Sequence[str], ids: Sequence[str], id_column: str | None, baselines: bool,
    options: ScoreOptions,
) -> tuple[list[Planned], ScoreOptions]:  # fmt: skip
    """Plan the scores that the arguments of :func:`run` ask for, and read the files that options name.

    Raises:
        VlalignError: arguments that do not fit together, or anything that can be wrong with the features.
    """
    from vlalign.data.embeddings import is_embeddings
    from vlalign.data.sample_values import read_groups
    from vlalign.scoring.batch import prepare_pairs
    from vlalign.scoring.inputs import has_ids
    from vlalign.store import FeatureStore

    if baselines and is_embeddings(store):
        raise VlalignError("--baselines is for runs of a store: make runs of the files with `vlalign import`")
    if is_embeddings(store):
        pairs: Sequence[tuple[Features, Features]] = file_pairs([store, *runs], others, ids, id_column)
    elif others or ids or (id_column and not (options.within or options.positives or options.groups)):
        raise VlalignError(f"--with, --ids and --id-column are for files of embeddings, not for the store {store}")
    else:
        pairs = choose_pairs(FeatureStore(store), runs, baselines)
    known = any(has_ids(side) for pair in pairs for side in pair)
    given = (options.groups, options.positives)
    groups, positives = (read_groups(one, id_column, has_ids=known) for one in given)
    within = read_columns(options.within, id_column, known)
    options = replace(options, groups=groups, within=within, positives=positives)
    return prepare_pairs(pairs, options), options


def read_columns(texts: Any, id_column: str | None, has_ids: bool = True) -> tuple[Column, ...] | None:
    """Return the columns of ``--within``; None without.

    Args:
        texts: files with their columns, as FILE:COLUMN.
        id_column: column of ids in tables (default: id, if there is one).
        has_ids: whether the features have ids.

    Raises:
        VlalignError: a file that cannot be read or has no such column or ids, or an id with two values.
    """
    from vlalign.data.embeddings import split_key
    from vlalign.data.sample_values import read_groups
    from vlalign.scoring.categories import Column

    if texts is None:
        return None
    names = [split_key(text) for text in texts]
    values = [read_groups(text, id_column, "categories", has_ids=has_ids) for text in texts]
    return tuple(
        Column(key or path.stem, given, f"{path.name}:{key}" if key else path.name)
        for (path, key), given in zip(names, values, strict=True)
    )


def file_pairs(
    files: Sequence[str], others: Sequence[str], ids: Sequence[str], id_column: str | None
) -> list[tuple[Arrays, Arrays]]:
    """Return the pair that two files give, or each file with each of the others.

    Args:
        files: of the first side, or of both.
        others: files of the other side.
        ids: files of ids: none, one for both sides, or one for each side.
        id_column: column of ids in tables.

    Raises:
        VlalignError: another number of files, or a file that cannot be read as embeddings or ids.
    """
    from vlalign.data.embeddings import read_embeddings
    from vlalign.data.sample_values import read_values
    from vlalign.scoring.inputs import Arrays

    if not others and len(files) != 2:
        raise VlalignError(f"{len(files)} file(s) given: name two, or the files of the other side after --with")
    if len(ids) > 2:
        raise VlalignError(f"--ids takes one file for both sides or two, one for each side; {len(ids)} given")
    sides = [list(files), list(others)] if others else [[files[0]], [files[1]]]
    read = {text: read_embeddings(text, id_column) for side in sides for text in side}
    names = _distinct_names(read)
    arrays = []
    for label, side in zip("xy", sides, strict=True):
        given = read_values(ids[-1 if label == "y" else 0], "ids") if ids else None
        arrays.append(
            [
                Arrays(one.features, names[text], given or one.ids, label, one.source)
                for text, one in ((text, read[text]) for text in side)
            ]
        )
    x, y = arrays
    return list(product(x, y))


def _distinct_names(read: Mapping[str, Embeddings]) -> dict[str, str]:
    """Return the names of files; with their ending, then their folder, where two files have the same name."""
    names = {text: one.name for text, one in read.items()}
    for text in _repeated(names):
        names[text] = Path(text).name
    for text in _repeated(names):
        names[text] = f"{Path(text).parent.name}/{read[text].name}"
    return names


def _repeated(names: Mapping[str, str]) -> list[str]:
    """Return the keys of names that occur several times."""
    return [text for text, name in names.items() if list(names.values()).count(name) > 1]


def choose_pairs(store: FeatureStore, names: Sequence[str], baselines: bool = False) -> list[tuple[Run, Run]]:
    """Return the pair that two names give, else the pairs of both modalities, or all pairs of one modality.

    Models are paired with models and baselines with baselines, which come first.

    Args:
        store: of the runs.
        names: none or two.
        baselines: make baselines of the data of the runs, and return their pairs with each other and with the models.

    Raises:
        VlalignError: another number of names, an unknown run, a store with fewer than two runs, or data of which no
            baselines can be made.
    """
    if names:
        if len(names) != 2:
            raise VlalignError(f"name two runs to score one pair, or no run to score all pairs; {len(names)} given")
        pair = [store.find(name) for name in names]
        runs = _with_baselines(store, pair) if baselines else []
        return [*_trivial_pairs(runs, pair), *_mixed_pairs(runs, [(pair[0], pair[1])]), (pair[0], pair[1])]
    runs = store.runs()
    if plain := [run for run in runs if not run.key.edits]:
        if len(plain) < len(runs):
            log.info("left out %d runs of edited data: name two runs to score them", len(runs) - len(plain))
        runs = plain
    runs = [run for run in runs if _has_ids(run)]
    if baselines:
        runs = _with_baselines(store, runs)
    models = [run for run in runs if not is_baseline(run.key.data)]
    pairs = _of_both_modalities(models)
    samples = {id(run): frozenset(run.ids) for run in models}
    same = [(x, y) for x, y in pairs if samples[id(x)] == samples[id(y)]]
    if same and len(same) < len(pairs):  # such as runs of several splits
        log.info("left out %d pairs of runs with different samples: name two runs to see why", len(pairs) - len(same))
        pairs = same
    pairs = [*_trivial_pairs(runs, models or runs), *(_mixed_pairs(runs, pairs) if baselines else ()), *pairs]
    if not pairs:
        raise VlalignError(f"{store.root} holds {len(runs)} complete run(s), scoring needs two: extract another")
    return pairs


def _of_both_modalities(runs: Sequence[Run]) -> list[tuple[Run, Run]]:
    vision = [run for run in runs if run.key.modality == "vision"]
    text = [run for run in runs if run.key.modality == "text"]
    return list(product(vision, text)) or list(combinations(runs, 2))


def _with_baselines(store: FeatureStore, runs: Sequence[Run]) -> list[Run]:
    """Return the runs of the store after baselines of the data of all models among ``runs`` were made."""
    from vlalign.baseline.runs import make_for_runs

    make_for_runs(store, [run for run in runs if not is_baseline(run.key.data)])
    return [run for run in store.runs() if is_baseline(run.key.data) or not run.key.edits]


def _trivial_pairs(runs: Sequence[Run], models: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Return the pairs of baselines with the samples of any of the models: features, and models of random weights."""
    return [
        pair
        for ids in dict.fromkeys(frozenset(run.ids) for run in models)
        for random in (False, True)
        for pair in _of_both_modalities(_baselines_of(runs, ids, random))
    ]


def _mixed_pairs(runs: Sequence[Run], pairs: Sequence[tuple[Run, Run]]) -> list[tuple[Run, Run]]:
    """Return the pairs that have trivial features in place of one of two models, each once."""
    mixed: dict[tuple[str, str], tuple[Run, Run]] = {}
    for x, y in pairs:
        if is_baseline(x.key.data) or is_baseline(y.key.data):
            continue
        for one in _baselines_of(runs, frozenset(x.ids), random=False):
            new = [(x, one)] * (one.key.modality == y.key.modality) + [(one, y)] * (one.key.modality == x.key.modality)
            mixed |= {(a.key.hash, b.key.hash): (a, b) for a, b in new}
    return list(mixed.values())


def _baselines_of(runs: Sequence[Run], ids: frozenset[str], random: bool) -> list[Run]:
    """Return the baselines with exactly these samples, less those that are the same for all samples in every layer."""
    from vlalign.scoring.beside import is_random

    return [
        run
        for run in runs
        if is_baseline(run.key.data)
        and is_random(run.key.data) == random
        and len(run.facts.get("constant", ())) < len(run.layers)
        and frozenset(run.ids) == ids
    ]


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
