"""The leaderboard of score records: a static site, CSV, Markdown and JSON; ``site/`` is what its pages are made of."""

from vlalign.report.leaderboard.output import check_site, save_leaderboard, show_leaderboard

__all__ = ["check_site", "save_leaderboard", "show_leaderboard"]
