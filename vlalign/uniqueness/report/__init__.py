"""Report of a uniqueness study: tables, figures, page."""

from vlalign.uniqueness.report.output import show_uniqueness, uniqueness_table, write_report

__all__ = ["show_uniqueness", "uniqueness_table", "write_report"]
