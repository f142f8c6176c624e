"""Leaderboard of score records: a static site, CSV, Markdown and JSON."""

from vlalign.report.leaderboard.output import check_site, save_leaderboard, show_leaderboard

__all__ = ["check_site", "save_leaderboard", "show_leaderboard"]
