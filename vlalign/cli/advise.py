"""Ask whether aligning two modalities helps on your data, does nothing, or destroys what each knows alone.

A controlled experiment: small encoders are trained on your features with a contrastive term of several weights, on the
same samples, batches and steps, beside two controls (pairs shuffled, and shuffled within their class). The answers for
both modalities at test time, the first alone and the second alone come with intervals, and may be that the samples do
not suffice. Finished work is kept: the same command resumes.

A file is .npz or .safetensors with two arrays; or two files are named, as for `vlalign score`. Of runs and of several
layers, the last layer is used.

  vlalign advise mine.npz --labels labels.npy
  vlalign advise image.npy text.npy --labels labels.csv:genre --out advice
  vlalign advise features dinov2-small llama-7b --labels labels.csv --budget 10m
  vlalign advise multibench-data/mosi --modalities text audio --unlabelled more-pairs.npz
  vlalign advise report advice
"""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

from cyclopts import App, Parameter

from vlalign.advice.config import AdviceConfig, ExperimentOptions
from vlalign.cli.app import Flags, Quiet
from vlalign.cli.output import FigureStyle, Json, TableKind, form_of, show_json, show_study
from vlalign.config import File, Folder

run = App(name="advise")


@run.default
def run_study(
    source: str,
    /,
    *more: str,
    labels: File | None = None,
    groups: File | None = None,
    unlabelled: Annotated[tuple[str, ...], Parameter(metavar="FILE")] = (),
    modalities: Annotated[tuple[str, ...], Parameter(metavar="NAME")] = (),
    ids: Annotated[tuple[str, ...], Parameter(metavar="FILE")] = (),
    id_column: str | None = None,
    budget: str | None = None,
    dry_run: bool = False,
    style: FigureStyle = "screen",
    table: TableKind = None,
    json: Json = False,
    options: Annotated[ExperimentOptions, Flags] = ExperimentOptions(),
    quiet: Quiet = False,
) -> None:
    """Run the experiment, show the verdicts and write the report.

    Args:
        source: file of embeddings, feature store, or folder of a prepared data set
        more: second file, or two runs of the store
        labels: file of labels: texts or whole numbers are classes, fractions a regression target; a column as
            FILE:COLUMN, by id where the file has ids
        groups: group of each sample, such as the image of a caption, in the same forms: folds and intervals keep groups
            whole
        unlabelled: one file with two arrays, or two files, of more pairs without a label
        modalities: two arrays of the file, or modalities of the prepared data set, if it has more
        ids: ids of the rows, one a line or a column as FILE:COLUMN: one file for both sides, or one for each
        id_column: column of ids in tables of embeddings (default: id, if there is one)
        budget: time for training, such as 10m, that steps, seeds, folds and weights are fitted to
        dry_run: check everything, choose the depth, and show what is to train
    """
    from vlalign.advice.report import show_plan
    from vlalign.advice.run import prepare_study
    from vlalign.advice.sources import read_source
    from vlalign.display.figures import figure_style
    from vlalign.report.console import console

    form = form_of(json, table, dry_run)
    data = read_source([source, *more], labels, unlabelled, modalities, ids, id_column, groups)
    config = AdviceConfig(
        **{entry.name: getattr(options, entry.name) for entry in fields(options)},
        data=(source, *more), labels=labels, groups=groups, unlabelled=unlabelled, modalities=modalities, ids=ids,
        id_column=id_column,
    )  # fmt: skip
    study = prepare_study(data, config, budget)
    plan = study.plan()
    if study.is_main_process and dry_run and form == "json":
        show_json(
            {"labelled": len(study.data), "to_train": plan.to_do, "pairs_of_encoders": plan.total, "depth": study.depth}
        )
    elif study.is_main_process and not quiet and form == "text":
        show_plan(study, plan, console())
    if dry_run:
        return
    result = study.run(plan, progress=not quiet, report=False)
    if result is not None:
        with figure_style(style):
            study.report(result, study.config.out, console() if form == "text" else None)
        if form != "text":
            show_study(result, form)


@run.command
def report(
    folder: str = "advice",
    /,
    *,
    out: Folder | None = None,
    style: FigureStyle = "screen",
    table: TableKind = None,
    json: Json = False,
) -> None:
    """Show the verdicts of a finished run again, and write report.html and figures.

    Args:
        folder: of a finished run
        out: folder of the page and figures (default: the run's folder)
    """
    from vlalign.advice.results import AdviceResult
    from vlalign.advice.study import AdviceStudy
    from vlalign.display.figures import figure_style
    from vlalign.report.console import console

    form = form_of(json, table)
    result = AdviceResult.load(folder)
    with figure_style(style):
        AdviceStudy.report(result, out or folder, console() if form == "text" else None)
    if form != "text":
        show_study(result, form)


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("advise"))
