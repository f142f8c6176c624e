"""What a MultiBench study came to: tables, figures, page, and the paper's Table 1."""

from vlalign.report.multibench.data import show_inspection, show_prepared, show_written
from vlalign.report.multibench.output import save_multibench, show_plan, show_result
from vlalign.report.multibench.table1 import save_table1, show_table1

__all__ = [
    "save_multibench",
    "save_table1",
    "show_inspection",
    "show_plan",
    "show_prepared",
    "show_result",
    "show_table1",
    "show_written",
]
