"""Full and unwritable folders."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path

import pytest

from vlalign import files
from vlalign.errors import VlalignError
from vlalign.files import check_space
from vlalign.store import FeatureStore, Run

# --- folders that cannot be written -----------------------------------------------------------------------------------


def no_space(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk_is_one_line_and_leaves_nothing(toy, tmp_path, monkeypatch):
    writer = toy.writer(tmp_path)
    toy.write(writer, writer.shards[:1])
    before = sorted(writer.path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", no_space)
        with pytest.raises(
            VlalignError, match=r"cannot write .*shard-00001.*No space left on device; make room"
        ) as error:
            toy.write(writer, writer.shards[1:])
        assert "\n" not in str(error.value)
        with pytest.raises(VlalignError, match="No space left on device"):
            toy.writer(tmp_path)
        assert sorted(writer.path.iterdir()) == before
    toy.write(writer, writer.missing())
    writer.finish({})


def test_a_real_write_failure(toy, tmp_path, in_child):
    """A file-size limit makes the kernel refuse the shard half-way."""

    def act() -> None:
        writer = toy.writer(tmp_path)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
        with pytest.raises(VlalignError, match=r"cannot write .*shard-00000-of-00003.safetensors: File too large"):
            toy.write(writer, writer.shards)
        assert not list(writer.path.glob("shard-*"))

    assert in_child(act) == 0


def test_folder_is_a_file(toy, tmp_path):
    root = tmp_path / "store"
    root.write_text("a file")
    store = FeatureStore(root)
    for act in (lambda: toy.writer(root), lambda: check_space(store.root)):
        with pytest.raises(VlalignError, match=r"cannot write .*store") as error:
            act()
        assert "\n" not in str(error.value)
    with pytest.raises(VlalignError, match="is not a folder"):
        store.runs()


def test_no_permission(toy, tmp_path, monkeypatch, in_child):
    """Root may write anywhere, so a child gives its rights up."""
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # the folders above may be private
    root = Path("store")
    complete = toy.make(root)
    begun = toy.writer(root, toy.key("begun"))
    for folder in (root, *root.rglob("*")):
        folder.chmod(0o555 if folder.is_dir() else 0o444)

    def act() -> None:
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        for writing in (
            lambda: toy.writer(root, toy.key("begun")),
            lambda: toy.writer(root, toy.key("new")),
            lambda: toy.write(begun, begun.shards),
            lambda: check_space(root / "deeper" / "still"),
            lambda: toy.writer(root).missing(["tokens"]),
        ):
            with pytest.raises(VlalignError, match=r"cannot write .*[Pp]ermission.*; check the path"):
                writing()
        assert toy.writer(root).missing() == []  # a complete run can be read where nothing can be written
        assert FeatureStore(root).open(toy.key()).verify() == []

    assert in_child(act) == 0
    assert Run(complete.path).verify() == []


def test_check_space(tmp_path):
    store = FeatureStore(tmp_path / "not" / "yet")
    check_space(store.root, 1)
    with pytest.raises(VlalignError, match=r"not enough space .* GB needed, .* GB free"):
        check_space(store.root, 10**18)
    assert not (tmp_path / "not").exists()


def test_folder_removed_while_writing(toy, tmp_path):
    writer = toy.writer(tmp_path)
    for path in writer.path.iterdir():
        path.unlink()
    writer.path.rmdir()
    with pytest.raises(VlalignError, match=r"cannot write .*No such file or directory"):
        toy.write(writer, writer.shards)
    with pytest.raises(VlalignError, match=r"cannot write .*provenance"):
        writer.log({})
