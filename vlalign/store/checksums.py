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
    """JSON with sorted keys and no spaces: equal data give equal text.

    >>> canonical({"b": 1, "a": (2, 3)})
    '{"a":[2,3],"b":1}'
    """
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def encode(text: str) -> bytes:
    """UTF-8; lone surrogates (odd file names used as ids) survive the round trip through ``json.loads``."""
    return text.encode("utf-8", "surrogatepass")


def pretty(data: Any) -> bytes:
    """Readable JSON with sorted keys; equal data give equal bytes."""
    return encode(json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_bytes(data: bytes) -> str:
    """Hex sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def known_sha256(path: Path) -> str:
    """Return :func:`sha256_file`, computed again in this process only if size, time or inode of the file changed.

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
    """Return what changes when a file is written again: size, times (the second one cannot be set), inode, device."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev


def check_space(folder: Path, need: int) -> None:
    """Check, without creating anything, that `folder` can be made or written and that `need` bytes are free there.

    Raises:
        VlalignError: not a folder, no permission, read-only, or too little space.
    """
    there = user_path(folder).absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise write_error(folder, f"{'it' if there == folder.absolute() else there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise write_error(folder, f"no permission to write in {there}")
    usage = shutil.disk_usage(there)
    free = usage.free
    if usage.total == 0:
        raise write_error(folder, f"{there} is not on a disk")
    if free < need:
        raise VlalignError(
            f"not enough space for {folder}: about {need / 1e9:.2f} GB needed, {free / 1e9:.2f} GB free; "
            "make room there or choose another folder"
        )
