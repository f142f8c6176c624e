"""Report of a MultiBench study: tables, figures, page, and the paper's Table 1."""

from vlalign.multibench.report.data import show_films, show_inspection, show_prepared, show_written
from vlalign.multibench.report.figures import draw_main
from vlalign.multibench.report.output import plan_document, show_plan, show_result, write_report
from vlalign.multibench.report.table1 import save_table1, show_table1, table1_text
from vlalign.multibench.report.text import findings_of, main_table, title_of

__all__ = [
    "draw_main",
    "findings_of",
    "main_table",
    "plan_document",
    "save_table1",
    "show_films",
    "show_inspection",
    "show_plan",
    "show_prepared",
    "show_result",
    "show_table1",
    "show_written",
    "table1_text",
    "title_of",
    "write_report",
]
