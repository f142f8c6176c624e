"""Report of a synthetic study: tables, figures, pages."""

from vlalign.synthetic.report.output import (
    decomposition_table,
    describe_table,
    show_plan,
    show_result,
    tuned_table,
    write_report,
)

__all__ = ["decomposition_table", "describe_table", "show_plan", "show_result", "tuned_table", "write_report"]
