"""Leaderboard of score records: a static site, CSV, Markdown and JSON.

Verification of records from features, which needs torch, is in :mod:`vlalign.report.leaderboard.check`.
"""

from vlalign.report.leaderboard.files import to_json
from vlalign.report.leaderboard.index import Heading
from vlalign.report.leaderboard.output import FILES, check_site, save_leaderboard, show_leaderboard

__all__ = ["FILES", "Heading", "check_site", "save_leaderboard", "show_leaderboard", "to_json"]
