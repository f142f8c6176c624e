"""A folder that cannot be written, as on a read-only mount; tests run as root, too, whom permissions do not stop."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
_folders: list[str] = []


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if not _folders or event not in ("open", *_CHANGES):
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITES):
        return
    for path in arguments[:2]:
        if isinstance(path, str | bytes | os.PathLike):
            there = os.path.abspath(os.fsdecode(path))
            exists = event == "os.mkdir" and os.path.isdir(there)  # the kernel says so first
            if any(there.startswith(folder) for folder in _folders) and not exists:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), there)


_hooked: list[bool] = []


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Refuse every change below a folder with the error of a read-only file system."""
    if not _hooked:
        sys.addaudithook(_refuse)  # there is no way to remove one
        _hooked.append(True)
    root, access = str(folder.absolute()), os.access

    def refused(path: Any, mode: int, **options: Any) -> bool:
        inside = os.path.abspath(os.fsdecode(path)).startswith(root)
        return not (inside and mode & os.W_OK) and access(path, mode, **options)

    _folders.append(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "access", refused)
        try:
            yield
        finally:
            _folders.remove(root)
