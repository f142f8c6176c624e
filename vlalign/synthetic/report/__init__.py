"""Report of a synthetic study: tables, figures, pages."""

from vlalign.synthetic.report.figures import draw_main
from vlalign.synthetic.report.output import (
    decomposition_table,
    describe_table,
    plan_document,
    show_plan,
    show_result,
    tuned_table,
    write_report,
)
from vlalign.synthetic.report.text import findings_of, main_table, title_of

__all__ = [
    "decomposition_table",
    "describe_table",
    "draw_main",
    "findings_of",
    "main_table",
    "plan_document",
    "show_plan",
    "show_result",
    "title_of",
    "tuned_table",
    "write_report",
]
