"""What a synthetic study came to: tables on the console; table, figures and page as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from vlalign.files import write_error, write_whole
from vlalign.report.console import titled
from vlalign.report.format import duration, metric_title, rho_short
from vlalign.store.checksums import check_space
from vlalign.synthetic.report.figures import save_figures
from vlalign.synthetic.report.page import results_page
from vlalign.synthetic.report.text import bits_text, findings, summary_rows
from vlalign.synthetic.results import headline, maxima, rho_of_maxima
from vlalign.tables import write_csv

if TYPE_CHECKING:
    from vlalign.study.grid import CellPlan
    from vlalign.synthetic import Information, SyntheticConfig, SyntheticResult
    from vlalign.synthetic.tune import Tuned

PAGE, FOLDER = "RESULTS.md", "results"


def describe_table(found: Sequence[Information]) -> Group:
    """The exact quantities, a row for each U."""
    modalities = range(1, len(found[0].single) + 1)
    informed = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)  # 80 columns hold two modalities
    accuracy = Table(box=box.SIMPLE_HEAD)
    names = ["U", "bits", *(f"I(X{m};Y)" for m in modalities), "I(all;Y)", "I(X1;X2)", "interaction"]
    for table, columns in ((informed, names), (accuracy, ["U", *(f"from x{m}" for m in modalities), "from all"])):
        for column in columns:
            table.add_column(column, justify="left" if column == "bits" else "right", no_wrap=True)
    for one in found:
        numbers = [*one.single, one.joint, one.between[0], one.interaction]
        informed.add_row(str(one.uniqueness), bits_text(one), *(f"{value:.4f}" for value in numbers))
        accuracy.add_row(str(one.uniqueness), *(f"{value:.4f}" for value in (*one.accuracy, one.accuracy_joint)))
    sign = "redundancy minus synergy" if len(modalities) == 2 else "co-information, whose sign alone tells neither"
    said = f"interaction: {sign}; p(y) from {min(found[0].marginal):.3f} to {max(found[0].marginal):.3f}"
    return Group(
        titled("Exact information of the task, in nats", informed),
        Text(f"  {said}\n"),
        titled("Bayes accuracy: the most that any classifier reaches", accuracy),
    )


def show_plan(config: SyntheticConfig, plan: CellPlan[Any], console: Console) -> None:
    """What a run is going to do."""
    console.print(
        f"grid      {len(config.uniqueness)} U × {len(config.phi_depths)} φ × {len(config.depths)} depths × "
        f"{len(config.hidden)} width{'s'[: len(config.hidden) > 1]} × {len(config.seeds)} "
        f"seed{'s'[: len(config.seeds) > 1]}: {plan.total} encoders, "
        f"{plan.to_do} to train in {len(plan.missing)} ensembles\nout       {config.out}",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def show_result(result: SyntheticResult, console: Console, metric: str | None = None) -> None:
    """Maxima by U and φ, medians by U, findings."""
    metric = metric or result.metrics[0]
    rhos = rho_of_maxima(result.table, metric)
    for modality, rows in maxima(result.table, metric).groupby(level=0):
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("D_φ", justify="right")
        for u in rows.columns:
            table.add_column(f"U {u}", justify="right")
        table.add_column("ρ with U", justify="right")
        for (_, phi), row in rows.iterrows():
            table.add_row(str(phi), *(f"{value:.2f}" for value in row), rho_short(rhos[modality, phi]))
        console.print(titled(f"Largest {metric_title(metric)} of modality {modality} with modality 1", table))
        table = Table(box=box.SIMPLE_HEAD)
        names, cells = summary_rows(result.table, metric, modality)
        for name in names:
            table.add_column(name, justify="right")
        for cell in cells:
            table.add_row(*cell)
        console.print(titled("Medians over φ and seeds of Spearman's ρ over encoders of one φ and seed", table))
    console.print(Text("  –: fewer than five values; intervals take the values for independent draws", style="dim"))
    for finding in findings(result, metric):
        console.print(Text(f"  {finding}"), soft_wrap=True)
    if result.trained:
        console.print(
            f"trained {result.trained} encoders in {duration(result.seconds['train'])}, "
            f"aligned all pairs in {duration(result.seconds['align'])}",
            markup=False,
        )


def save_synthetic(result: SyntheticResult, folder: str | Path, metric: str | None = None) -> list[Path]:
    """Write results/alignment.csv, the figures beside it, and RESULTS.md into ``folder``, which is made.

    Args:
        result: of the study.
        folder: of the page.
        metric: of figures and page; None for the first of the study.

    Returns:
        The table, the figures, and the page last.

    Raises:
        VlalignError: a file cannot be written.
    """
    folder = Path(folder)
    check_space(folder, 0)
    try:
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    metric = metric or result.metrics[0]
    small = headline(result.table).drop(columns=[c for c in result.table.columns if c.endswith("reference_layer")])
    table = folder / FOLDER / "alignment.csv"
    write_csv(table, small, "%.4f")
    figures = save_figures(result, metric, folder / FOLDER)
    page = results_page(result, metric, {name: path.relative_to(folder) for name, path in figures.items()})
    write_whole(folder / PAGE, page)
    return [table, *figures.values(), folder / PAGE]


def tuned_table(found: Tuned) -> Group:
    """The settings that a search found."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("", "U", "learning rate", "weight decay", "accuracy"):
        table.add_column(column, justify="left" if not column else "right")
    for modality, entries in found.items():
        for i, (u, entry) in enumerate(entries.items()):
            table.add_row(
                "" if i else modality, str(u), f"{entry['learning_rate']:g}", f"{entry['weight_decay']:g}",
                f"{entry['accuracy']:.3f}", end_section=i == len(entries) - 1,
            )  # fmt: skip
    return titled("Learning rate and weight decay with the best mean validation accuracy", table)
