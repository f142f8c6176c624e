"""Leaderboard of score records: a static site, CSV, Markdown and JSON, and verification of records from features."""

from vlalign.report.leaderboard.check import (
    DIFFERS,
    VERIFIED,
    Checked,
    check_record,
    choose_records,
    hashes_of,
    show_checked,
)
from vlalign.report.leaderboard.files import to_json
from vlalign.report.leaderboard.index import Heading
from vlalign.report.leaderboard.output import FILES, check_site, save_leaderboard, show_leaderboard

__all__ = [
    "DIFFERS", "FILES", "VERIFIED", "Checked", "Heading", "check_record", "check_site", "choose_records", "hashes_of",
    "save_leaderboard",
    "show_checked", "show_leaderboard", "to_json",
]  # fmt: skip
