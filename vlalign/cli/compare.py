"""Compare two runs, or two score records, by their alignment with the same reference.

Runs of a store are tested on the same samples: interval and p-value of the difference, and the layers where it lies.
With several references there are q-values (false discovery rate).
Two records alone show only whether their intervals overlap; with --store their runs are tested.

  vlalign compare llama-7b@5f93 llama-7b@861e --reference dinov2-small
  vlalign compare llama-7b open-llama-7b --store features --groups captions.csv
  vlalign compare llama-7b@5f93 llama-7b@0d2a --reference dinov2-small     # unedited captions against edited ones
  vlalign compare results/a.json results/b.json
  vlalign compare results/a.json results/b.json --store features --json > difference.json
  vlalign compare llama-7b open-llama-7b --figure difference.pdf --style paper --table latex > difference.tex
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from vlalign.cli.app import Flags
from vlalign.cli.output import FigureStyle, Json, TableKind, form_of
from vlalign.config import File, Folder
from vlalign.errors import VlalignError
from vlalign.paths import user_path
from vlalign.scoring.options import CompareOptions

if TYPE_CHECKING:
    from vlalign.scoring.compare import Comparison
    from vlalign.scoring.record import ScoreRecord
    from vlalign.store import FeatureStore, Run


def run(
    a: str,
    b: str,
    /,
    *,
    store: Folder | None = None,
    reference: tuple[Annotated[str, Parameter(metavar="RUN")], ...] = (),
    figure: File | None = None,
    style: FigureStyle = "screen",
    table: TableKind = None,
    json: Json = False,
    options: Annotated[CompareOptions, Flags] = CompareOptions(),
) -> None:
    """Compare and show the result.

    Args:
        a: run: model name, or name@digits (see `vlalign runs`); or a record: its file, or a folder with one record
        b: likewise
        store: folder of the feature store (default for runs: features)
        reference: runs that both are aligned with (default: all runs of the other modality)
        figure: file (.png, .pdf or .svg) for a figure of the differences, by layer or by reference
    """
    from vlalign.data.sample_values import read_groups
    from vlalign.display.figures import check_figure, figure_style
    from vlalign.report.compare import show_comparisons
    from vlalign.report.console import console
    from vlalign.scoring.comparison_figures import save_differences

    form = form_of(json, table)
    target = check_figure(figure) if figure else None
    paths = [user_path(name) for name in (a, b)]
    files = [path.is_file() or (path.is_dir() and not reference) for path in paths]
    if files[0] != files[1]:
        name, other = (b, a) if files[0] else (a, b)
        raise VlalignError(f"{other} is a record, {name} is no file: give two records, or two runs of a store")
    if all(files):
        _check_flags(options, store, reference)
    options = replace(options, groups=read_groups(options.groups))
    if all(files):
        results = [_of_records(_record(paths[0]), _record(paths[1]), options, store)]
    else:
        results = _of_runs(a, b, options, store or "features", reference)
    show_comparisons(results, console(), form)
    if target:
        with figure_style(style):
            save_differences(results, target)
        if form == "text":
            console().print(f"figure    {target}", soft_wrap=True)


def _check_flags(options: CompareOptions, store: str | None, reference: tuple[str, ...]) -> None:
    """Refuse flags that have no effect on two records."""
    given = [field.name for field in fields(options) if getattr(options, field.name) != field.default]
    given += ["reference"] if reference else []
    for name in given:
        if name in ("reference", "metric", "k", "preset"):
            raise VlalignError(f"--{name} is for runs: two records have theirs")
        if store is None:
            raise VlalignError(f"--{name.replace('_', '-')} is for the test of runs: name their store with --store")


def _of_records(a: ScoreRecord, b: ScoreRecord, options: CompareOptions, store: str | None) -> Comparison:
    """Compare records, or their runs in the store if one is named."""
    from vlalign.metrics.base import metric_text
    from vlalign.scoring.compare import compare_records, compare_runs, shared_sides
    from vlalign.store import FeatureStore

    result = compare_records(a, b, edits_may_differ=store is not None)
    if store is None:
        return result
    runs = []
    for side in (result.a, result.b, result.reference):
        if not side["run"]:
            raise VlalignError(f"{side['model']} was scored from tensors: {store} has no run of it")
        runs.append(FeatureStore(store).find(side["run"]["hash"]))
    options = replace(
        options, metric=metric_text(a.metric["name"], a.metric["params"]), preset=a.preprocessing["preset"],
        groups=_groups(a, options), concat=options.concat or a.axes["x"][-1].get("index") == -1,
    )  # fmt: skip
    return compare_runs(runs[0], runs[1], runs[2], options, reference_side=shared_sides(a, b)[0])


def _groups(record: ScoreRecord, options: CompareOptions) -> Any:
    """Return the groups to test with: a record states how many there are, but which samples only where exact."""
    from vlalign.scoring.grouping import EXACT

    recorded = record.pairing.get("groups")
    if options.groups is not None or recorded is None:
        return options.groups
    if recorded.get("source") == EXACT:
        return "exact"
    raise VlalignError(f"the records are of samples in groups ({recorded.get('source')}): give them with --groups FILE")


def _record(path: Path) -> ScoreRecord:
    from vlalign.scoring.collect import read_record, record_files

    files = record_files(path)
    if len(files) > 1:
        raise VlalignError(f"{path} holds {len(files)} records: name the file of one")
    return read_record(files[0])


def _of_runs(a: str, b: str, options: CompareOptions, folder: str, names: tuple[str, ...]) -> list[Comparison]:
    from vlalign.scoring.compare import adjust, compare_runs, usual_side
    from vlalign.store import FeatureStore

    store = FeatureStore(folder)
    first, second = store.find(a), store.find(b)
    if first.key == second.key:
        raise VlalignError(f"{a} and {b} are the same run: name two")
    if names:
        references = list({run.key.hash: run for run in map(store.find, names)}.values())
    elif first.key.modality != second.key.modality:
        raise VlalignError(
            f"{first.key.title} is a {first.key.modality} model and {second.key.title} a {second.key.modality} model: "
            "name what both are compared with by --reference"
        )
    else:
        references = _references(store, first)
    for reference in references:
        if reference.key in (first.key, second.key):
            raise VlalignError(f"the reference {reference.key.title} is one of the two runs: name a third one")
    results = [
        compare_runs(first, second, reference, options, reference_side=usual_side(first, reference))
        for reference in references
    ]
    return adjust(results) if len(results) > 1 else results


def _references(store: FeatureStore, a: Run) -> list[Run]:
    """Return the runs of unedited data of the other modality."""
    runs = [run for run in store.runs() if run.key.modality != a.key.modality and not run.key.edits]
    if not runs:
        raise VlalignError(f"{store.root} holds no run of the other modality: name a reference with --reference")
    return runs


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("compare"))
