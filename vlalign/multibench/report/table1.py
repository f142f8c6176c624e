"""Correlations of alignment and performance, of one or several data sets, beside those of the paper's Table 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vlalign.display import html_text
from vlalign.files import write_error, write_whole
from vlalign.multibench.published import TABLE
from vlalign.multibench.report.text import (
    Direction,
    chosen_metric,
    data_notes,
    data_title,
    directions,
    grid_text,
    interval,
    p_value,
    r_text,
    span,
    unlike_paper,
)
from vlalign.report import markdown, page
from vlalign.report.console import titled
from vlalign.report.format import metric_title, signed
from vlalign.store.checksums import check_space
from vlalign.tables import write_csv

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.multibench import MultibenchResult
    from vlalign.stats import Correlation

FILES = ("table1.md", "table1.csv", "table1.html")
INTERVALS = "below each p the 95 % interval that goes with it"
_TITLE = "Alignment–performance correlations"


def how_to_read() -> list[str]:
    """What the numbers mean, and when to believe them."""
    return [
        "r is Pearson's correlation, over the encoders of one modality, of their alignment with the best encoder of "
        "another modality and their test performance. Near 1: of two encoders the better aligned one usually performs "
        "better. Near 0: alignment does not tell them apart. Negative: the better aligned one usually performs worse. "
        "Low or negative, alignment is no guide to performance on this data; it does not say that the modalities share "
        "nothing.",
        "Encoders of one depth differ by their seed only and are alike: they are not as many independent values. "
        "p (encoders) and the interval of r take them for such and are mostly too sure. p (depths) exchanges whole "
        "depths, its interval counts depths: it is mostly larger, and the one to go by.",
        "p and interval are computed differently and may disagree: p from permutations of what was found, the interval "
        "from Fisher's formula for normal values, which with 5 depths leaves out 0 only from |r| = 0.88 on and with 10 "
        "from 0.63 on. Where only one of them speaks for a correlation, take it for open.",
        "Believe r when p by depths is small and its interval leaves out 0, Spearman's ρ, which sees only the order, "
        "says the same, and performances differ by more than the chance of the test samples. Where several directions "
        "or metrics are looked at, a few small p come by chance.",
        "r over depths may be of depth alone: both can grow with it. Alignment is the largest value over pairs of "
        "layers, and deeper encoders have more of these.",
    ]


def about_published() -> str:
    """What stands in the columns of published values."""
    most = max(abs(one.first - one.later) for one in TABLE.values())
    return (
        "Published: Pearson's r of Table 1 of arXiv 2502.16282, in its first version and in a later one, without "
        f"intervals. The two differ by up to {most:.2f}."
    )


def columns_of(published: bool) -> list[str]:
    """Names of the columns of :func:`cells_of`."""
    known = ["published", "later"] if published else []
    return ["encoders", "r", *known, "p (encoders)", "p (depths)", "Spearman's ρ", "p of ρ (depths)", "alignment"]


def cells_of(one: Direction, result: MultibenchResult, metric: str, published: bool) -> list[str]:
    """A direction as a row of texts; what follows the line break of a p-value is the interval that goes with it."""

    def with_interval(found: Correlation | None) -> str:
        return "–" if found is None else f"{p_value(found, result)}\n{interval(found)}"

    return [
        one.title if not one.why else f"{one.title}\n{one.why}",
        r_text(one.pearson),
        *(_known(one) if published else []),
        with_interval(one.pearson),
        with_interval(one.depths),
        r_text(one.spearman),
        with_interval(one.spearman_depths),
        span(list(one.rows[metric]), 2),
    ]


def _known(one: Direction) -> list[str]:
    """The published values, or dashes."""
    return [signed(one.published.first, 3), signed(one.published.later, 3)] if one.published else ["–", "–"]


def save_table1(results: Sequence[MultibenchResult], folder: str | Path, metric: str | None = None) -> list[Path]:
    """Write table1.md, table1.csv and table1.html, of all directions of some studies, into ``folder``, which is made.

    Args:
        results: of the studies, in the order of the table.
        folder: of the files.
        metric: of alignment; None for the first of each study.

    Returns:
        The files, the page last.

    Raises:
        VlalignError: a study has no such metric, or a file cannot be written.
    """
    folder = Path(folder)
    runs = _runs(results, metric)
    check_space(folder, 0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    columns, rows = _rows(runs)
    flat = [[html_text(cell, quote=False).replace("\n", "<br>") for cell in row] for row in rows]
    notes = _notes(runs)
    lines = [f"# {_TITLE}", markdown.table(columns, flat)]
    lines += ["\n".join(f"- {html_text(note, quote=False)}" for note in [INTERVALS, *notes, *how_to_read()])]
    texts = {
        FILES[0]: "\n\n".join(lines) + "\n",
        FILES[2]: page.page(
            _TITLE,
            [
                page.table(
                    f"Encoders of one modality with the best one of another; {INTERVALS}",
                    columns,
                    rows,
                    left=columns[1:2],
                ),
                page.bullets(notes),
                page.section("How to read this", page.bullets(how_to_read())),
            ],
        ),
    }
    write_whole(folder / FILES[0], texts[FILES[0]])
    write_csv(folder / FILES[1], _numbers(runs))
    return [*(folder / name for name in FILES[:2]), page.save_page(texts[FILES[2]], folder / FILES[2])]


def show_table1(results: Sequence[MultibenchResult], console: Console, metric: str | None = None) -> None:
    """All directions of some studies, ours beside the published.

    Raises:
        VlalignError: a study has no such metric.
    """
    runs = _runs(results, metric)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for column in ("data", "encoders", "with"):
        table.add_column(column, overflow="fold", min_width=len(column))
    for column in ("r", "by depths", "p (depths)", "published", "later"):
        table.add_column(column, justify="right", no_wrap=True)
    for run in runs:
        for i, one in enumerate(run.found):
            names = [Text(name) for name in ("" if i else run.title, one.modality, one.reference)]
            numbers = [r_text(one.pearson), interval(one.depths), p_value(one.depths, run.result)]
            table.add_row(*names, *numbers, *_known(one), end_section=i == len(run.found) - 1)
    console.print(titled(_TITLE, table))
    for note in _notes(runs):
        console.print(Text(f"  {note}", style="dim"))


class _Run:
    """A study, its metric and directions, and a name that tells it from the others."""

    def __init__(self, result: MultibenchResult, metric: str | None, folder: str, twin: bool) -> None:
        self.result, self.metric, self.folder = result, chosen_metric(result, metric), folder
        self.found = directions(result, self.metric)
        self.title = data_title(result) + (f" ({folder})" if twin else "")


def _runs(results: Sequence[MultibenchResult], metric: str | None) -> list[_Run]:
    """Studies of one data set are told apart by their folder: its name, or all of its path where names are the same."""
    titles = Counter(map(data_title, results))
    paths = [str(result.config["out"]) for result in results]
    names = Counter(Path(path).name for path in set(paths))
    return [
        _Run(result, metric, Path(path).name if names[Path(path).name] == 1 else path, titles[data_title(result)] > 1)
        for result, path in zip(results, paths, strict=True)
    ]


def _rows(runs: Sequence[_Run]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the written tables."""
    published = any(one.published for run in runs for one in run.found)
    names = columns_of(published)
    rows = []
    for run in runs:
        for one in run.found:
            first, *rest = cells_of(one, run.result, run.metric, published)
            rows.append([run.title, first, *rest])
    return ["data", *names], rows


def _notes(runs: Sequence[_Run]) -> list[str]:
    told = []
    for run in runs:
        result = run.result
        told.append(
            f"{run.title}: {metric_title(run.metric)} on {result.config['align_samples']} samples, test "
            f"{result.performance}, {grid_text(result)}"
        )
        if unlike := unlike_paper(result, run.metric):
            told.append(f"{run.title}, not as in the paper: {'; '.join(unlike)}")
        told += [f"{run.title}: {note}" for note in data_notes(result)]
    return [*told, about_published()] if any(one.published for run in runs for one in run.found) else told


def _numbers(runs: Sequence[_Run]) -> pd.DataFrame:
    """Return all numbers as they are, empty where there are none."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for run in runs:
        result = run.result
        unlike = "; ".join([*unlike_paper(result, run.metric), *data_notes(result)])
        for one in run.found:
            row: dict[str, Any] = {
                "data": result.data["name"], "run": run.folder, "modality": one.modality,
                "reference": one.reference, "metric": run.metric, "performance": result.performance,
                "encoders": len(one.rows), "depths": one.rows["depth"].nunique(), "seeds": one.rows["seed"].nunique(),
            }  # fmt: skip
            for name, found in (
                ("r", one.pearson), ("r_depths", one.depths), ("rho", one.spearman), ("rho_depths", one.spearman_depths)
            ):  # fmt: skip
                row |= {
                    name: found and found.r, f"{name}_low": found and found.low, f"{name}_high": found and found.high,
                    f"{name}_p": found and found.p_value,
                }  # fmt: skip
            known = one.published
            row |= {"published": known and known.first, "later": known and known.later, "notes": unlike}
            rows.append(row)
    return pd.DataFrame(rows, dtype=object)
