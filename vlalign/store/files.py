"""Small file tools of the store: atomic writes, stale temporary files, JSON, checksums."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

from vlalign.errors import VlalignError

try:
    import fcntl
except ImportError:  # Windows: no advisory locks, stale files go by age
    fcntl = None  # type: ignore[assignment]

_STALE_SECONDS = 24 * 3600


def one_line(error: object) -> str:
    """The message of an error on one line; for an ``OSError`` only its cause ("No space left on device")."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())


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


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file, read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_error(path: Path, error: object) -> VlalignError:
    """The one-line error for a file or folder that cannot be written."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    advice = "make room there" if full else "check the path and its permissions"
    return VlalignError(
        f"cannot write {path}: {one_line(error)}; {advice} or choose another folder, "
        "then run the same command again (what is finished is kept)"
    )


def _create(path: Path) -> tuple[int, Path]:
    """Open a locked temporary file beside `path`; the lock tells other processes that it is in use."""
    for _ in range(100):
        temp = path.with_name(f"{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        if fcntl is None:
            return fd, temp
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # a cleaner came between open and lock, and removes the file
            os.close(fd)
            continue
        except OSError:  # no locks on this file system
            return fd, temp
        if os.fstat(fd).st_nlink:
            return fd, temp
        os.close(fd)
    raise OSError("temporary files vanish as soon as they are made")


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system can sync a folder
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def write_atomic(path: Path, data: bytes, before: tuple[Path, bytes] | None = None) -> None:
    """Write `data` to a temporary name, sync, and rename: readers see the old file or the whole new one.

    `before` is a second (path, data) put in place, atomically too, after `data` is on disk and before it gets its name.

    Raises:
        VlalignError: the file cannot be written (no space, no permission, no folder). Nothing is left behind.
    """
    temp = None
    try:
        fd, temp = _create(path)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if before is not None:
                write_atomic(*before)
            if fcntl is None:
                file.close()  # Windows does not rename open files
            os.replace(temp, path)  # still locked: nobody takes it for a stale one
            temp = None
        _sync_folder(path.parent)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        if temp is not None:
            with contextlib.suppress(OSError):
                temp.unlink()


def probe(folder: Path) -> None:
    """Write and remove a small file.

    Raises:
        OSError: files cannot be written in `folder`.
    """
    fd, temp = _create(folder / "probe")
    try:
        os.write(fd, b"0" * 4096)
        os.fsync(fd)
    finally:
        os.close(fd)
        temp.unlink(missing_ok=True)


def check_space(folder: Path, need: int) -> None:
    """Check, without creating anything, that `folder` can be made or written and that `need` bytes are free there.

    Raises:
        VlalignError: not a folder, no permission, read-only, or too little space.
    """
    there = folder.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise write_error(folder, f"{there} is not a folder")
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


def remove_stale(folder: Path) -> None:
    """Remove temporary files that a killed process left; those another process is writing stay."""
    for temp in folder.glob("*.tmp"):
        with contextlib.suppress(OSError):
            if _is_stale(temp):
                temp.unlink()


def _is_stale(temp: Path) -> bool:
    old = time.time() - temp.stat().st_mtime > _STALE_SECONDS
    if fcntl is None:
        return old
    fd = os.open(temp, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        temp.unlink()  # while the lock is held, so that a writer that comes late notices
        return False
    except BlockingIOError:
        return False
    except OSError:
        return old
    finally:
        os.close(fd)
