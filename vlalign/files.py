"""Files: written whole or not at all, cleaned up after killed processes, and JSON that is read safely."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import itertools
import json
import os
import re
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vlalign.errors import VlalignError
from vlalign.paths import user_path

try:
    import fcntl
except ImportError:  # Windows has no advisory locks: stale files are recognised by their age
    fcntl = None  # type: ignore[assignment]

#: nesting that :func:`parse_json` accepts; files of vlalign nest 10 deep
MAX_DEPTH = 100
_STALE_SECONDS = 24 * 3600
_OWN = re.compile(r"\.vlalign-(?P<machine>[0-9a-f]{8})-\d+-[0-9a-f]{8}(\.tmp)?")
#: temporary files of earlier versions: with a lock, and without one
_KINDS = r"(safetensors|sha256|json|parquet|csv|md|html|js|css|yaml|png|pdf)"
_OLD_LOCKED = re.compile(rf"(.+\.{_KINDS}|probe)\.\d+-[0-9a-f]{{8}}\.tmp")
_OLD = re.compile(rf"\..+\.{_KINDS}\.\d+\.(part|tmp)")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_swept: set[tuple[int, str]] = set()  # (process, folder) that new_file has cleaned


def one_line(error: object) -> str:
    """Return the message of an error on one line; for an ``OSError`` only its cause ("No space left on device")."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())


# -- writing -----------------------------------------------------------------------------------------------------------
def write_error(path: Path, error: object) -> VlalignError:
    """Return the one-line error for a file or folder that cannot be written."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    advice = "make room there" if full else "check the path and its permissions"
    return VlalignError(
        f"cannot write {path}: {one_line(error)}; {advice} or choose another folder, "
        "then run the same command again (what is finished is kept)"
    )


def write_whole(path: Path, content: bytes | str | Callable[[Path], Any]) -> Path:
    """Write a file that appears whole or not at all; folders are made. Returns ``path``.

    Args:
        path: file to write or replace.
        content: the bytes, the text (UTF-8), or a function that fills the temporary file at the path it is given.

    Raises:
        VlalignError: the file cannot be written (no space, no permission). Nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error
    with new_file(path) as temp:
        if isinstance(content, bytes):
            temp.write_bytes(content)
        elif isinstance(content, str):
            temp.write_text(content, encoding="utf-8", newline="")
        else:
            content(temp)
    return path


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a temporary file beside ``path``; at the end it is synced to disk and takes that name.

    Until then readers see the old file. The first one in a folder also removes what killed processes left there
    (:func:`sweep`). Must be filled in place, not replaced by another file.

    Raises:
        VlalignError: the file cannot be written (no space, no permission). Nothing is left behind.
    """
    fd, temp = -1, None
    try:
        if (visit := (os.getpid(), str(path.parent.absolute()))) not in _swept:
            _swept.add(visit)
            sweep(path.parent)
        fd, temp = _create(path.parent)
        yield temp
        os.fsync(fd)
        if fcntl is None:
            os.close(fd)  # Windows does not rename open files
            fd = -1
        os.replace(temp, path)  # still locked, so that no other process takes it for a stale one
        temp = None
        _sync_folder(path.parent)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        if fd >= 0:
            os.close(fd)
        if temp is not None:
            with contextlib.suppress(OSError):
                temp.unlink()


@contextlib.contextmanager
def work_folder(parent: Path | None = None) -> Iterator[Path]:
    """Give an empty folder that is removed at the end, with those that killed processes left.

    Args:
        parent: an existing folder (default: the system's temporary one).

    Raises:
        OSError: it cannot be made.
    """
    parent = parent or Path(tempfile.gettempdir())
    for old in parent.glob(".vlalign-*"):
        if _OWN.fullmatch(old.name):
            _remove_if_stale(old)

    def make() -> tuple[int, Path]:
        folder = parent / f".{_temporary_name()}"
        folder.mkdir(mode=0o700)
        return (os.open(folder, os.O_RDONLY) if fcntl is not None else -1), folder

    fd, folder = -1, None
    try:
        fd, folder = _locked(make)
        yield folder
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if fd >= 0:
            os.close(fd)


def free_bytes(folder: Path) -> int:
    """Return the free space of the disk where a folder is or would be made, in bytes."""
    return shutil.disk_usage(_existing(folder)).free


def check_space(folder: Path, need: int = 0) -> None:
    """Check, without creating anything, that a folder can be created or written and has `need` bytes free.

    Raises:
        VlalignError: not a folder, no permission, read-only, or too little space.
    """
    existing = _existing(folder)
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


def _existing(folder: Path) -> Path:
    """Return the folder, or the closest of its parents that exists."""
    existing = user_path(folder).absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    return existing


def probe(folder: Path) -> None:
    """Write and remove a small file.

    Raises:
        OSError: files cannot be written in `folder`.
    """
    fd, temp = _create(folder)
    try:
        os.write(fd, b"0" * 4096)
        os.fsync(fd)
    finally:
        os.close(fd)
        temp.unlink(missing_ok=True)


def _create(folder: Path) -> tuple[int, Path]:
    """Open a locked temporary file in `folder`; the lock shows other processes that it is in use."""

    def make() -> tuple[int, Path]:
        temp = folder / f".{_temporary_name()}.tmp"
        return os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), temp

    return _locked(make)


def _locked(make: Callable[[], tuple[int, Path]]) -> tuple[int, Path]:
    """Make a file or folder and lock it; again if :func:`sweep` of another process removed it before the lock."""
    for _ in range(100):
        fd, path = make()
        if fcntl is None:
            return fd, path
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # sweep holds it, and removes it
            os.close(fd)
            continue
        except OSError:  # no locks on this file system
            return fd, path
        if os.path.lexists(path):
            return fd, path
        os.close(fd)
    raise OSError("temporary files vanish as soon as they are made")


def _temporary_name() -> str:
    """Return a name with the machine and the process that made a file."""
    return f"vlalign-{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


@functools.cache
def _machine() -> str:
    """Return 8 hex digits of the running kernel (the same in all its containers), else of the host's name."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except (OSError, ValueError):
        name = socket.gethostname()
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system can sync a folder
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


# -- cleaning ----------------------------------------------------------------------------------------------------------
def sweep(folder: Path) -> None:
    """Remove temporary files that killed processes left in a folder; those in use stay, and so do files of others.

    A file of this machine is in use while its process holds the lock on it. Files of other machines, on a shared file
    system, and those on file systems without locks are removed when they are a day old.
    """
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            name = entry.name
            if _OWN.fullmatch(name) or _OLD_LOCKED.fullmatch(name) or _OLD.fullmatch(name):
                _remove_if_stale(folder / name)


def _remove_if_stale(path: Path) -> None:
    with contextlib.suppress(OSError):
        is_old = time.time() - path.lstat().st_mtime > _STALE_SECONDS
        own = _OWN.fullmatch(path.name)
        has_lock = own["machine"] == _machine() if own else bool(_OLD_LOCKED.fullmatch(path.name))
        if fcntl is None or not has_lock:
            if is_old:
                _remove(path)
            return
        fd = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path)  # while the lock is held, so that a writer that comes late notices
        except BlockingIOError:
            pass
        except OSError:
            if is_old:
                _remove(path)
        finally:
            os.close(fd)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


# -- reading -----------------------------------------------------------------------------------------------------------
def sha256_file(path: Path) -> str:
    """Return the hex sha256 of a file, read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """Read a JSON file as :func:`parse_json` does.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not valid JSON; the message is one line.
    """
    return parse_json(path.read_bytes())


def parse_json(data: bytes | str) -> Any:
    """Parse JSON that may come from anywhere.

    Raises:
        ValueError: not JSON, not UTF-8, NaN or infinity, an integer of thousands of digits, or nested over
            :data:`MAX_DEPTH` deep (more would end in errors of recursion, or in a crash). The message is one line.

    >>> parse_json('{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    """
    _check_depth(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    return json.loads(data, parse_constant=_refuse_constant)


def _check_depth(data: bytes) -> None:
    if _depth(data) > MAX_DEPTH and _depth(re.sub(rb'"(?:[^"\\]|\\.)*"', b"", data, flags=re.DOTALL)) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


def _depth(data: bytes) -> int:
    """Return the largest number of open brackets, those in strings included."""
    brackets = data.translate(None, _NOT_BRACKETS)
    return max(itertools.accumulate(map(_STEP.__getitem__, brackets)), default=0)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}, which is not finite")
