"""Report of advice: verdicts on the console; tables, figures and page as files."""

from vlalign.advice.report.output import show_plan, show_result, write_report

__all__ = ["show_plan", "show_result", "write_report"]
