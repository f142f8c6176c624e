"""Files that appear whole or not at all, and JSON that is read safely."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path

import pytest

from vlalign import files
from vlalign.errors import VlalignError
from vlalign.files import new_file, parse_json, read_json, sweep, work_folder, write_whole

MACHINE = files._machine()
DAY = 86400


def in_child(act) -> int:
    """Run something in a forked process; its exit status, negative for a signal."""
    pid = os.fork()
    if not pid:
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# -- writing -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("content", [b"a\nb", "a\nb", lambda part: part.write_bytes(b"a\nb")])
def test_writes_bytes_text_and_what_a_function_fills(tmp_path: Path, content) -> None:
    path = write_whole(tmp_path / "new" / "folder" / "x.txt", content)
    assert path.read_bytes() == b"a\nb"
    assert [one.name for one in path.parent.iterdir()] == ["x.txt"]


def test_a_name_of_255_bytes(tmp_path: Path) -> None:
    assert write_whole(tmp_path / ("é" * 127), b"x").read_bytes() == b"x"


def test_an_error_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "x", b"old")

    def fail(part: Path) -> None:
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(VlalignError, match=r"^cannot write .*x: No space left on device; make room there"):
        write_whole(path, fail)
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


def test_killed_while_writing_and_written_again(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "x", b"old")
    assert in_child(lambda: write_whole(path, lambda part: kill())) == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    assert in_child(lambda: write_whole(path, b"new")) == 0
    assert path.read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


# -- cleaning ----------------------------------------------------------------------------------------------------------
def test_sweep_keeps_files_in_use_and_files_of_others(tmp_path: Path) -> None:
    dead = tmp_path / f".vlalign-{MACHINE}-1-0123abcd.tmp"
    dead.touch()
    others = ["x.tmp", ".x.part", "x.part", ".vlalign-x.tmp", "vlalign.tmp", "data.2020-12.tmp", "model.1.tmp"]
    others += [".syncthing.film.2020.tmp", "build.1234-0123abcd.tmp", ".download.123.part"]
    for name in others:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - 2 * DAY,) * 2)
    with new_file(tmp_path / "x") as live:
        dead.touch()
        in_child(lambda: sweep(tmp_path))
        assert live.exists()
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([*others, "x"])


@pytest.mark.parametrize("name", [".vlalign-00000000-1-0123abcd.tmp", ".scores.csv.123.part", ".x.parquet.123.tmp"])
def test_files_of_other_machines_and_versions_go_after_a_day(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    sweep(tmp_path)
    assert (tmp_path / name).exists()
    os.utime(tmp_path / name, (time.time() - 2 * DAY,) * 2)
    sweep(tmp_path)
    assert not (tmp_path / name).exists()


def test_sweep_where_nothing_can_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f".vlalign-{MACHINE}-1-0123abcd.tmp").touch()

    def refuse(*args: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    sweep(tmp_path)
    sweep(tmp_path / "missing")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_writer_tries_again_when_a_cleaner_took_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, removed = fcntl.flock, []

    def late(fd: int, kind: int) -> None:
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
        lock(fd, kind)

    monkeypatch.setattr(files.fcntl, "flock", late)
    with new_file(tmp_path / "x") as part:
        assert part not in removed
        part.write_bytes(b"x")
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


def test_work_folders_of_killed_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path))

    def die() -> None:
        with work_folder() as folder:
            (folder / "part.parquet").touch()
            kill()

    assert in_child(die) == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    with work_folder() as first, work_folder() as second:
        assert not left.exists()
        assert first != second
        assert in_child(lambda: work_folder().__enter__()) == 0
        assert first.is_dir()
        assert second.is_dir()
    with work_folder():
        pass
    assert not list(tmp_path.iterdir())


# -- reading -----------------------------------------------------------------------------------------------------------
BAD = {
    "lists": ("[" * 20_000 + "]" * 20_000, "nested more than 100 deep"),
    "open lists": ("[" * 100_000, "nested more than 100 deep"),
    "objects": ('{"a":' * 20_000 + "1" + "}" * 20_000, "nested more than 100 deep"),
    "a little too deep": ("[" * 101 + "]" * 101, "nested more than 100 deep"),
    "after a quotation mark in a string": ('["\\"",' + "[" * 200 + "]" * 201, "nested more than 100 deep"),
    "not a number": ('{"a": NaN}', "NaN"),
    "infinity": ("[-Infinity]", "-Infinity"),
    "digits": ("9" * 5000, "digits"),
    "not UTF-8": (b'{"a": "\xff"}', "utf-8"),
    "empty": (b"", "Expecting value"),
    "binary": (bytes(range(256)), "."),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_json_is_one_kind_of_error_on_one_line(tmp_path: Path, case: str) -> None:
    content, message = BAD[case]
    path = tmp_path / "x.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message) as error:
        read_json(path)
    assert "\n" not in str(error.value)


def test_json_with_many_brackets_is_read() -> None:
    assert parse_json("[" * 100 + "]" * 100)
    assert parse_json('["' + "[{" * 500 + '"]') == ["[{" * 500]
    assert parse_json("[" + ",".join(["[]"] * 5000) + "]") == [[]] * 5000
    assert parse_json('{"a": "\\ud800"}') == {"a": "\ud800"}
