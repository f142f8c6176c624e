"""What a synthetic study came to: tables, figures, RESULTS.md."""

from vlalign.synthetic.report.output import describe_table, save_synthetic, show_plan, show_result, tuned_table

__all__ = ["describe_table", "save_synthetic", "show_plan", "show_result", "tuned_table"]
