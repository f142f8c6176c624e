"""Files of the leaderboard: a site that needs no server, and the same rows as CSV, Markdown and JSON."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from vlalign.display import visible
from vlalign.errors import VlalignError
from vlalign.files import check_space, read_json, write_whole
from vlalign.paths import user_path
from vlalign.report.leaderboard.board import FLAWED, Board, flawed, make_board
from vlalign.report.leaderboard.files import to_csv, to_json, to_markdown
from vlalign.report.leaderboard.index import Heading, index_page, summary
from vlalign.report.leaderboard.pair import pair_page
from vlalign.report.page import asset
from vlalign.scoring.collect import Collected, Invalid
from vlalign.version import __version__

_PAIR = re.compile(r"[0-9a-f]{16}\.html")
_JSON = "leaderboard.json"
#: files of a site beside README.md and the pages of pairs
FILES = ("index.html", "site.css", "pair.js", "leaderboard.csv", "leaderboard.md", _JSON)
_SHOWN = 8  # groups and invalid files listed on the console
#: what makes the folder a static Space of the Hub
_SPACE = """---
title: {title}
emoji: 📐
sdk: static
app_file: index.html
pinned: false
tags: [vlalign, leaderboard]
---

Written by `vlalign leaderboard`: open index.html. The same rows are in leaderboard.csv, leaderboard.md and .json.
"""


def check_site(out: str | Path, force: bool = False) -> Path:
    """Return the folder of a site, after a check that only a leaderboard's files are overwritten, or ``force`` is set.

    Raises:
        VlalignError: the folder has no name, or holds a file that would be lost.
    """
    if not str(out).strip():
        raise VlalignError("the folder of the site has no name: give one, such as --out site")
    out = user_path(out)
    existing = [name for name in FILES if (out / name).exists() or (out / name).is_symlink()]
    if existing and not force and not _is_ours(out / _JSON):
        raise VlalignError(
            f"{out} holds {', '.join(existing)} that no leaderboard wrote: "
            "choose another folder, or overwrite (--force)"
        )
    return out


def _is_ours(path: Path) -> bool:
    try:
        data = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and {"format", "rules", "groups"} <= set(data)


def save_leaderboard(
    collected: Collected,
    out: str | Path,
    progress: Callable[[int, int], object] | None = None,
    force: bool = False,
    heading: Heading | None = None,
) -> Board:
    """Write the site and its files into ``out``, the first page last, and remove pairs that are no longer on the board.

    A README.md makes the folder a static Space; an existing one is kept.

    Args:
        collected: records, and files that could not be read.
        out: folder, created if missing.
        progress: called with the number of pair pages written and their total.
        force: overwrite files of the site's names that no leaderboard wrote.
        heading: title, description and link of the first page.

    Returns:
        The board, records without a page among the invalid ones.

    Raises:
        VlalignError: there is nothing to show, the folder holds files that would be lost, or a file cannot be written.
    """
    out = check_site(out, force)
    if not collected.records and not collected.invalid:
        raise VlalignError("there are no score records: write some with `vlalign score`")
    check_space(out)
    board = make_board(collected)
    heading = heading or Heading()
    footer = f"{heading.title}, written by vlalign {__version__}"
    pages = _pair_pages(board, collected, footer, out, progress)
    if pages:  # records without a page leave the board, which changes ranks
        lost = {(one.source, one.path) for one in pages}
        rest = [record for record in collected.records if (record.source, record.path) not in lost]
        return save_leaderboard(Collected(rest, [*collected.invalid, *pages]), out, progress, force, heading)
    _write(out / _JSON, to_json(board))  # first: it marks the folder as a leaderboard
    _write(out / "site.css", asset("site.css"))
    _write(out / "pair.js", "\n".join(asset(name) for name in ("theme.js", "common.js", "pair.js")))
    for name, text in (("csv", to_csv(board)), ("md", to_markdown(board))):
        _write(out / f"leaderboard.{name}", text)
    if not (out / "README.md").exists():  # its owner may have written another
        _write(out / "README.md", _SPACE.format(title=json.dumps(heading.title, ensure_ascii=False)))
    _write(out / "index.html", index_page(board, footer, heading))
    kept = {entry.page for entry in board.entries}
    for old in (out / "pairs").glob("*.html"):
        if _PAIR.fullmatch(old.name) and f"pairs/{old.name}" not in kept:
            with contextlib.suppress(OSError):
                old.unlink()
    return board


def _pair_pages(
    board: Board, collected: Collected, footer: str, out: Path, progress: Callable[[int, int], object] | None
) -> list[Invalid]:
    """Write all pages of pairs; return the records that lack what a page shows."""
    entries = board.entries
    without = []
    for i, entry in enumerate(entries):
        try:
            text = pair_page(board, entry, footer)
        except FLAWED as error:
            without.append(flawed(entry.source, entry.path, error))
            continue
        _write(out / entry.page, text)
        if progress is not None:
            progress(i + 1, len(entries))
    return without


def _write(path: Path, text: str) -> None:
    write_whole(path, text.encode("utf-8", "replace"))  # names may hold lone surrogates


def show_leaderboard(board: Board, out: str | Path, console: Console) -> None:
    """Print what is on the board, the invalid files, and where the site is."""
    console.print(Text(summary(board)))
    known = [group for group in board.groups if group.conditions.known]
    for group in known[:_SHOWN]:
        console.print(Text(visible(f"  {len(group.entries):5d}  {group.conditions.title}")), soft_wrap=True)
    if len(known) > _SHOWN:
        console.print(f"         and {len(known) - _SHOWN} more groups")
    if alone := len(board.groups) - len(known):
        text = f"  {alone:5d}  of arrays, each a group, as their data is not recorded: see vlalign import"
        console.print(Text(text, style="yellow"), soft_wrap=True)
    for one in board.invalid[:_SHOWN]:
        console.print(
            Text(visible(f"not valid  {one.source} {one.path}: {one.reason}"), style="yellow"), soft_wrap=True
        )
    if len(board.invalid) > _SHOWN:
        console.print(f"and {len(board.invalid) - _SHOWN} more, all listed on the page")
    console.print(visible(f"site    {Path(out) / 'index.html'}"), highlight=False, soft_wrap=True, markup=False)
