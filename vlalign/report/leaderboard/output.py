"""Writes the leaderboard: a site that needs no server, and the same rows as CSV, Markdown and JSON."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from string import Template

from rich.console import Console
from rich.text import Text

from vlalign.display import html_text, visible
from vlalign.errors import VlalignError
from vlalign.files import read_json, write_whole
from vlalign.paths import user_path
from vlalign.report.leaderboard.board import FLAWED, Board, make_board, not_whole
from vlalign.report.leaderboard.files import to_csv, to_json, to_markdown
from vlalign.report.leaderboard.index import TITLE, asset, index_page, summary
from vlalign.report.leaderboard.pair import pair_page
from vlalign.scoring.collect import Collected, Invalid
from vlalign.store.checksums import check_space
from vlalign.version import __version__

_PAIR = re.compile(r"[0-9a-f]{16}\.html")
_TOLD = "leaderboard.json"
_FILES = ("index.html", "site.css", "pair.js", "leaderboard.csv", "leaderboard.md", _TOLD)
_SHOWN = 8  # invalid files named on the console
#: what makes the folder a static Space of the Hub
_SPACE = f"""---
title: {TITLE}
emoji: 📐
sdk: static
app_file: index.html
pinned: false
tags: [vlalign, leaderboard]
---

Written by `vlalign leaderboard`: open index.html. The same rows are in leaderboard.csv, leaderboard.md and .json.
"""


def check_site(out: str | Path, force: bool = False) -> Path:
    """The folder of a site. Files of the site's names that are there are another leaderboard's, or ``force`` is given.

    Raises:
        VlalignError: the folder has no name, or holds a file that would be lost.
    """
    if not str(out).strip():
        raise VlalignError("the folder of the site has no name: give one, such as --out site")
    out = user_path(out)
    there = [name for name in _FILES if (out / name).exists() or (out / name).is_symlink()]
    if there and not force and not _is_ours(out / _TOLD):
        raise VlalignError(
            f"{out} holds {', '.join(there)} that no leaderboard wrote: choose another folder, or overwrite (--force)"
        )
    return out


def _is_ours(path: Path) -> bool:
    try:
        told = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and {"format", "rules", "groups"} <= set(told)


def save_leaderboard(
    collected: Collected,
    out: str | Path,
    progress: Callable[[int, int], object] | None = None,
    force: bool = False,
) -> Board:
    """Write the site and its files into ``out``, the first page last; pages of an earlier board that are no longer
    on it are removed. A README.md makes the folder a static Space, unless there is one.

    Args:
        collected: records and what could not be read.
        out: folder, made if need be.
        progress: told how many pair pages are written, and of how many.
        force: overwrite files of the site's names that no leaderboard wrote.

    Returns:
        The board, records that have no page among the invalid ones.

    Raises:
        VlalignError: there is nothing at all to show, the folder holds files that would be lost, or a file cannot be
            written.
    """
    out = check_site(out, force)
    if not collected.records and not collected.invalid:
        raise VlalignError("there are no score records: write some with `vlalign score`")
    check_space(out, 0)
    board = make_board(collected)
    footer = html_text(f"{TITLE}, written by vlalign {__version__}")
    pages = _pair_pages(board, collected, footer, out, progress)
    if pages:  # some record has no page: it leaves the board, and with it ranks change
        lost = {(one.source, one.path) for one in pages}
        rest = [found for found in collected.records if (found.source, found.path) not in lost]
        return save_leaderboard(Collected(rest, [*collected.invalid, *pages]), out, progress, force)
    _write(out / _TOLD, to_json(board))  # first: it says whose the others are
    _write(out / "site.css", asset("site.css"))
    _write(out / "pair.js", "\n".join(asset(name) for name in ("theme.js", "common.js", "pair.js")))
    for name, text in (("csv", to_csv(board)), ("md", to_markdown(board))):
        _write(out / f"leaderboard.{name}", text)
    if not (out / "README.md").exists():  # its owner may have written another
        _write(out / "README.md", _SPACE)
    _write(out / "index.html", index_page(board, footer))
    kept = {entry.page for entry in board.entries}
    for old in (out / "pairs").glob("*.html"):
        if _PAIR.fullmatch(old.name) and f"pairs/{old.name}" not in kept:
            with contextlib.suppress(OSError):
                old.unlink()
    return board


def _pair_pages(
    board: Board, collected: Collected, footer: str, out: Path, progress: Callable[[int, int], object] | None
) -> list[Invalid]:
    """Write all pages of pairs; returns the records that lack what a page shows."""
    template = Template(asset("pair.html"))
    entries = board.entries
    flawed = []
    for i, entry in enumerate(entries):
        try:
            text = pair_page(board, entry, template, footer)
        except FLAWED as error:
            flawed.append(not_whole(entry.source, entry.path, error))
            continue
        _write(out / entry.page, text)
        if progress is not None:
            progress(i + 1, len(entries))
    return flawed


def _write(path: Path, text: str) -> None:
    write_whole(path, text.encode("utf-8", "replace"))  # names may hold what no file can


def show_leaderboard(board: Board, out: str | Path, console: Console) -> None:
    """What is on the board, what could not be read, and where the site is."""
    console.print(Text(summary(board)))
    for group in board.groups[:_SHOWN]:
        console.print(Text(visible(f"  {len(group.entries):5d}  {group.conditions.title}")), soft_wrap=True)
    if len(board.groups) > _SHOWN:
        console.print(f"         and {len(board.groups) - _SHOWN} more groups")
    for one in board.invalid[:_SHOWN]:
        console.print(
            Text(visible(f"not valid  {one.source} {one.path}: {one.reason}"), style="yellow"), soft_wrap=True
        )
    if len(board.invalid) > _SHOWN:
        console.print(f"and {len(board.invalid) - _SHOWN} more, all listed on the page")
    console.print(visible(f"site    {Path(out) / 'index.html'}"), highlight=False, soft_wrap=True, markup=False)
