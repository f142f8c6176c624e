"""Report of a synthetic study: tables on the console; table, figures and page as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.text import Text

from vlalign.display.figures import with_pdf
from vlalign.display.format import duration, metric_title, number, plural, size
from vlalign.display.tables import write_csv
from vlalign.files import free_bytes, write_whole
from vlalign.report.console import notes, of_page, table, titled
from vlalign.report.page import markdown, save_html
from vlalign.report.study import PAGE, make_folder, show_files
from vlalign.synthetic.cells import shape_of
from vlalign.synthetic.report.figures import save_figures
from vlalign.synthetic.report.page import modality_tables, synthetic_page, task_tables
from vlalign.synthetic.report.text import findings
from vlalign.synthetic.results import headline, maxima_by_reference

if TYPE_CHECKING:
    from vlalign.decomposition import Decomposition
    from vlalign.study.grid import CellPlan
    from vlalign.synthetic import Information, SyntheticResult, SyntheticStudy
    from vlalign.synthetic.tune import Tuned

SOURCE_REDUNDANCY = (
    "I(x_c;Y), the source redundancy, is the information of the shared bits, which alignment follows. R depends on "
    "p(x1,y) and p(x2,y) alone, not on the pairing, so it can be large where nothing is shared."
)
_RESULTS, _FOLDER = "RESULTS.md", "results"


def write_report(
    result: SyntheticResult, folder: str | Path, console: Console | None = None, *, metric: str | None = None
) -> list[Path]:
    """Write table and figures (PNG and PDF) into results/, and RESULTS.md and report.html, into ``folder``.

    Arguments and errors are those of :meth:`vlalign.study.study.Study.report`.
    """
    folder = Path(folder)
    make_folder(folder / _FOLDER)
    metric = result.chosen_metric(metric)
    small = headline(result.table).drop(columns=[c for c in result.table.columns if c.endswith("reference_layer")])
    values = write_csv(folder / _FOLDER / "alignment.csv", small, "%.5g")
    most = write_csv(folder / _FOLDER / "maxima.csv", maxima_by_reference(result.table, result.metrics), "%.5g")
    figures = save_figures(result, metric, folder / _FOLDER)
    page = synthetic_page(result, metric, figures)
    text = write_whole(folder / _RESULTS, markdown(page, folder))
    files = [values, most, *with_pdf(list(figures.values())), text, save_html(page, folder / PAGE)]
    if console is not None:
        show_result(result, console, metric)
        show_files(files, console)
    return files


def describe_table(tasks: Sequence[Information]) -> Group:
    """Return the exact quantities of tasks, a row for each U, to fit 80 columns for two modalities."""
    return Group(*(of_page(part, no_wrap=True, collapse_padding=True, pad_edge=False) for part in task_tables(tasks)))


def decomposition_table(tasks: Mapping[int, tuple[Decomposition | None, float]]) -> Group:
    """Return R, U1, U2 and S by U, and the source redundancy, with the sentence that explains their difference."""
    parts = ("R", "U1", "U2", "S") if any(part for part, _ in tasks.values()) else ()
    rows = [
        [str(u), *(number(getattr(part, name)) for name in parts), number(source)]
        for u, (part, source) in tasks.items()
    ]
    caption = "Information about the label: redundant (R), in one modality alone (U1, U2), in both together alone (S)"
    return Group(
        titled(f"{caption if parts else 'Source redundancy'}, in nats", table(["U", *parts, "I(x_c;Y)"], rows)),
        *notes([SOURCE_REDUNDANCY]),
    )


def plan_document(study: SyntheticStudy, plan: CellPlan[Any], *, measure: bool = True) -> dict[str, Any]:
    """Return what a run is going to do as JSON values; ``measure`` its time with a training of seconds."""
    config = study.config
    cells = [cell for group in plan.missing for cell in group]
    weights = sum(rows * columns for cell in cells for rows, columns in shape_of(config, cell).matrices)
    return {
        "encoders": plan.total, "to_train": plan.to_do, "ensembles": len(plan.missing),
        "seconds": study.measured_seconds(plan.missing) if measure else None,
        "bytes": 4 * weights * len(config.uniqueness), "free_bytes": free_bytes(Path(config.out)), "out": config.out,
    }  # fmt: skip


def show_plan(study: SyntheticStudy, plan: CellPlan[Any], console: Console, *, measure: bool = False) -> None:
    """Print what a run is going to do; ``measure`` its time with a training of seconds."""
    config, document = study.config, plan_document(study, plan, measure=measure)
    where = "one CPU core" if study.device.type == "cpu" else str(study.device)
    seconds = document["seconds"]
    time = "" if seconds is None else f"time      ≈ {duration(seconds)} of training on {where}, measured now\n"
    console.print(
        f"grid      {len(config.uniqueness)} U × {len(config.phi_depths)} φ × {plural(len(config.depths), 'depth')} × "
        f"{plural(len(config.hidden), 'width')} × {plural(len(config.seeds), 'seed')}: {plan.total} encoders, "
        f"{plan.to_do} to train in {plural(len(plan.missing), 'ensemble')}\n"
        f"{time}disk      ≈ {size(document['bytes'])} to write, {size(document['free_bytes'])} free\n"
        f"out       {config.out}",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def show_result(result: SyntheticResult, console: Console, metric: str | None = None) -> None:
    """Print maxima by U and φ, medians by U, and findings."""
    metric = result.chosen_metric(metric)
    for modality in sorted(result.table["modality"].unique()):
        console.print(Text(f"{metric_title(metric)} of modality {modality} with modality 1", style="bold"))
        for part in filter(None, modality_tables(result, metric, modality)):
            console.print(of_page(part))
    for finding in findings(result, metric):
        console.print(Text(f"  {finding}"), soft_wrap=True)
    if result.trained:
        console.print(
            f"trained {result.trained} encoders in {duration(result.seconds['train'])}, "
            f"aligned all pairs in {duration(result.seconds['align'])}",
            markup=False,
        )


def tuned_table(tuned: Tuned) -> Group:
    """Return the settings with the best validation accuracy of a search."""
    result = table(["", "U", "learning rate", "weight decay", "accuracy"])
    for modality, entries in tuned.items():
        for i, (u, entry) in enumerate(entries.items()):
            result.add_row(
                "" if i else modality, str(u), f"{entry['learning_rate']:g}", f"{entry['weight_decay']:g}",
                f"{entry['accuracy']:.3f}", end_section=i == len(entries) - 1,
            )  # fmt: skip
    return titled("Learning rate and weight decay with the best mean validation accuracy", result)
