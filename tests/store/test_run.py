"""Reading complete runs, and finding damage in them."""

from __future__ import annotations

import json
import shutil

import pytest
import safetensors
import torch

from vlalign.errors import VlalignError
from vlalign.store import FeatureStore, Layout, Run


def shard(run: Run, index: int):
    return sorted(run.path.glob("shard-*.safetensors"))[index]


def test_round_trip(toy, tmp_path):
    run = toy.make(tmp_path)
    assert (run.n, run.ids, run.layers, run.key) == (10, toy.ids, toy.layers, toy.key())
    assert run.facts == {"truncated": 2, "skipped": []}
    for position, layer in enumerate(toy.layers):
        expected = toy.values(layer)
        for name in (position, position - 3, layer.name):
            loaded, lazy = run.load(name), run.lazy_layer(name)
            assert loaded.dtype == lazy.dtype == torch.float32
            assert torch.equal(loaded, expected)
            assert torch.equal(lazy.whole(), expected)
            for rows in (slice(1, 9), slice(8, 99), torch.tensor([9, 0, 4, 0])):  # of several shards
                assert torch.equal(lazy[rows], expected[rows])
        assert torch.equal(run.features()[position], expected)
    for name, values in toy.extras().items():
        loaded = run.extra(name)
        assert loaded.dtype == values.dtype
        assert torch.equal(loaded, values)
    assert run.extra("tokens") is None
    assert run.verify() == []
    assert "toy-7b" in repr(run)


@pytest.mark.parametrize(
    ("truncated", "read", "expected"),
    [
        (0, None, sum((1.5 * i + 2) / (i + 1) for i in range(10)) / 10),
        (2, None, None),  # earlier versions knew the bytes of the whole texts only
        (2, 4, sum((1.5 * i + 2) / 4 for i in range(10)) / 10),
        (2, 0, None),
    ],
)
def test_bits_per_byte_are_of_the_bytes_that_were_read(toy, tmp_path, truncated, read, expected):
    writer = toy.writer(tmp_path)
    for part in writer.missing():
        rows = slice(part.start, part.stop)
        extras = {name: values[rows] for name, values in toy.extras().items()}
        if read is not None:
            extras["bytes_read"] = torch.full((part.rows,), read)
        writer.write(part, {layer.name: toy.values(layer)[rows] for layer in toy.layers}, toy.layers, extras)
    run = writer.finish({"truncated": truncated})
    assert run.truncated == truncated
    assert run.bits_per_byte() == (None if expected is None else pytest.approx(expected))


def test_no_loss_no_bits(toy, tmp_path):
    run = toy.make(tmp_path, extras=False)
    assert run.extras == []
    assert run.bits_per_byte() is None


def test_files_of_a_complete_run(toy, tmp_path):
    run = toy.make(tmp_path)
    shards = [f"shard-0000{i}-of-00003.safetensors" for i in range(3)]
    assert sorted(path.name for path in run.path.iterdir()) == ["ids.json", "key.json", "manifest.json", *shards]
    manifest = json.loads((run.path / "manifest.json").read_bytes())
    assert [(s["file"], s["start"], s["stop"]) for s in manifest["shards"]] == [
        (shards[0], 0, 4), (shards[1], 4, 8), (shards[2], 8, 10)
    ]  # fmt: skip
    assert all(s["bytes"] == (run.path / s["file"]).stat().st_size for s in manifest["shards"])
    assert manifest["extras"] == ["bits", "bytes"]
    assert json.loads((run.path / "key.json").read_bytes()) == toy.key().data


def test_one_layer_reads_one_tensor_per_shard(toy, tmp_path, monkeypatch):
    run = toy.make(tmp_path)
    asked = []
    original = safetensors.safe_open

    class Spy:
        def __init__(self, path, framework):
            self.file = original(path, framework=framework)

        def __enter__(self):
            self.file.__enter__()
            return self

        def __exit__(self, *error):
            return self.file.__exit__(*error)

        def metadata(self):
            return self.file.metadata()

        def get_tensor(self, name):
            asked.append(name)
            return self.file.get_tensor(name)

    monkeypatch.setattr(safetensors, "safe_open", Spy)
    run.load(1)
    assert asked == ["block_0"] * 3


@pytest.mark.parametrize("layer", [3, -4, "block_9", ""])
def test_unknown_layer(toy, tmp_path, layer):
    with pytest.raises(VlalignError, match=r"toy-7b has no layer .*give 0 to 2 .*embeddings … block_1"):
        toy.make(tmp_path).load(layer)


def test_loaded_features_outlive_the_files(toy, tmp_path):
    run = toy.make(tmp_path)
    loaded = run.load(0)
    shutil.rmtree(run.path)
    assert torch.equal(loaded, toy.values(toy.layers[0]))


# --- damage ---------------------------------------------------------------------------------------------------------


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def cut_header(path):
    path.write_bytes(path.read_bytes()[:20])


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"0")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(cut, "truncated: "), (cut_header, "truncated: 20 of"), (lengthen, "too long"), (lambda p: p.unlink(), "missing")],
)
def test_verify_names_damaged_shards(toy, tmp_path, damage, reason):
    run = toy.make(tmp_path)
    damage(shard(run, 1))
    (problem,) = Run(run.path).verify()
    assert problem.path == shard(run, 0).with_name("shard-00001-of-00003.safetensors")
    assert problem.reason.startswith(reason)
    assert str(problem).startswith(str(problem.path))
    assert FeatureStore(tmp_path).verify() == [problem]


@pytest.mark.parametrize("position", [0, 9, 40, 400, -1, -100])
def test_verify_finds_any_flipped_bit(toy, tmp_path, flip, position):
    run = toy.make(tmp_path)
    flip(shard(run, 2), position)
    (problem,) = run.verify()
    assert problem.path == shard(run, 2)
    assert "sha256 mismatch" in problem.reason or "unreadable" in problem.reason


@pytest.mark.parametrize("damage", [cut, cut_header, lambda p: p.unlink(), lambda p: p.write_bytes(b"")])
def test_load_of_damaged_shard_is_one_line(toy, tmp_path, damage):
    run = toy.make(tmp_path)
    damage(shard(run, 1))
    with pytest.raises(VlalignError, match=r"cannot read .*shard-00001-of-00003.safetensors: .*run the same") as error:
        run.load(0)
    assert "\n" not in str(error.value)


def test_shard_of_another_run(toy, tmp_path):
    run = toy.make(tmp_path)
    other = toy.make(tmp_path, toy.key("other"))
    shutil.copy(shard(other, 0), shard(run, 0))
    assert [problem.path for problem in run.verify()] == [shard(run, 0)]
    with pytest.raises(VlalignError, match=f"made for run {other.key.short}"):
        run.load(0)


def test_shards_swapped(toy, tmp_path):
    run = toy.make(tmp_path)
    a, b = shard(run, 0), shard(run, 1)
    data = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(data)
    assert [problem.path for problem in run.verify()] == [a, b]
    with pytest.raises(VlalignError, match=r"holds rows \[4, 8\)"):
        run.load(0)


def test_ids_altered(toy, tmp_path, flip):
    run = toy.make(tmp_path)
    flip(run.path / "ids.json", -20)
    again = Run(run.path)
    assert [problem.path.name for problem in again.verify()] == ["ids.json"]
    with pytest.raises(VlalignError, match=r"cannot use the sample ids .*sha256 mismatch"):
        _ = again.ids
    (run.path / "ids.json").unlink()
    assert [problem.path.name for problem in Run(run.path).verify()] == ["ids.json"]
    with pytest.raises(VlalignError, match=r"cannot use the sample ids .*No such file"):
        _ = Run(run.path).ids


def test_key_altered(toy, tmp_path):
    run = toy.make(tmp_path)
    path = run.path / "key.json"
    path.write_text(path.read_text().replace("float32", "float16"))
    for act in (lambda: Run(run.path), lambda: FeatureStore(tmp_path).open(toy.key()), lambda: toy.writer(tmp_path)):
        with pytest.raises(VlalignError, match=r"key") as error:
            act()
        assert "\n" not in str(error.value)
    with pytest.raises(VlalignError, match="dtype: float16 != float32"):
        toy.writer(tmp_path)
    (problem,) = FeatureStore(tmp_path).verify()
    assert "key mismatch" in problem.reason


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": 3}', b"\xff\xfe"])
def test_key_unreadable(toy, tmp_path, content):
    run = toy.make(tmp_path)
    (run.path / "key.json").write_bytes(content)
    with pytest.raises(VlalignError, match="cannot read the run key"):
        Run(run.path)
    with pytest.raises(VlalignError, match="cannot read the run key"):
        toy.writer(tmp_path)


@pytest.mark.parametrize("target", ["toy-7b/0123456789abcdef", "other/{short}", "toy-7b/{other}"])
def test_folder_renamed_or_copied(toy, tmp_path, target):
    run = toy.make(tmp_path)
    other = toy.key(dtype="float16")
    goal = tmp_path / target.format(short=run.key.short, other=other.short)
    shutil.copytree(run.path, goal)
    with pytest.raises(VlalignError, match=f"key mismatch in .* belongs in toy-7b/{run.key.short}"):
        Run(goal)
    assert [found.path for found in FeatureStore(tmp_path).runs()] == [run.path]
    assert FeatureStore(tmp_path).incomplete() == [goal]
    assert goal in [problem.path for problem in FeatureStore(tmp_path).verify()]
    if "{other}" in target:
        with pytest.raises(VlalignError, match="float32 != float16"):
            FeatureStore(tmp_path).open(other)


def test_manifest_of_another_run(toy, tmp_path):
    run, other = toy.make(tmp_path), toy.make(tmp_path, toy.key("other"))
    shutil.copy(other.path / "manifest.json", run.path / "manifest.json")
    with pytest.raises(VlalignError, match="key mismatch"):
        Run(run.path)
    assert FeatureStore(tmp_path).open(run.key) is None


def test_manifest_altered(toy, tmp_path):
    run = toy.make(tmp_path)
    path = run.path / "manifest.json"
    path.write_text(path.read_text().replace('"truncated": 2', '"truncated": 0'))
    with pytest.raises(VlalignError, match="altered after it was written"):
        Run(run.path)
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(VlalignError, match="format 2 is not the format 1"):
        Run(run.path)


def test_no_run_or_incomplete(toy, tmp_path):
    with pytest.raises(VlalignError, match="no run at"):
        Run(tmp_path)
    writer = toy.writer(tmp_path)
    with pytest.raises(VlalignError, match="is not complete: run the same extraction again"):
        Run(writer.path)


def test_relative_root(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = toy.make(Layout(tmp_path).folder.relative_to(tmp_path))
    assert Run(run.path).verify() == []
