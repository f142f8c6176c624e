"""A process that dies at a chosen change of the file system, and what two runs left, compared.

Changes are files opened for writing, renamed, linked, removed, truncated or synced, and folders made or removed. The
process is killed (SIGKILL) just before the change happens.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: fields of JSON files that differ from run to run: times, how much was left to do, and where it was done
VARYING = {"created", "environment", "forecast", "seconds", "timings", "trained"}
#: files that record every run into a folder
LOGS = {"provenance.jsonl"}
#: what reports state of their last run: whether it trained encoders, and times
_LAST_RUN = re.compile(rb"\d+ encoders? trained in [^,]+, |all encoders were already trained, ")
_TIMES = re.compile(rb"\b\d+(\.\d+)? (ms|s|min|h)\b|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}


def run_forked(
    command: list[str], folder: Path, *, kill_at: int | None = None, events: Path | None = None
) -> tuple[int, str]:
    """Run a ``vlalign`` command in a forked process, in a folder that also holds its temporary files.

    Args:
        command: arguments of ``vlalign``.
        folder: to work in.
        kill_at: the change at which the process is killed, counted from 1.
        events: file to write to, as JSON, the ``changes`` and the ``modules`` that were imported.

    Returns:
        Exit status, negative for a signal; and what was written to stdout and stderr.
    """
    output = folder.with_name(folder.name + ".log")
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            status = _child(command, folder, output, kill_at, events)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status, output.read_text(encoding="utf-8", errors="replace")


def _child(command: list[str], folder: Path, output: Path, kill_at: int | None, events: Path | None) -> int:
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    sys.stdout, sys.stderr = (open(n, "w", encoding="utf-8", closefd=False, buffering=1) for n in (1, 2))  # noqa: SIM115
    os.chdir(folder)
    tempfile.tempdir = str(folder / "tmp")
    seen = _watch(folder, kill_at)

    from vlalign.cli import main

    status = main(command)
    sys.stdout.flush()
    sys.stderr.flush()
    if events is not None:
        found = {"changes": list(seen), "modules": sorted(sys.modules)}
        events.write_text(json.dumps(found), encoding="utf-8")
    return status


def _watch(folder: Path, kill_at: int | None) -> list[str]:
    """Count changes below a folder from now on; there is no end to it in this process."""
    seen: list[str] = []
    changes = itertools.count(1)  # of all threads: two that count at once get two numbers
    below = str(folder) + os.sep

    def count(name: str, path: object) -> None:
        if isinstance(path, int) or path is None:
            return
        text = os.path.abspath(os.fsdecode(path))  # type: ignore[arg-type]
        if text.startswith(below):
            seen.append(f"{name} {text.removeprefix(below)}")
            if next(changes) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if isinstance(arguments[2], int) and arguments[2] & _WRITES:
                count(event, arguments[0])
        elif event in _CHANGES:
            count(event, arguments[1] if event in ("os.rename", "os.link", "os.symlink") else arguments[0])

    sync = os.fsync

    def counted_sync(fd: int) -> None:
        count("os.fsync", os.readlink(f"/proc/self/fd/{fd}"))
        sync(fd)

    os.fsync = counted_sync
    sys.addaudithook(hook)
    return seen


def tree(folder: Path) -> dict[str, str]:
    """Return each path below a folder with a digest of its content, without what varies from run to run."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            found[name + "/"] = ""
        elif path.name in LOGS:
            found[name] = "a log"
        else:
            found[name] = hashlib.sha256(_constant(path)).hexdigest()
    return found


def _constant(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".json":
        return json.dumps(_without_varying(json.loads(data)), sort_keys=True).encode()
    if path.suffix in (".html", ".md"):
        return _TIMES.sub(b"TIME", _LAST_RUN.sub(b"", data))
    return data


def _without_varying(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_varying(part) for name, part in value.items() if name not in VARYING}
    return [_without_varying(part) for part in value] if isinstance(value, list) else value


def differences(whole: dict[str, str], again: dict[str, str]) -> list[str]:
    """Return how a folder differs from that of an undisturbed run."""
    found = [f"left behind: {name}" for name in again if name not in whole]
    found += [f"missing: {name}" for name in whole if name not in again]
    return found + [f"differs: {name}" for name in whole if again.get(name, whole[name]) != whole[name]]


def in_child(act: Callable[[], object]) -> int:
    """Run a function in a forked process; returns its exit status, negative for a signal."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            act()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
