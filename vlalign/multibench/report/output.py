"""What a MultiBench study came to: tables on the console; figures and a page as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from vlalign.files import write_error
from vlalign.multibench.report.figures import save_figures
from vlalign.multibench.report.page import multibench_page
from vlalign.multibench.report.text import (
    BEST,
    Direction,
    best_rows,
    chosen_metric,
    data_notes,
    data_title,
    directions,
    findings,
    grid_text,
    interval,
    many,
    p_said,
    r_text,
    unlike_paper,
)
from vlalign.report.console import titled
from vlalign.report.format import last_run, metric_title, signed
from vlalign.report.page import save_page
from vlalign.store.checksums import check_space

if TYPE_CHECKING:
    from vlalign.multibench import MultibenchResult, MultibenchStudy
    from vlalign.study.grid import CellPlan

PAGE, FOLDER = "report.html", "figures"


def show_plan(study: MultibenchStudy, plan: CellPlan[Any], console: Console) -> None:
    """What a run is going to do."""
    data, config = study.data, study.config
    classes = f", {data.classes} classes" if data.classes else ""
    samples = ", ".join(f"{len(split.ids)} {title}" for title, split in data.splits.items())
    inputs = [
        f"{name} {' × '.join(map(str, data.splits['train'].inputs[name].shape[1:]))}"
        for name in config.modalities or data.modalities
    ]
    some = config.train_samples != len(data.splits["train"].ids)
    used = f" (the first {config.train_samples} of train)" if some else ""
    grid = f"{len(inputs)} modalities × {many(len(config.depths), 'depth')} × {many(len(config.seeds), 'seed')}"
    console.print(
        f"data      {data.name}: {data.task}{classes}; {samples}{used}\n"
        f"inputs    {', '.join(inputs)} (frames × features)\n"
        f"grid      {grid}, {config.epochs} epochs: {plan.total} encoders, {plan.to_do} to train in "
        f"{many(len(plan.missing), 'ensemble')}\n"
        f"out       {config.out}",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def show_result(result: MultibenchResult, console: Console, metric: str | None = None) -> None:
    """The best encoders, the correlations of all directions, findings, and how long it took.

    Raises:
        VlalignError: the study has no such metric.
    """
    metric = chosen_metric(result, metric)
    found = directions(result, metric)
    console.print(_best(result))
    console.print(_correlations(result, found, metric))
    for finding in findings(result, metric, found):
        console.print(Text(f"  {finding}"))
    if unlike := unlike_paper(result, metric):
        console.print(Text(f"  not as in the paper: {'; '.join(unlike)}", style="yellow"))
    for note in data_notes(result):
        console.print(Text(f"  data: {note}", style="yellow"))
    console.print(Text(last_run(result.trained, result.seconds, result.environment)))


def _best(result: MultibenchResult) -> Group:
    """The best encoder of each modality, and how all of them perform."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(BEST[0], overflow="fold")
    for column in BEST[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    for name, *cells in best_rows(result):
        table.add_row(Text(name), *cells)
    return titled(f"{data_title(result)}: the best encoder of each modality by valid {result.performance}", table)


def _correlations(result: MultibenchResult, found: list[Direction], metric: str) -> Group:
    """Alignment against test performance: r, interval and p below each other, so that 80 columns hold them."""
    published = any(one.published for one in found)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("encoders", overflow="fold")
    for column in ("Pearson's r", "by depths", "Spearman's ρ", *(["published"] if published else []), "alignment"):
        table.add_column(column, justify="right", no_wrap=True)
    for i, one in enumerate(found):
        values = list(one.rows[metric])
        cells = [
            f"{r_text(one.pearson)}\n{interval(one.pearson)}\n{p_said(one.pearson, result)}",
            f"\n{interval(one.depths)}\n{p_said(one.depths, result)}",
            f"{r_text(one.spearman)}\n{interval(one.spearman)}\n{p_said(one.spearman, result)}",
        ]  # fmt: skip
        if one.pearson is None:
            cells = ["–", "–", "–"]
        elif one.depths is None:
            cells[1] = "–"
        if published:
            known = one.published
            cells.append(f"{signed(known.first, 3)}\n({signed(known.later, 3)})" if known else "–")
        cells.append(f"{signed(min(values))}\nto {signed(max(values))}")
        table.add_row(Text(f"{one.modality}\nwith {one.reference}"), *cells, end_section=i < len(found) - 1)
    title = f"Alignment ({metric_title(metric)}) with the best encoder of the other modality, against test performance"
    note = f"  95 % intervals; over {grid_text(result)}; by depths: encoders of one depth are alike, so depths count"
    if published:
        note += "; published: first version (later one)"
    return Group(titled(title, table), Text(f"{note}\n", style="dim"))


def save_multibench(result: MultibenchResult, folder: str | Path, metric: str | None = None) -> list[Path]:
    """Write the figures into figures/ and report.html, which holds them too, into ``folder``, which is made.

    Args:
        result: of the study.
        folder: of the page.
        metric: of figures and page; None for the first of the study.

    Returns:
        The figures, and the page last.

    Raises:
        VlalignError: the study has no such metric, or a file cannot be written.
    """
    folder, metric = Path(folder), chosen_metric(result, metric)
    check_space(folder, 0)
    try:
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    found = directions(result, metric)
    figures = save_figures(result, found, metric, folder / FOLDER)
    return [*figures.values(), save_page(multibench_page(result, found, metric, figures), folder / PAGE)]
