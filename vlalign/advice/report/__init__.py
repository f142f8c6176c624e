"""Report of advice: verdicts on the console; tables, figures and page as files."""

from vlalign.advice.report.main import draw_main, findings_of, main_table, title_of
from vlalign.advice.report.output import show_plan, show_result, write_report

__all__ = ["draw_main", "findings_of", "main_table", "show_plan", "show_result", "title_of", "write_report"]
