"""Ask how alignment depends on information that only one modality has: a whole study in one command.

`uniqueness` edits one side at rising rates (see `vlalign perturb --list`), extracts what is missing, and scores every
pair of models at every rate. Finished work is kept: the same command resumes after an interruption.

  vlalign study uniqueness --x dinov2-small --y bloomz-560m open-llama-3b --op char_delete --rates 0 10 30 50 70 90
  vlalign study uniqueness --config study.yaml --out other-folder
  vlalign study uniqueness --x dinov2-base --y llama-7b --op captions_file:file=edits.json --rates 10 50 90
  accelerate launch scripts/study.py uniqueness --config study.yaml
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from vlalign.cli.app import FROM_FILE, Flags, Quiet, SettingsFile
from vlalign.cli.output import FigureStyle, Json, TableKind, form_of, show_json, show_study
from vlalign.config import File
from vlalign.tracking import Log, find_tracker
from vlalign.uniqueness.config import UniquenessConfig

if TYPE_CHECKING:
    from vlalign.extraction import Plan
    from vlalign.extraction.offline import OfflinePlan


def run(
    study: Literal["uniqueness"],
    /,
    *,
    config: Annotated[File | None, SettingsFile(UniquenessConfig), FROM_FILE] = None,
    dry_run: bool = False,
    log: Log = None,
    style: FigureStyle = "screen",
    table: TableKind = None,
    json: Json = False,
    options: Annotated[UniquenessConfig | None, Flags] = None,
    quiet: Quiet = False,
) -> None:
    """Plan, extract, score, draw, and report where everything is.

    Args:
        study: uniqueness
        dry_run: check everything and estimate disk and time, load no weights
    """
    from vlalign.display.figures import figure_style
    from vlalign.display.format import duration, plural
    from vlalign.remote import HubUnreachable
    from vlalign.report.console import console
    from vlalign.report.extraction import plan_document, plan_table
    from vlalign.uniqueness import UniquenessStudy

    tracker = find_tracker(log, "vlalign-uniqueness")
    form = form_of(json, table, dry_run)
    chosen = UniquenessStudy(options or UniquenessConfig())
    extraction: Plan | OfflinePlan
    try:
        plan = chosen.plan()
        extraction, pairs = plan.extraction, len(plan.pairs)
        seconds = chosen.scoring_seconds(plan) if dry_run else 0.0
    except HubUnreachable as error:
        if not dry_run:
            raise
        extraction, pairs, seconds = chosen.offline_plan(error)
    if dry_run:
        if chosen.is_main_process:
            engine = chosen.engine
            if form == "json":
                document = plan_document(extraction, engine.device, engine.config)
                show_json(document | {"pairs": pairs, "seconds_of_scores": seconds})
            else:
                console().print(plan_table(extraction, engine.device, engine.config))
                scores = f"{plural(pairs, 'pair')}, ≈ {duration(seconds)} for those to do"
                console().print(f"  scores: {scores}", soft_wrap=True)
        return
    result = chosen.run(plan, progress=not quiet, report=False, tracker=tracker)
    if result is not None:
        with figure_style(style):
            chosen.report(result, chosen.config.out, console() if form == "text" else None)
        if form != "text":
            show_study(result, form)


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("study"))
