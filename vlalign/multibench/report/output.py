"""Report of a MultiBench study: tables on the console; figures and a page as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.text import Text

from vlalign.display.figures import with_pdf
from vlalign.display.format import DASH, duration, last_run, metric_title, plural, signed, size
from vlalign.files import free_bytes
from vlalign.multibench.report.figures import save_figures
from vlalign.multibench.report.page import multibench_page
from vlalign.multibench.report.text import (
    Shown,
    best_table,
    data_notes,
    findings,
    grid_text,
    p_equal,
    r_interval,
    r_text,
    unlike_paper,
)
from vlalign.report.console import of_page, table, titled
from vlalign.report.page import save_html
from vlalign.report.study import PAGE, make_folder, show_files

if TYPE_CHECKING:
    from vlalign.multibench import MultibenchResult, MultibenchStudy
    from vlalign.study.grid import CellPlan


def write_report(
    result: MultibenchResult, folder: str | Path, console: Console | None = None, *, metric: str | None = None
) -> list[Path]:
    """Write the figures (PNG and PDF) into figures/ and report.html, which contains them, into ``folder``.

    Args:
        result: of the study.
        folder: of the page; created if missing.
        console: where to print the results and the files, if at all.
        metric: whose values are shown; None for the first of the study.

    Returns:
        The figures, and the page last.

    Raises:
        VlalignError: the study has no such metric, or a file cannot be written.
    """
    shown, folder = Shown(result, metric), Path(folder)
    figures = save_figures(shown, make_folder(folder / "figures"))
    files = [*with_pdf(list(figures.values())), save_html(multibench_page(shown, figures), folder / PAGE)]
    if console is not None:
        _show(shown, console)
        show_files(files, console)
    return files


def plan_document(study: MultibenchStudy, plan: CellPlan[Any]) -> dict[str, Any]:
    """Return what a run is going to do as JSON values."""
    return {
        "encoders": plan.total, "to_train": plan.to_do, "ensembles": len(plan.missing),
        "seconds": study.seconds(plan.missing), "bytes": study.bytes_to_write(plan.missing),
        "free_bytes": free_bytes(Path(study.config.out)), "out": study.config.out,
    }  # fmt: skip


def show_plan(study: MultibenchStudy, plan: CellPlan[Any], console: Console) -> None:
    """Print what a run is going to do."""
    data, config, document = study.data, study.config, plan_document(study, plan)
    classes = f", {data.classes} classes" if data.classes else ""
    samples = ", ".join(f"{len(split.ids)} {title}" for title, split in data.splits.items())
    inputs = [
        f"{name} {' × '.join(map(str, data.splits['train'].inputs[name].shape[1:]))}"
        for name in config.modalities or data.modalities
    ]
    some = config.train_samples != len(data.splits["train"].ids)
    used = f" (the first {config.train_samples} of train)" if some else ""
    grid = f"{len(inputs)} modalities × {plural(len(config.depths), 'depth')} × {plural(len(config.seeds), 'seed')}"
    console.print(
        f"data      {data.name}: {data.task}{classes}; {samples}{used}\n"
        f"inputs    {', '.join(inputs)} (frames × features)\n"
        f"grid      {grid}, {config.epochs} epochs: {plan.total} encoders, {plan.to_do} to train in "
        f"{plural(len(plan.missing), 'ensemble')}\n"
        f"time      ≈ {duration(document['seconds'])} of training on one CPU core\n"
        f"disk      ≈ {size(document['bytes'])} to write, {size(document['free_bytes'])} free\n"
        f"out       {config.out}",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def show_result(result: MultibenchResult, console: Console, metric: str | None = None) -> None:
    """Print the best encoders, the correlations of all directions, findings, and how long it took.

    Raises:
        VlalignError: the study has no such metric.
    """
    _show(Shown(result, metric), console)


def _show(shown: Shown, console: Console) -> None:
    result = shown.result
    console.print(of_page(best_table(result), no_wrap=True))
    console.print(_correlations(shown))
    for finding in findings(shown):
        console.print(Text(f"  {finding}"))
    if unlike := unlike_paper(result, shown.metric):
        console.print(Text(f"  not as in the paper: {'; '.join(unlike)}", style="yellow"))
    for note in data_notes(result):
        console.print(Text(f"  data: {note}", style="yellow"))
    console.print(Text(last_run(result.trained, result.seconds, result.environment)))


def _correlations(shown: Shown) -> Group:
    """Return alignment against test performance: r, interval and p below each other, to fit 80 columns."""
    result, metric, published = shown.result, shown.metric, shown.published
    columns = ["encoders", "Pearson's r", "by depths", "Spearman's ρ", *["published"] * published, "alignment"]
    rows = table(columns, no_wrap=True, padding=(0, 1, 0, 0), show_edge=False)
    for i, one in enumerate(shown.directions):
        cells = [
            DASH if rho is None else f"{text}\n{r_interval(rho)}\n{p_equal(rho, result)}"
            for rho, text in (
                (one.pearson, r_text(one.pearson)), (one.depths, ""), (one.spearman, r_text(one.spearman))
            )
        ]  # fmt: skip
        if published:
            known = one.published
            cells.append(f"{signed(known.first, 3)}\n({signed(known.later, 3)})" if known else DASH)
        values = one.rows[metric]
        cells.append(f"{signed(values.min())}\nto {signed(values.max())}")
        end = i < len(shown.directions) - 1
        rows.add_row(Text(f"{one.modality}\nwith {one.reference}"), *cells, end_section=end)
    title = f"Alignment ({metric_title(metric)}) with the best encoder of the other modality, against test performance"
    note = f"  95 % intervals; over {grid_text(result)}; by depths: encoders of one depth are alike, so depths count"
    if published:
        note += "; published: first version (later version)"
    return Group(titled(title, rows), Text(f"{note}\n", style="dim"))
