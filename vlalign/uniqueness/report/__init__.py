"""Report of a uniqueness study: tables, figures, page."""

from vlalign.uniqueness.report.figures import draw_main
from vlalign.uniqueness.report.output import show_uniqueness, uniqueness_table, write_report
from vlalign.uniqueness.report.text import findings_of, main_table, title_of

__all__ = [
    "draw_main",
    "findings_of",
    "main_table",
    "show_uniqueness",
    "title_of",
    "uniqueness_table",
    "write_report",
]
