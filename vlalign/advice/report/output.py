"""Report of advice: verdicts on the console; tables, figures and page as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from vlalign.advice.report.figures import save_figures
from vlalign.advice.report.page import advice_page
from vlalign.display.figures import with_pdf
from vlalign.display.format import duration, plural
from vlalign.report.page import save_html
from vlalign.report.study import PAGE, make_folder, show_files

if TYPE_CHECKING:
    from vlalign.advice.results import AdviceResult
    from vlalign.advice.study import AdviceStudy


def write_report(
    result: AdviceResult, folder: str | Path, console: Console | None = None, *, metric: str | None = None
) -> list[Path]:
    """Write figures (PNG and PDF) into figures/, and report.html, into ``folder``.

    Arguments and errors are those of :meth:`vlalign.study.study.Study.report`.
    """
    folder = Path(folder)
    figures = save_figures(result, make_folder(folder / "figures"))
    files = [*with_pdf(list(figures.values())), save_html(advice_page(result, figures), folder / PAGE)]
    if console is not None:
        show_result(result, console)
        show_files(
            files, console, f"{folder}/effects.csv, matching.csv, each also as .parquet, study.json, information.json"
        )
    return files


def show_plan(study: AdviceStudy, plan: Any, console: Console) -> None:
    """Print what a run is going to do."""
    config, data = study.config, study.data
    console.print(
        f"data      {len(data):,} labelled pairs, {len(data.extra[0]):,} without a label; "
        f"{data.names[0]} {data.x[0].shape[1]}, {data.names[1]} {data.x[1].shape[1]} values\n"
        f"training  {plural(len(config.seeds), 'seed')} × {plural(study.folds, 'fold')} × {len(study.arms)} arms (λ "
        f"and controls), {config.steps} steps, {plural(study.depth, 'layer')}: {plan.to_do} of {plan.total} to train\n"
        f"out       {config.out}",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def show_result(result: AdviceResult, console: Console) -> None:
    """Print the verdicts."""
    for verdict in result.verdicts:
        console.print(Text(f"{result.use_name(verdict.use)}: ", style="bold") + Text(verdict.text), soft_wrap=True)
        if verdict.reason:
            console.print(Text(f"  explained by {verdict.reason}"), soft_wrap=True)
        console.print(Text(f"  instead: {verdict.instead}"), soft_wrap=True)
    if result.trained:
        console.print(
            f"trained {result.trained} pairs of encoders in {duration(result.seconds['train'])}", markup=False
        )
