"""Push of a leaderboard's site as a static Space of the Hub."""

from __future__ import annotations

from pathlib import Path

from vlalign.display import some
from vlalign.errors import VlalignError
from vlalign.hub.readme import README
from vlalign.hub.repo import Target, commit, open_target

_MARK = "leaderboard.json"  # which every leaderboard has
_PAIRS = "pairs/"
_CREATED = {".gitattributes", README, "index.html", "style.css"}  # with a new static Space


def open_space(repo: str, force: bool = False) -> Target:
    """Check name, token and permission, and that a leaderboard may be written there; nothing is changed.

    Args:
        repo: ``owner/name``.
        force: write into a Space that holds something else.

    Raises:
        VlalignError: as :func:`vlalign.hub.repo.open_target`, or the Space holds something else.
    """
    target = open_target(repo, kind="space")
    other = sorted(set(target.files) - _CREATED)
    if other and _MARK not in target.files and not force:
        raise VlalignError(f"Space {repo!r} holds something else ({some(other)}): name another one, or give --force")
    return target


def push_space(target: Target, site: Path, names: tuple[str, ...]) -> str | None:
    """Publish a site in one commit; return the commit, None without changes.

    Pages of pairs that are no longer on the board are removed. The README.md of an existing leaderboard stays, as
    its owner may have edited title and text.

    Args:
        target: from :func:`open_space`.
        site: folder of the site.
        names: of its files beside the pages of pairs.
    """
    paths = [*(site / name for name in names), *sorted((site / _PAIRS).glob("*.html"))]
    files: dict[str, Path | bytes] = {path.relative_to(site).as_posix(): path for path in paths}
    gone = {path for path in target.files if path.startswith(_PAIRS) and path not in files}
    if _MARK not in target.files:
        files[README] = site / README
    changed = {name: path for name, path in files.items() if not target.holds(name, (site / name).read_bytes())}
    if not changed and not gone:
        return None
    return commit(target, changed, gone, "Leaderboard").oid
