"""Correlations of alignment and performance, of one or several data sets, beside those of the paper's Table 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from vlalign.display.format import DASH, metric_title, signed, span
from vlalign.display.result import Texts
from vlalign.display.tables import write_csv
from vlalign.files import write_whole
from vlalign.multibench.published import TABLE
from vlalign.multibench.report.text import (
    Direction,
    Shown,
    data_notes,
    data_title,
    grid_text,
    main_table,
    p_value,
    r_interval,
    r_text,
    unlike_paper,
)
from vlalign.report.console import notes, table, titled
from vlalign.report.forms import Form, formatted, records_of
from vlalign.report.page import Bullets, Page, Section, Table, markdown, save_html
from vlalign.report.study import make_folder

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.multibench import MultibenchResult
    from vlalign.stats import Correlation

FILES = ("table1.md", "table1.csv", "table1.html")
INTERVALS = "below each p its 95 % interval"
_TITLE = "Alignment–performance correlations"


def how_to_read() -> list[str]:
    """Return what the numbers mean, and when to trust them."""
    return [
        "r is Pearson's correlation, over the encoders of one modality, of their alignment with the best encoder of "
        "another modality and their test performance. Near 1: of two encoders the better aligned one usually performs "
        "better. Near 0: alignment does not predict which performs better. Negative: the better aligned one usually "
        "performs worse. If r is low or negative, alignment is no guide to performance on this data; that does not "
        "mean that the modalities share nothing.",
        "Encoders of one depth differ only in their seed and are alike, so they are not independent values. "
        "p (encoders) and the interval of r treat them as independent and are mostly overconfident. p (depths) "
        "permutes whole depths, and its interval counts depths: it is mostly larger, and more reliable.",
        "p and interval are computed differently and may disagree: p from permutations of the values, the interval "
        "from Fisher's formula for normal values, which with 5 depths excludes 0 only from |r| = 0.88 on and with 10 "
        "from 0.63 on. Where only one of them supports a correlation, consider it undecided.",
        "Trust r when p by depths is small and its interval excludes 0, Spearman's ρ, which uses only the order, "
        "agrees, and performances differ by more than the chance of the test samples. Among several directions or "
        "metrics, a few small p are expected by chance.",
        "r over depths may be due to depth alone: both can grow with it. Alignment is the largest value over pairs of "
        "layers, and deeper encoders have more of these.",
    ]


def about_published() -> str:
    """Describe the columns of published values."""
    most = max(abs(one.first - one.later) for one in TABLE.values())
    return (
        "Published: Pearson's r of Table 1 of arXiv 2502.16282, in its first version and in a later one, without "
        f"intervals. The two differ by up to {most:.2f}."
    )


def columns_of(published: bool) -> list[str]:
    """Return the names of the columns of :func:`cells_of`."""
    known = ["published", "later"] if published else []
    return ["encoders", "r", *known, "p (encoders)", "p (depths)", "Spearman's ρ", "p of ρ (depths)", "alignment"]


def cells_of(one: Direction, shown: Shown, published: bool) -> list[str]:
    """Return a direction as a row of texts; the interval of a p-value follows its line break."""

    def with_interval(rho: Correlation | None) -> str:
        return DASH if rho is None else f"{p_value(rho, shown.result)}\n{r_interval(rho)}"

    return [
        one.title if not one.why else f"{one.title}\n{one.why}",
        r_text(one.pearson),
        *(_known(one) if published else []),
        with_interval(one.pearson),
        with_interval(one.depths),
        r_text(one.spearman),
        with_interval(one.spearman_depths),
        span(list(one.rows[shown.metric]), 2),
    ]


def _known(one: Direction) -> list[str]:
    """Return the published values, or dashes."""
    return [signed(one.published.first, 3), signed(one.published.later, 3)] if one.published else [DASH, DASH]


def save_table1(results: Sequence[MultibenchResult], folder: str | Path, metric: str | None = None) -> list[Path]:
    """Write table1.md, table1.csv and table1.html, of all directions of some studies, into ``folder``.

    Args:
        results: of the studies, in the order of the table.
        folder: of the files; created if missing.
        metric: of alignment; None for the first of each study.

    Returns:
        The files, the page last.

    Raises:
        VlalignError: a study has no such metric, or a file cannot be written.
    """
    runs = _runs(results, metric)
    folder = make_folder(Path(folder))
    published = any(run.published for run in runs)
    columns = ["data", *columns_of(published)]
    rows = []
    for run in runs:
        for one in run.directions:
            first, *rest = cells_of(one, run, published)
            rows.append([run.title, first, *rest])
    page = Page(
        _TITLE,
        [
            Table(
                f"Encoders of one modality with the best encoder of another; {INTERVALS}", columns, rows, columns[1:2]
            ),
            Bullets(_notes(runs)),
            Section("How to read this", [Bullets(how_to_read())]),
        ],
    )
    text, values, html = (folder / name for name in FILES)
    write_whole(text, markdown(page, folder))
    write_csv(values, _numbers(runs))
    return [text, values, save_html(page, html)]


def show_table1(results: Sequence[MultibenchResult], console: Console, metric: str | None = None) -> None:
    """Print all directions of some studies beside the published values.

    Raises:
        VlalignError: a study has no such metric.
    """
    runs = _runs(results, metric)
    columns = ("data", "encoders", "with", "r", "by depths", "p (depths)", "published", "later")
    shown = table(columns, left=columns[:3], no_wrap=True, padding=(0, 1, 0, 0), show_edge=False)
    for column, name in zip(shown.columns[:3], columns[:3], strict=True):
        column.min_width = len(name)
    for run in runs:
        for i, one in enumerate(run.directions):
            names = [Text(name) for name in ("" if i else run.title, one.modality, one.reference)]
            numbers = [r_text(one.pearson), r_interval(one.depths), p_value(one.depths, run.result)]
            shown.add_row(*names, *numbers, *_known(one), end_section=i == len(run.directions) - 1)
    console.print(titled(_TITLE, shown))
    for note in notes(_notes(runs)):
        console.print(note)


def table1_text(results: Sequence[MultibenchResult], form: Form, metric: str | None = None) -> str:
    """Return all directions of some studies as LaTeX, Markdown, CSV or JSON.

    Raises:
        VlalignError: a study has no such metric.
    """
    runs = _runs(results, metric)
    tables = [main_table(run.result, run.metric) for run in runs]
    published = any(run.published for run in runs)
    known = ["published", "later"] * published
    columns = ["data", *(name for name in tables[0].columns if name not in known), *known]
    rows = []
    for run, part in zip(runs, tables, strict=True):
        cells = [dict(zip(part.columns, row, strict=True)) | {"data": run.title} for row in part.rows]
        rows += [[row.get(name, DASH) for name in columns] for row in cells]
    numbers = _numbers(runs)
    return formatted(form, Texts(columns, rows, left=["encoders", "with"]), numbers, records_of(numbers))


class _Run(Shown):
    """A study as shown, with a title that distinguishes it from the others."""

    def __init__(self, result: MultibenchResult, metric: str | None, folder: str, twin: bool) -> None:
        super().__init__(result, metric)
        self.folder, self.title = folder, data_title(result) + (f" ({folder})" if twin else "")


def _runs(results: Sequence[MultibenchResult], metric: str | None) -> list[_Run]:
    """Return the studies; those of one data set are named by their folders, with the path where names are the same."""
    titles = Counter(map(data_title, results))
    paths = [str(result.config["out"]) for result in results]
    names = Counter(Path(path).name for path in set(paths))
    return [
        _Run(result, metric, Path(path).name if names[Path(path).name] == 1 else path, titles[data_title(result)] > 1)
        for result, path in zip(results, paths, strict=True)
    ]


def _notes(runs: Sequence[_Run]) -> list[str]:
    lines = []
    for run in runs:
        result = run.result
        lines.append(
            f"{run.title}: {metric_title(run.metric)} on {result.config['align_samples']} samples, test "
            f"{result.performance}, {grid_text(result)}"
        )
        if unlike := unlike_paper(result, run.metric):
            lines.append(f"{run.title}, not as in the paper: {'; '.join(unlike)}")
        lines += [f"{run.title}: {note}" for note in data_notes(result)]
    return [*lines, about_published()] if any(run.published for run in runs) else lines


def _numbers(runs: Sequence[_Run]) -> pd.DataFrame:
    """Return all numbers in full, empty where they are missing."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for run in runs:
        result = run.result
        unlike = "; ".join([*unlike_paper(result, run.metric), *data_notes(result)])
        for one in run.directions:
            row: dict[str, Any] = {
                "data": result.data["name"], "run": run.folder, "modality": one.modality,
                "reference": one.reference, "metric": run.metric, "performance": result.performance,
                "encoders": len(one.rows), "depths": one.rows["depth"].nunique(), "seeds": one.rows["seed"].nunique(),
            }  # fmt: skip
            for name, rho in (
                ("r", one.pearson), ("r_depths", one.depths), ("rho", one.spearman), ("rho_depths", one.spearman_depths)
            ):  # fmt: skip
                row |= {
                    name: rho and rho.r, f"{name}_low": rho and rho.low, f"{name}_high": rho and rho.high,
                    f"{name}_p": rho and rho.p_value,
                }  # fmt: skip
            known = one.published
            row |= {"published": known and known.first, "later": known and known.later, "notes": unlike}
            rows.append(row)
    return pd.DataFrame(rows, dtype=object)
