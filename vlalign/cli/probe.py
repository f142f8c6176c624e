"""Train linear probes on every layer: how well labels can be read from the features of each model.

Labels are classes, several labels a sample (lists, or columns of 0 and 1), or numbers. Layer and regularisation are
chosen on validation samples and tested on others, by a hash of their ids; or runs of one model on the splits train,
validation and test are taken together. Results are stored beside the runs, where the same command finds them again, and
are the performance of the models in `vlalign score` and `vlalign leaderboard` from then on.

  vlalign probe features --labels labels.csv:class
  vlalign probe features dinov2-small llama-7b --labels films/metadata.jsonl:genres --id-column imdb_id
  vlalign probe features --labels films/metadata.jsonl:genres --records results    # does alignment predict it?
  vlalign probe image.npy text.npy --labels labels.npy --groups groups.npy
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from vlalign.cli.app import Flags, Quiet
from vlalign.cli.output import FigureFormat, FigureStyle, Json, TableKind, form_of, show_json
from vlalign.config import File, Folder
from vlalign.errors import VlalignError
from vlalign.probing.options import ProbeKeywords, ProbeOptions

if TYPE_CHECKING:
    from vlalign.probing.probe import Planned

log = logging.getLogger(__name__)


def run(
    store: str,
    /,
    *runs: str,
    labels: File,
    name: str | None = None,
    split: File | None = None,
    groups: File | None = None,
    ids: File | None = None,
    id_column: str | None = None,
    records: Folder | None = None,
    out: Folder = "probes",
    force: bool = False,
    dry_run: bool = False,
    figure: Annotated[bool, Parameter(negative="--no-figure")] = True,
    figure_format: FigureFormat = "png",
    style: FigureStyle = "screen",
    table: TableKind = None,
    json: Json = False,
    options: Annotated[ProbeOptions, Flags] = ProbeOptions(),
    quiet: Quiet = False,
) -> None:
    """Probe the runs of a store or files of embeddings, show the scores, and write tables and figures.

    Args:
        store: folder of the feature store, or a file of embeddings
        runs: runs of the store (default: all of unedited data), or further files
        labels: labels of the samples: one a line or a row, or a column as FILE:COLUMN, by id where the file has ids;
            several labels a sample are a column of lists (.parquet, .jsonl), or an array [N, C] of 0 and 1 (.npy)
        name: name of the labels in results (default: the column, or the file's name)
        split: train, valid or test of each sample, in the same forms, in place of folds
        groups: group of each sample, in the same forms: samples of a group are in one part
        ids: ids of the rows of files of embeddings, one a line or a column as FILE:COLUMN
        id_column: column of ids in tables (default: id, if there is one)
        records: folder of score records: also correlate alignment with the probes, over models, for every class
        out: folder of tables and figures
        force: compute again what is stored
        dry_run: check everything and estimate the time, train nothing
        figure: write figures
    """
    from pathlib import Path

    from vlalign.data.embeddings import split_key
    from vlalign.data.sample_values import read_groups
    from vlalign.display.figures import figure_style
    from vlalign.files import check_space
    from vlalign.probing.estimate import estimate_probes
    from vlalign.probing.probe import run_probes
    from vlalign.probing.result import ProbeResults
    from vlalign.report.console import console
    from vlalign.report.probing import plan_document, plan_table, show_probes
    from vlalign.scoring.inputs import has_ids

    form = form_of(json, table, dry_run)
    path, column = split_key(labels)
    models = _models([store, *runs], ids, id_column)
    read = partial(read_groups, id_column=id_column, has_ids=any(map(has_ids, models)))
    keywords = ProbeKeywords(
        **{entry.name: getattr(options, entry.name) for entry in fields(options)},
        name=name or column or path.stem,
        split=None if split is None else read(split, what="split"),
        groups=None if groups is None else read(groups, what="groups of samples"),
    )
    planned = _plan(models, read(labels, what="labels", lists=True), keywords, named=bool(runs))
    if dry_run:
        estimate = estimate_probes(planned, force=force)
        if form == "json":
            show_json(plan_document(planned, *estimate))
        else:
            console().print(plan_table(planned, *estimate))
        return
    check_space(Path(out))
    results = ProbeResults(run_probes(planned, force=force, progress=not quiet))
    with figure_style(style):
        show_probes(results, records, Path(out), console(), figures=figure_format if figure else None, form=form)


def _models(names: list[str], ids: str | None, id_column: str | None) -> list[Any]:
    """Return arrays of files of embeddings, or the runs of a store: those named, else all of unedited data."""
    from vlalign.data.embeddings import is_embeddings, read_embeddings
    from vlalign.data.sample_values import read_values
    from vlalign.scoring.inputs import Arrays
    from vlalign.store import FeatureStore

    if is_embeddings(names[0]):
        given = None if ids is None else read_values(ids, "ids")
        read = [read_embeddings(one, id_column) for one in names]
        return [Arrays(one.features, one.name, given or one.ids, "x", one.source) for one in read]
    if ids is not None:
        raise VlalignError(f"--ids is for files of embeddings, not for the store {names[0]}")
    store = FeatureStore(names[0])
    chosen = [run for one in names[1:] for run in store.select(one)] or store.runs()
    return [run for run in chosen if not run.key.edits] or chosen


def _plan(models: Sequence[Any], labels: Any, options: ProbeKeywords, named: bool) -> list[Planned]:
    """Return the probes of arrays or runs; ``named``: runs that the user named, of which none is left out."""
    from vlalign.probing.features import by_model, features_of
    from vlalign.probing.probe import plan_models
    from vlalign.scoring.inputs import is_run

    if not all(map(is_run, models)):
        return plan_models([features_of(one) for one in models], labels, options)
    probed = by_model(models)
    known = [one for one in probed if not isinstance(labels, Mapping) or any(name in labels for name in one.ids or ())]
    if known and len(known) < len(probed) and not named:  # a store of several data sets
        log.info("left out %d models of samples without a label: name them to see why", len(probed) - len(known))
        probed = known
    return plan_models(probed, labels, options)


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("probe"))
