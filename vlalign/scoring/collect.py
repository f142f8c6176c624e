"""Score records of several files and folders, with the files that could not be read and the reasons."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vlalign.errors import VlalignError
from vlalign.files import one_line
from vlalign.paths import user_path
from vlalign.scoring.record import ScoreRecord
from vlalign.scoring.validation import validate_record


@dataclass(frozen=True)
class Located:
    """A record and its location: ``source`` as it was given, ``path`` of the file (relative to a folder).

    ``file`` is its file on this machine.
    """

    record: ScoreRecord
    source: str
    path: str
    file: Path = field(default=Path(), compare=False)


@dataclass(frozen=True)
class Invalid:
    """A file without a valid record, and the reason on one line."""

    source: str
    path: str
    reason: str


@dataclass
class Collected:
    """Records and invalid files, in the order of the sources and of the paths in them; nothing is dropped silently."""

    records: list[Located] = field(default_factory=list)
    invalid: list[Invalid] = field(default_factory=list)


def collect(paths: Sequence[str | Path]) -> Collected:
    """Read the records of files and of folders (every ``*.json`` in them, at any depth, hidden ones left out).

    A file that two sources reach is read once. Files that hold no complete, valid record of this format are in
    ``invalid``, and so are broken links.

    Raises:
        VlalignError: a source does not exist or cannot be listed, or a folder holds no JSON file at all.
    """
    collected = Collected()
    seen: set[str] = set()
    for given in paths:
        base = user_path(given)
        files = [(os.path.realpath(file), file) for file in record_files(base)]
        unread = [file for real, file in files if real not in seen]
        add(collected, str(given), [(f, f.relative_to(base).as_posix() if f != base else str(f)) for f in unread])
        seen |= {real for real, _ in files}
    return collected


def record_files(base: Path) -> list[Path]:
    """List the file itself, or all files in the folder that may be records, sorted.

    Links to folders are followed, each folder once. Broken links and folders that cannot be listed are among the files,
    so that reading them reports the reason.

    Raises:
        VlalignError: nothing has that name, it cannot be listed, or the folder holds no JSON file.
    """
    if base.is_file():
        return [base]
    if not base.is_dir():
        raise VlalignError(f"no results at {base}: name a folder or file that `vlalign score` wrote")
    files: list[Path] = []
    seen: set[str] = set()
    waiting = [base]
    while waiting:  # links last, so that a folder is listed under its own name where possible
        for folder, folders, names in os.walk(waiting.pop(0), onerror=partial(_unlisted, base, files)):
            real = os.path.realpath(folder)
            folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
            inside = [] if real in seen else [Path(folder, name) for name in names if not name.startswith(".")]
            waiting += [Path(folder, name) for name in folders if os.path.islink(Path(folder, name))]
            files += [file for file in inside if file.suffix == ".json" or (file.is_symlink() and not file.exists())]
            seen.add(real)
    if not files:
        raise VlalignError(f"no score records in {base}: write some with `vlalign score`, or name another folder")
    return sorted(files)


def _unlisted(base: Path, files: list[Path], error: OSError) -> None:
    if Path(error.filename) == base:
        raise VlalignError(f"cannot list {base}: {error.strerror or error}") from error
    files.append(Path(error.filename))


def add(collected: Collected, source: str, files: Iterable[tuple[Path, str]]) -> None:
    """Read files (each with the path to show for it) of one source and add them to the collected ones."""
    for file, name in files:
        try:
            collected.records.append(Located(read_record(file), source, name, file))
        except VlalignError as error:
            reason = str(error).removeprefix(f"{file} ").removeprefix(f"cannot read the record {file}: ")
            collected.invalid.append(Invalid(source, name, one_line(reason)))


def read_record(path: Path) -> ScoreRecord:
    """Load a record and validate it.

    Raises:
        VlalignError: see :func:`ScoreRecord.load`; it is no file; or it is invalid (:mod:`vlalign.scoring.validation`).
    """
    if path.is_symlink() and not path.exists():
        raise VlalignError(f"{path} is a link to {os.readlink(path)}, which does not exist")
    if path.exists() and not path.is_file():  # reading a pipe would wait for ever
        what = "a folder that cannot be listed" if path.is_dir() else "neither a file nor a folder"
        raise VlalignError(f"{path} is {what}")
    record = ScoreRecord.load(path)
    try:
        validate_record(record)
    except VlalignError as error:
        raise VlalignError(f"{path} is not a sound score record: {error}") from error
    return record
