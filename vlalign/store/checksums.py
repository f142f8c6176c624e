"""Canonical JSON, checksums, and free space."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from vlalign.errors import VlalignError
from vlalign.files import sha256_file, write_error
from vlalign.paths import user_path

_Mark = tuple[int, ...]  # size, times, inode, device
_known: dict[str, tuple[_Mark, str]] = {}  # path -> mark and sha256 of files read in this process


def canonical(data: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal data give equal text.

    >>> canonical({"b": 1, "a": (2, 3)})
    '{"a":[2,3],"b":1}'
    """
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def encode(text: str) -> bytes:
    """Encode as UTF-8; lone surrogates (odd file names used as ids) survive the round trip through ``json.loads``."""
    return text.encode("utf-8", "surrogatepass")


def pretty(data: Any) -> bytes:
    """Return readable JSON with sorted keys; equal data give equal bytes."""
    return encode(json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_bytes(data: bytes) -> str:
    """Return the hex sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def known_sha256(path: Path) -> str:
    """Return :func:`sha256_file`, computed once in a process unless size, time or inode of the file change.

    Raises:
        OSError: it cannot be read.
    """
    mark = file_mark(path)
    known = _known.get(str(path.absolute()))
    if known is None or known[0] != mark:
        known = mark, sha256_file(path)
        if file_mark(path) == mark:
            _known[str(path.absolute())] = known
    return known[1]


def file_mark(path: Path) -> _Mark:
    """Return what changes if a file is rewritten: size, times (users cannot set the second), inode, device."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev


def check_space(folder: Path, need: int) -> None:
    """Check, without creating anything, that a folder can be created or written and has `need` bytes free.

    Raises:
        VlalignError: not a folder, no permission, read-only, or too little space.
    """
    existing = user_path(folder).absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir():
        raise write_error(folder, f"{'it' if existing == folder.absolute() else existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise write_error(folder, f"no permission to write in {existing}")
    usage = shutil.disk_usage(existing)
    if usage.total == 0:
        raise write_error(folder, f"{existing} is not on a disk")
    if usage.free < need:
        raise VlalignError(
            f"not enough space for {folder}: about {need / 1e9:.2f} GB needed, {usage.free / 1e9:.2f} GB free; "
            "make room there or choose another folder"
        )
