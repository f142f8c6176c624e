"""Checksums at the first read: no number of a damaged shard is given out."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console

from vlalign.errors import VlalignError
from vlalign.files import sha256_file
from vlalign.report import extraction
from vlalign.report.extraction import runs_table
from vlalign.store import FeatureStore, Run, bits, run
from vlalign.store import shard as shard_files
from vlalign.store.manifest import Manifest

READS = {
    "a layer": lambda made: made.load(1),
    "all layers": lambda made: made.features(),
    "a shard": lambda made: made.load_shard(1),
    "an extra": lambda made: made.extra("bits"),
    "bits per byte": lambda made: made.bits_per_byte(),
}


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files whose checksum was computed."""
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return sha256_file(path)

    monkeypatch.setattr(shard_files, "sha256_file", counted)
    return read


def shard(made: Run, index: int) -> Path:
    return made.path / made.shards[index].file


@pytest.mark.parametrize("how", READS)
@pytest.mark.parametrize("position", [-3, -60])
def test_every_reader_refuses_a_flipped_bit(toy, tmp_path, flip, how, position):
    made = toy.make(tmp_path)
    flip(shard(made, 1), position)
    with pytest.raises(VlalignError, match=r"shard-00001-of-00003.*sha256 mismatch.*run the same extraction") as error:
        READS[how](Run(made.path))
    assert "\n" not in str(error.value)


def test_the_same_run_object_notices_later_damage(toy, tmp_path, flip):
    made = toy.make(tmp_path)
    before = made.features()
    flip(shard(made, 0))
    with pytest.raises(VlalignError, match="sha256 mismatch"):
        made.load(0)
    toy.make(tmp_path)
    assert all(map(torch.equal, made.features(), before))


def test_the_command_that_repairs_is_named(toy, tmp_path, flip):
    made = toy.make(tmp_path / "a store")
    writer = toy.writer(tmp_path / "a store")
    writer.log({"event": "extracted", "command": "vlalign extract --model old"})
    writer.log({"event": "extracted", "command": "vlalign extract --model 'x y' --data z"})
    flip(shard(made, 0))
    with pytest.raises(VlalignError) as error:
        made.load(0)
    command = f"vlalign extract --model 'x y' --data z --store '{tmp_path / 'a store'}'"
    assert str(error.value).endswith(f"this command replaces damaged files: {command}")


def test_the_second_read_is_free(toy, tmp_path, count):
    made = toy.make(tmp_path)
    count.clear()
    made.load(0)
    assert count == [shard(made, i) for i in range(3)]
    made.load(1)
    Run(made.path).features()
    assert len(count) == 3
    os.utime(shard(made, 1))
    Run(made.path).load(2)
    assert count[3:] == [shard(made, 1)]


def test_a_file_that_keeps_its_time_is_checked_again(toy, tmp_path, flip):
    made = toy.make(tmp_path)
    made.features()
    before = shard(made, 0).stat()
    flip(shard(made, 0))
    os.utime(shard(made, 0), ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(VlalignError, match="sha256 mismatch"):
        made.load(0)


@pytest.fixture
def with_bits(toy, monkeypatch):
    """Let runs of the toy have bits per byte."""
    plain = toy.extras()
    monkeypatch.setattr(type(toy), "extras", lambda self: plain | {"bytes_read": plain["bytes"]})
    return toy


def shown(made: Run) -> str:
    console = Console(file=io.StringIO(), width=300)
    console.print(runs_table([Run(made.path)], []))
    return console.file.getvalue()


def test_a_list_of_runs_names_damage_and_repair(with_bits, tmp_path, flip):
    made = with_bits.make(tmp_path)
    value = f"{made.bits_per_byte():.3f}"
    assert value in shown(made)
    flip(shard(made, 1))
    text = shown(made)
    assert value not in text
    assert " damaged" in text
    assert "run the same extraction again, which replaces damaged shards" in text


def test_recorded_bits_per_byte_are_of_these_shards(with_bits, tmp_path, count, flip):
    made = with_bits.make(tmp_path)
    value, path = made.bits_per_byte(), made.layout.bits
    content = json.loads(path.read_text())
    assert content["bits_per_byte"] == value
    later = path.stat().st_mtime_ns + 10**9  # clocks of file systems are coarse

    def recorded(text: str) -> float | None:
        path.write_text(text)
        os.utime(path, ns=(later, later))
        count.clear()
        return Run(made.path).recorded_bits_per_byte

    assert recorded(json.dumps(content)) == value == Run(made.path).bits_per_byte()
    assert f"{value:.3f}" in shown(made)
    assert count == []
    assert recorded(json.dumps(content | {"bits_per_byte": value + 1})) is None
    assert recorded(json.dumps(content)[:-9]) is None
    resealed(made.layout.manifest, shards=(dataclasses.replace(made.shards[0], sha256="0" * 64), *made.shards[1:]))
    assert recorded(json.dumps(content)) is None


def test_bits_per_byte_are_read_from_a_store_that_cannot_be_written(with_bits, tmp_path, monkeypatch):
    made = with_bits.make(tmp_path)

    def refused(path: Path, content: bytes) -> None:
        raise VlalignError(f"cannot write {path}")

    monkeypatch.setattr(bits, "write_whole", refused)
    assert made.bits_per_byte() == Run(made.path).bits_per_byte() is not None
    assert made.recorded_bits_per_byte is None


def test_a_list_of_large_runs_reads_no_features(with_bits, tmp_path, count, flip, monkeypatch):
    monkeypatch.setattr(extraction, "_CHECKED_BYTES", 0)
    made = with_bits.make(tmp_path)
    value = f"{made.bits_per_byte():.3f}"
    flip(shard(made, 1))
    count.clear()
    text = shown(made)
    assert value in text
    assert "bits per byte read without checksums, see `vlalign verify`" in text
    assert count == []


def resealed(path: Path, **changes: object) -> None:
    """Change a manifest and give it the digest that fits."""
    manifest = Manifest.read(path)
    path.write_bytes(dataclasses.replace(manifest, **changes).to_bytes())


def test_a_shard_of_another_run_with_a_manifest_to_match(toy, tmp_path):
    made, other = toy.make(tmp_path), toy.make(tmp_path, toy.key("other"))
    shutil.copy(shard(other, 0), shard(made, 0))
    resealed(made.path / "manifest.json", shards=(other.shards[0], *made.shards[1:]))
    with pytest.raises(VlalignError, match=f"made for run {other.key.short}"):
        Run(made.path).load(0)


def test_a_shard_with_other_ids_and_a_manifest_to_match(toy, tmp_path, monkeypatch):
    made = toy.make(tmp_path)
    monkeypatch.setattr(type(toy), "ids", property(lambda self: [f"other-{i}" for i in range(self.n)]))
    other = toy.make(tmp_path / "elsewhere")
    shutil.copy(shard(other, 0), shard(made, 0))
    resealed(made.path / "manifest.json", shards=(other.shards[0], *made.shards[1:]))
    with pytest.raises(VlalignError, match="holds other sample ids"):
        Run(made.path).load(0)


BAD = {
    "rows": lambda m: {"n": m.n + 1},
    "no rows": lambda m: {"n": "10"},
    "a gap": lambda m: {"shards": m.shards[:1] + m.shards[2:]},
    "a path": lambda m: {"shards": (dataclasses.replace(m.shards[0], file="../x"), *m.shards[1:])},
    "no layers": lambda m: {"layers": ()},
    "a width": lambda m: {"layers": (dataclasses.replace(m.layers[0], width="3"), *m.layers[1:])},
}


@pytest.mark.parametrize("name", BAD)
def test_a_manifest_that_describes_no_run(toy, tmp_path, name):
    made = toy.make(tmp_path)
    path = made.path / "manifest.json"
    resealed(path, **BAD[name](Manifest.read(path)))
    with pytest.raises(VlalignError, match="does not describe layers and shards of a run"):
        Run(made.path)


# -- folders that cannot be read ---------------------------------------------------------------------------------------
def deep(path: Path) -> None:
    (path / "manifest.json").write_text("[" * 100_000)


def folder_in_place(name: str):
    def act(path: Path) -> None:
        (path / name).unlink()
        (path / name).mkdir()

    return act


def link_to_itself(path: Path) -> None:
    (path / "manifest.json").unlink()
    (path / "manifest.json").symlink_to("manifest.json")


UNREADABLE = {
    "nested": deep,
    "binary": lambda path: (path / "manifest.json").write_bytes(bytes(range(256))),
    "key nested": lambda path: (path / "key.json").write_text('{"a":' * 20_000),
    "a list": lambda path: (path / "manifest.json").write_text("[]"),
    "text": lambda path: (path / "manifest.json").write_text('"text"'),
    "digest of another type": lambda path: (path / "manifest.json").write_text(json.dumps({"digest": [], "format": 1})),
    "manifest is a folder": folder_in_place("manifest.json"),
    "key is a folder": folder_in_place("key.json"),
    "link to itself": link_to_itself,
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_one_unreadable_run_does_not_stop_the_others(toy, tmp_path, name, caplog):
    good, bad = toy.make(tmp_path), toy.make(tmp_path, toy.key("bad"))
    UNREADABLE[name](bad.path)
    store = FeatureStore(tmp_path)
    assert [one.path for one in store.runs()] == [good.path]
    assert store.find("toy-7b").path == good.path
    assert store.incomplete() == [bad.path]
    problems = [str(problem) for problem in store.verify()]
    assert problems
    assert all(str(bad.path) in line and "\n" not in line and len(line) < 500 for line in problems)


def test_folders_without_permission_are_named(toy, tmp_path, monkeypatch, caplog):
    good, bad = toy.make(tmp_path), toy.make(tmp_path, toy.key("bad"))
    listed = Path.iterdir

    def refused(path: Path):
        if path == bad.path.parent:
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    store = FeatureStore(tmp_path)
    assert [one.path for one in store.runs()] == [good.path]
    assert f"left out: {bad.path.parent} cannot be read: Permission denied" in caplog.text
    assert [str(problem) for problem in store.verify()] == [f"{bad.path.parent}: cannot be read: Permission denied"]


def test_a_run_inside_a_run_is_named(toy, tmp_path):
    outer = toy.make(tmp_path)
    inner = toy.make(outer.path)
    store = FeatureStore(tmp_path)
    assert [one.path for one in store.runs()] == [outer.path]
    (problem,) = store.verify()
    assert problem.path == inner.path
    assert "a run inside a run" in problem.reason


def test_events_of_a_killed_writer(toy, tmp_path):
    writer = toy.writer(tmp_path)
    writer.log({"event": "started"})
    with writer.layout.provenance.open("ab") as file:
        file.write(b'{"event": "cut sh')
    writer.log({"event": "extracted"})
    assert [event["event"] for event in run.read_events(writer.layout)] == ["started", "extracted"]


def test_check_refuses_damage_anywhere(toy, tmp_path, flip):
    made = toy.make(tmp_path)
    made.check()
    flip(shard(made, 2))
    with pytest.raises(VlalignError, match="shard-00002-of-00003"):
        made.check()
