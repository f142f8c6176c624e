"""Resuming after a kill, and repairing damage."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import time

import pytest
import torch

from vlalign import files
from vlalign.errors import VlalignError
from vlalign.store import FeatureStore

# --- resuming ---------------------------------------------------------------------------------------------------------


def test_resume_writes_only_what_is_missing(toy, tmp_path, tree):
    toy.make(tmp_path / "whole")
    first = toy.writer(tmp_path / "cut")
    toy.write(first, first.shards[:2])
    assert FeatureStore(tmp_path / "cut").open(toy.key()) is None
    second = toy.writer(tmp_path / "cut")
    assert second.missing() == second.shards[2:]
    with pytest.raises(VlalignError, match=r"1 of 3 shards are missing: shard-00002\S* \(missing\)"):
        second.finish({})
    toy.write(second, second.missing())
    second.finish({"truncated": 2, "skipped": []})
    assert tree(tmp_path / "whole") == tree(tmp_path / "cut")


@pytest.mark.parametrize("moment", range(1, 10))
def test_killed_at_any_rename(toy, tmp_path, tree, in_child, moment):
    """kill -9 just before the n-th rename: key, ids, then checksum and shard by turns, then the manifest."""
    toy.make(tmp_path / "whole")
    left = iter(range(moment, -1, -1))
    original = os.replace

    def replace(source, target):
        if next(left) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        original(source, target)

    def act():
        files.os.replace = replace
        toy.make(tmp_path / "cut")

    assert in_child(act) == -signal.SIGKILL
    assert list((tmp_path / "cut").rglob("*.tmp"))
    assert FeatureStore(tmp_path / "cut").open(toy.key()) is None
    assert FeatureStore(tmp_path / "cut").runs() == []
    writer = toy.writer(tmp_path / "cut")
    assert not list((tmp_path / "cut").rglob("*.tmp"))
    done = max(0, (moment - 3) // 2)
    assert writer.missing() == writer.shards[done:]
    toy.make(tmp_path / "cut")
    assert tree(tmp_path / "whole") == tree(tmp_path / "cut")


def test_killed_while_removing_checksums(toy, tmp_path, tree):
    toy.make(tmp_path / "whole")
    writer = toy.writer(tmp_path / "cut")
    toy.write(writer, writer.shards)
    sidecars = {path: path.read_bytes() for path in writer.path.glob("*.sha256")}
    writer.finish({"truncated": 2, "skipped": []})
    for path, content in sidecars.items():
        path.write_bytes(content)
    assert FeatureStore(tmp_path / "cut").open(toy.key()) is not None
    assert toy.writer(tmp_path / "cut").missing() == []
    assert tree(tmp_path / "whole") == tree(tmp_path / "cut")


def test_ctrl_c_leaves_no_temporary_file(toy, tmp_path, monkeypatch):
    writer = toy.writer(tmp_path)

    def interrupt(fd):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        toy.write(writer, writer.shards)
    assert sorted(path.name for path in writer.path.iterdir()) == ["ids.json", "key.json"]


def test_live_temporary_files_stay_and_dead_ones_go(toy, tmp_path):
    writer = toy.writer(tmp_path)
    dead, live = writer.path / f".vlalign-{files._machine()}-1-0123abcd.tmp", writer.path / "x.json.2-0123abcd.tmp"
    dead.write_bytes(b"half")
    with live.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        toy.writer(tmp_path)
        assert live.exists()
        assert not dead.exists()
    toy.writer(tmp_path)
    assert not live.exists()


def test_without_locks_age_decides(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "fcntl", None)
    writer = toy.writer(tmp_path)
    young, old = writer.path / ".x.json.1.part", writer.path / ".y.json.1.part"
    young.touch()
    old.touch()
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    toy.make(tmp_path)
    assert young.exists()
    assert not old.exists()


# --- repairing --------------------------------------------------------------------------------------------------------


def test_damaged_shard_is_named_and_extracted_again(toy, tmp_path, tree, flip, caplog):
    run = toy.make(tmp_path)
    before = tree(tmp_path)
    path = run.path / "shard-00001-of-00003.safetensors"
    flip(path)
    writer = toy.writer(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert writer.missing() == [writer.shards[1]]
    assert f"{path} is damaged (sha256 mismatch" in caplog.text
    toy.write(writer, writer.missing())
    writer.finish({"truncated": 2, "skipped": []})
    assert tree(tmp_path) == before
    assert FeatureStore(tmp_path).open(toy.key()).verify() == []


def test_damage_before_the_manifest_is_found(toy, tmp_path, flip):
    writer = toy.writer(tmp_path)
    toy.write(writer, writer.shards)
    flip(writer.path / "shard-00000-of-00003.safetensors")
    (writer.path / "shard-00001-of-00003.safetensors.sha256").unlink()
    (writer.path / "shard-00002-of-00003.safetensors").write_bytes(b"")
    assert toy.writer(tmp_path).missing() == writer.shards
    reasons = [problem.reason for problem in FeatureStore(tmp_path).verify()]
    assert ["not complete" in reasons[0], "sha256 mismatch" in reasons[1], "no checksum" in reasons[2]] == [True] * 3
    assert "truncated or unreadable" in reasons[3]


def test_deleted_shard_of_a_complete_run(toy, tmp_path, tree):
    run = toy.make(tmp_path)
    before = tree(tmp_path)
    (run.path / "shard-00002-of-00003.safetensors").unlink()
    writer = toy.writer(tmp_path)
    assert writer.missing() == [writer.shards[2]]
    toy.make(tmp_path)
    assert tree(tmp_path) == before


def test_repair_with_other_bytes_is_not_complete_until_finished(toy, tmp_path, flip, caplog):
    """On other hardware the last digits differ: the manifest must not vouch for a shard it does not describe."""
    run = toy.make(tmp_path)
    flip(run.path / "shard-00000-of-00003.safetensors")
    writer = toy.writer(tmp_path)
    values = {layer.name: toy.values(layer)[:4] + 1e-6 for layer in toy.layers}
    writer.write(writer.shards[0], values, toy.layers, {name: x[:4] for name, x in toy.extras().items()})
    assert toy.writer(tmp_path).missing() == []
    assert FeatureStore(tmp_path).open(toy.key()) is None
    assert "is being repaired (shard-00000-of-00003.safetensors" in caplog.text
    assert FeatureStore(tmp_path).runs() == []
    run = toy.writer(tmp_path).finish({"truncated": 2, "skipped": []})
    assert run.verify() == []
    assert torch.equal(run.load("block_0")[:4], values["block_0"])


def test_damaged_manifest_means_extracting_again(toy, tmp_path, tree, flip, caplog):
    run = toy.make(tmp_path)
    before = tree(tmp_path)
    flip(run.path / "manifest.json", 200)
    assert FeatureStore(tmp_path).open(toy.key()) is None
    assert "cannot read the manifest" in caplog.text
    toy.make(tmp_path)
    assert tree(tmp_path) == before


def test_damaged_ids_of_a_complete_run_are_renewed(toy, tmp_path, tree, flip):
    run = toy.make(tmp_path)
    before = tree(tmp_path)
    flip(run.path / "ids.json", -20)
    assert toy.writer(tmp_path).missing() == []
    assert tree(tmp_path) == before


def test_finishing_twice_changes_nothing(toy, tmp_path, tree):
    toy.make(tmp_path)
    before = tree(tmp_path)
    writer = toy.writer(tmp_path)
    assert writer.missing() == []
    for _ in range(2):
        writer.finish({"truncated": 2, "skipped": []})
        assert tree(tmp_path) == before


def test_extras_can_be_required_later(toy, tmp_path, tree):
    toy.make(tmp_path / "with")
    toy.make(tmp_path / "without", extras=False)
    writer = toy.writer(tmp_path / "without")
    assert writer.missing() == []
    assert writer.missing(["bits", "bytes"]) == writer.shards
    toy.write(writer, writer.shards[:1])
    assert toy.writer(tmp_path / "without").missing(["bits"]) == writer.shards[1:]
    toy.write(writer, writer.shards[1:])
    writer.finish({"truncated": 2, "skipped": []})
    assert tree(tmp_path / "with") == tree(tmp_path / "without")


def test_extras_of_some_shards_only_are_not_claimed(toy, tmp_path):
    writer = toy.writer(tmp_path)
    toy.write(writer, writer.shards[:1])
    toy.write(writer, writer.shards[1:], extras=False)
    run = writer.finish({})
    assert run.extras == []
    assert run.verify() == []


def test_different_layers_are_refused(toy, tmp_path):
    writer = toy.writer(tmp_path)
    toy.write(writer, writer.shards[:2])
    toy.layers = toy.layers[:2]
    toy.write(writer, writer.shards[2:])
    with pytest.raises(VlalignError, match=r"shard-00002-of-00003.safetensors holds other layers than shard-00000"):
        writer.finish({})
