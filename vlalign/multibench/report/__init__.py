"""Report of a MultiBench study: tables, figures, page, and the paper's Table 1."""

from vlalign.multibench.report.data import show_inspection, show_prepared, show_written
from vlalign.multibench.report.output import show_plan, show_result, write_report
from vlalign.multibench.report.table1 import save_table1, show_table1

__all__ = [
    "save_table1",
    "show_inspection",
    "show_plan",
    "show_prepared",
    "show_result",
    "show_table1",
    "show_written",
    "write_report",
]
