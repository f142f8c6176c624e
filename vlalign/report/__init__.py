"""Rendering of records, comparisons, studies and the leaderboard: format, console, figures, pages, templates."""
