"""Flags of verbs that show results: the form of standard output, and kind and style of the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from vlalign.display.figures import FigureKind, Style
from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from vlalign.report.forms import Form

Json = Annotated[bool, Parameter(help="print the results as JSON, and nothing else")]
TableKind = Annotated[
    Literal["latex", "markdown", "csv"] | None,
    Parameter(help="print the results as a table of this kind, and nothing else"),
]
FigureFormat = Annotated[FigureKind, Parameter(help="kind of the figures")]
FigureStyle = Annotated[
    Style, Parameter(help="paper: figures for a column of 3.25 inches, text of 8 pt, no titles that a caption repeats")
]


def form_of(json: bool, table: Literal["latex", "markdown", "csv"] | None, dry_run: bool = False) -> Form:
    """Return the form of standard output that the flags ask for.

    Raises:
        VlalignError: both are given, or a table of a plan.
    """
    if json and table:
        raise VlalignError("--json and --table are two forms of one output: give one of them")
    if dry_run and table:
        raise VlalignError("--table is for results, and --dry-run gives a plan: leave it out, or use --json")
    return "json" if json else table or "text"


def show_study(result: Any, form: Form, metric: str | None = None) -> None:
    """Print the main table of a study, its rows as CSV, or rows and findings as JSON, and nothing else."""
    from vlalign.report.forms import formatted, records_of

    document = {
        "findings": result.sentences(metric), "rows": records_of(result.to_frame()), "config": result.config,
        "environment": vars(result)["environment"], "seconds": vars(result)["seconds"],
    }  # fmt: skip
    print(formatted(form, result.texts(metric), result.to_frame(), document), end="")


def show_json(document: object) -> None:
    """Print JSON values, and nothing else."""
    from vlalign.report.forms import json_text

    print(json_text(document), end="")
