"""Study alignment where redundancy, uniqueness and heterogeneity are known: synthetic data, thousands of encoders.

The data, the encoders and the findings are those of arXiv 2502.16282. Finished work is kept: `run` resumes after an
interruption, and with more seeds or depths.

  vlalign synthetic describe --uniqueness 3
  vlalign synthetic describe --synergy 2 --uniqueness 0 2 4
  vlalign synthetic run --config synthetic/quick.yaml
  vlalign synthetic report synthetic-runs/quick
  vlalign synthetic report synthetic-runs/paper --out synthetic
  accelerate launch scripts/synthetic.py run --config synthetic/paper.yaml
  vlalign synthetic data --uniqueness 3 --phi-depth 2 --out my-data
  vlalign synthetic tune --config synthetic/paper.yaml --out tuned.yaml
"""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge
from cyclopts import App

from vlalign.cli.app import FROM_FILE, Flags, Quiet, SettingsFile
from vlalign.cli.output import FigureStyle, Json, TableKind, form_of, show_json, show_study
from vlalign.cli.push import PushOptions, show_target
from vlalign.config import File, Folder, read_options
from vlalign.errors import VlalignError
from vlalign.synthetic.config import EncoderOptions, SampleOptions, SyntheticConfig, TaskGrid
from vlalign.tracking import Log, find_tracker

run = App(name="synthetic")

#: settings file of an action; flags override it
Settings = Annotated[File | None, SettingsFile(SyntheticConfig), FROM_FILE]


def _config(options: Any, file: str | None, **more: Any) -> SyntheticConfig:
    """Return the settings of a file and of an action that aligns nothing, so 4 samples suffice."""
    values = read_options(SyntheticConfig, file) if file else {}
    return SyntheticConfig(**{**values, **vars(options), "metrics": ("unbiased_cka",), "align_samples": 4, **more})


@run.command
def describe(*, options: Annotated[TaskGrid, Flags] = TaskGrid(), config: Settings = None, json: Json = False) -> None:
    """Show the exact information of each U and its decomposition: no sampling, nothing is trained."""
    from dataclasses import asdict

    from vlalign.report.console import console
    from vlalign.synthetic import information
    from vlalign.synthetic.quantities import decomposition
    from vlalign.synthetic.report import decomposition_table, describe_table

    known = [information(options, u) for u in options.uniqueness]
    parts = {u: decomposition(options, u) for u in options.uniqueness}
    if json:
        entries = [
            {**asdict(one), "decomposition": part and asdict(part), "source_redundancy": source}
            for one, (part, source) in zip(known, parts.values(), strict=True)
        ]
        show_json(entries)
    else:
        console().print(describe_table(known), decomposition_table(parts), sep="")


@run.command(name="run")
def run_study(
    *,
    options: Annotated[SyntheticConfig | None, Flags] = None,
    config: Settings = None,
    dry_run: bool = False,
    log: Log = None,
    style: FigureStyle = "screen",
    table: TableKind = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train the grid, measure alignment and write the report; resumes where it stopped.

    Args:
        dry_run: check everything, show what is to train and estimate time and disk
    """
    from vlalign.display.figures import figure_style
    from vlalign.report.console import console
    from vlalign.synthetic import SyntheticStudy
    from vlalign.synthetic.report import plan_document, show_plan

    tracker = find_tracker(log, "vlalign-synthetic")
    form = form_of(json, table, dry_run)
    study = SyntheticStudy(options or SyntheticConfig())
    plan = study.plan()
    if study.is_main_process and dry_run and form == "json":
        show_json(plan_document(study, plan))
    elif study.is_main_process and not quiet and form == "text":
        show_plan(study, plan, console(), measure=dry_run)
    if dry_run:
        return
    result = study.run(plan, progress=not quiet, report=False, tracker=tracker)
    if result is None:
        return
    with figure_style(style):
        study.report(result, study.config.out, console() if form == "text" else None)
    if form != "text":
        show_study(result, form)
    else:
        console().print(f"tables    {study.config.out}/alignment.csv, alignment.parquet, study.json", soft_wrap=True)


@run.command
def report(
    folder: str | None = None,
    /,
    *,
    config: File | None = None,
    metric: str | None = None,
    out: Folder | None = None,
    style: FigureStyle = "screen",
    table: TableKind = None,
    json: Json = False,
) -> None:
    """Write report.html, RESULTS.md, figures and tables of a finished run.

    Args:
        folder: of a finished run (default: that of --config, else synthetic-runs/paper)
        config: YAML settings of the run
        metric: one of the run's metrics (default: its first)
        out: folder of the pages; table and figures are in its results/ (default: the run's folder)
    """
    from vlalign.display.figures import figure_style
    from vlalign.report.console import console
    from vlalign.synthetic import SyntheticResult, SyntheticStudy

    form = form_of(json, table)
    if folder and config:
        raise VlalignError("give the folder of a run or --config, not both")
    folder = folder or SyntheticConfig(**(read_options(SyntheticConfig, config) if config else {})).out
    result = SyntheticResult.load(folder)
    with figure_style(style):
        SyntheticStudy.report(result, out or folder, console() if form == "text" else None, metric=metric)
    if form != "text":
        show_study(result, form, metric)


@run.command
def data(
    *,
    uniqueness: Annotated[int, Ge(0)],
    phi_depth: Annotated[int, Ge(1)] = 1,
    config: Settings = None,
    out: Folder | None = None,
    pushed: Annotated[PushOptions, Flags] = PushOptions(),
    options: Annotated[SampleOptions, Flags] = SampleOptions(),
) -> None:
    """Write the samples of one U as a data set: saved, or pushed to the Hub.

    Args:
        uniqueness: U of the samples
        phi_depth: depth of φ
        out: folder for the data set
    """
    from vlalign.files import write_whole
    from vlalign.hub.repo import check_name
    from vlalign.hub.synthetic import card, push_synthetic
    from vlalign.report.console import console
    from vlalign.synthetic import make_data
    from vlalign.synthetic.export import save_datasets

    if not out and not pushed.push:
        raise VlalignError("nothing to do: name a folder with --out or a data set of the Hub with --push")
    if pushed.push:
        check_name(pushed.push)
    samples = make_data(_config(options, config, uniqueness=(uniqueness,), phi_depths=(phi_depth,)), uniqueness)
    if out:
        folder = save_datasets(samples, phi_depth, out)
        write_whole(folder / "README.md", card(samples, phi_depth, None, pushed.licence).encode())
        console().print(f"data      {folder}", soft_wrap=True)
    if pushed.push:
        values = {name: value for name, value in vars(pushed).items() if name != "push"}
        target = push_synthetic(samples, phi_depth, pushed.push, **values)
        show_target(target.url, target.commit)


@run.command
def tune(
    *,
    options: Annotated[EncoderOptions, Flags] = EncoderOptions(),
    config: Settings = None,
    trials: Annotated[int, Ge(1)] = 8,
    out: File = "tuned.yaml",
    quiet: Quiet = False,
) -> None:
    """Search learning rates and weight decays as the paper did (needs optuna).

    Args:
        trials: number of trials for each modality and U
        out: file for `run --tuned`
    """
    from vlalign.report.console import console
    from vlalign.synthetic.report import tuned_table
    from vlalign.synthetic.tune import tune as search

    tuned = search(_config(options, None), out, trials=trials, progress=not quiet)
    if tuned is not None:
        console().print(tuned_table(tuned))
        console().print(f"settings  {out}  (use them with `run --tuned {out}`)", soft_wrap=True)


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("synthetic"))
