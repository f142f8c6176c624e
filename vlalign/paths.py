"""Paths: those that users name, and the cache folder."""

from __future__ import annotations

import os
from pathlib import Path

from vlalign.errors import VlalignError


def user_path(name: str | Path) -> Path:
    """Return a path that a user named, with the home folder in place of ``~``; it need not exist.

    Raises:
        VlalignError: it is empty, names the home of an unknown user, is too long, leads in a circle of links, lies in
            a folder that may not be read, or cannot be the name of a file.
    """
    if not str(name).strip():
        raise VlalignError("a path is empty: name a file or folder")
    try:
        path = Path(name).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except RuntimeError as error:
        raise VlalignError(f"{name}: there is no user of that name, so no home folder") from error
    except OSError as error:
        raise VlalignError(f"{name}: {error.strerror or error}") from error
    except ValueError as error:
        raise VlalignError(f"{str(name)!r} cannot be the name of a file") from error
    return path


def cache_folder() -> Path:
    """Return the cache in use: ``$VLALIGN_CACHE``, else ``$XDG_CACHE_HOME/vlalign``, else ``~/.cache/vlalign``."""
    if folder := os.environ.get("VLALIGN_CACHE"):
        return user_path(folder)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return user_path(xdg) / "vlalign"
    return Path.home() / ".cache" / "vlalign"
