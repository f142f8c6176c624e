"""What a uniqueness study came to: tables, figures, page."""

from vlalign.uniqueness.report.output import save_uniqueness, show_files, show_uniqueness, uniqueness_table

__all__ = ["save_uniqueness", "show_files", "show_uniqueness", "uniqueness_table"]
