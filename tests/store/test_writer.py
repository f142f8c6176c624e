"""Writing: determinism, checks of what is given, several processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from vlalign.errors import VlalignError
from vlalign.store import FeatureStore, Shard
from vlalign.store.shard import file_parts

fork = multiprocessing.get_context("fork")  # keeps closures usable; the tensors here are too small for threads


# --- bytes ------------------------------------------------------------------------------------------------------------


def test_parts_of_a_file_are_the_bytes_of_safetensors():
    numbers = np.random.default_rng(0).integers(0, 200, 24)
    kinds = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", ">f4")
    tensors = {f'extra.{kind} é\u2028"\x1f': numbers[: 2 + i].astype(kind) for i, kind in enumerate(kinds)}
    tensors |= {"b": numbers.reshape(2, 3, 4).astype("f4").T, "a": np.zeros((0, 3), "f4"), "Ω": numbers.astype("f4")}
    metadata = {"vlalign": json.dumps({"ids": ["é", '"', "\n", "\ud800"]})}
    parts = file_parts(tensors, metadata)
    dense = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    assert b"".join(bytes(part) for part in parts) == save(dense, metadata=metadata)
    assert np.shares_memory(parts[-1], tensors['extra.? é\u2028"\x1f'])


def test_equal_runs_have_equal_bytes(toy, tmp_path, tree):
    toy.make(tmp_path / "a")
    writer = toy.writer(tmp_path / "b")
    toy.write(writer, reversed(writer.shards))
    writer.log({"host": "elsewhere"})
    writer.finish({"skipped": [], "truncated": 2})
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_order_of_arguments_does_not_matter(toy, tmp_path, tree):
    for name, order in (("a", 1), ("b", -1)):
        writer = toy.writer(tmp_path / name)
        for shard in writer.shards:
            rows = slice(shard.start, shard.stop)
            features = {layer.name: toy.values(layer)[rows] for layer in toy.layers[::order]}
            extras = dict(list(toy.extras().items())[::order])
            writer.write(shard, features, toy.layers, {k: v[rows] for k, v in extras.items()})
        writer.finish({})
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_bytes_do_not_depend_on_the_process(toy, tmp_path, tree):
    """Hash seeds differ between processes and must not show in the files."""
    toy.make(tmp_path / "here")
    script = f"""
import sys; sys.path[:0] = {[os.path.dirname(__file__), *sys.path]!r}
from pathlib import Path
import conftest
conftest.Toy().make(Path({str(tmp_path / "there")!r}))
"""
    environment = os.environ | {"PYTHONHASHSEED": "1234"}
    assert os.spawnve(os.P_WAIT, sys.executable, [sys.executable, "-c", script], environment) == 0
    assert tree(tmp_path / "here") == tree(tmp_path / "there")


def test_odd_tensors_are_stored_as_they_are(toy, tmp_path, tree):
    """Views, shared storage, gradients and half precision: the values count."""
    toy.make(tmp_path / "plain")
    writer = toy.writer(tmp_path / "odd")
    for shard in writer.shards:
        whole = {layer.name: toy.values(layer).t().contiguous().t().requires_grad_() for layer in toy.layers}
        features = {name: values[shard.start : shard.stop] for name, values in whole.items()}
        extras = {name: values[shard.start : shard.stop] for name, values in toy.extras().items()}
        writer.write(shard, features, toy.layers, extras)
    writer.finish({"truncated": 2, "skipped": []})
    assert tree(tmp_path / "plain") == tree(tmp_path / "odd")

    stack = torch.randn(3, 10, 5, dtype=torch.bfloat16)
    toy.layers = [type(layer)(layer.index, layer.name, 5, "") for layer in toy.layers]
    writer = toy.writer(tmp_path / "stack")
    for shard in writer.shards:
        rows = stack[:, shard.start : shard.stop]
        writer.write(shard, {layer.name: rows[layer.index] for layer in toy.layers}, toy.layers, {})
    assert torch.equal(torch.stack(writer.finish({}).features()), stack.float())


def test_odd_ids(toy, tmp_path):
    ids = ["größe", "a\nb", "\udcff.png", "💚", "", *"fghij"]
    writer = FeatureStore(tmp_path).writer(toy.key(), ids, 4)
    toy.write(writer, writer.shards)
    run = writer.finish({})
    assert run.ids == ids
    assert run.verify() == []
    assert FeatureStore(tmp_path).writer(toy.key(), ids, 4).missing() == []


def test_one_shard_and_exact_multiple(toy, tmp_path):
    for n, rows, count in ((1, 128, 1), (8, 4, 2), (9, 9, 1)):
        toy.n, toy.shard_rows = n, rows
        run = toy.make(tmp_path / str(n))
        assert len(list(run.path.glob("shard-*"))) == count
        assert torch.equal(run.load(-1), toy.values(toy.layers[-1]))


# --- checks of what is given ------------------------------------------------------------------------------------------


def test_write_checks_shapes_and_names(toy, tmp_path):
    writer = toy.writer(tmp_path)
    shard = writer.shards[0]
    good = {layer.name: toy.values(layer)[:4] for layer in toy.layers}
    cases = [
        (Shard(0, 0, 3), good, {}, "not a shard of this run"),
        (shard, {"embeddings": good["embeddings"]}, {}, "same distinct names"),
        (shard, good | {"block_0": good["block_0"][:3]}, {}, "expected floats"),
        (shard, good | {"block_0": good["block_0"].int()}, {}, "expected floats"),
        (shard, good, {"bits": torch.zeros(3)}, "expected 4 rows"),
        (shard, good, {"bits": torch.tensor(1.0)}, "expected 4 rows"),
    ]
    for where, features, extras, message in cases:
        with pytest.raises(ValueError, match=message):
            writer.write(where, features, toy.layers, extras)
    assert not list(writer.path.glob("shard-*"))


def test_ids_must_be_there_and_distinct(toy, tmp_path):
    with pytest.raises(VlalignError, match="the data set is empty"):
        FeatureStore(tmp_path).writer(toy.key(), [])
    with pytest.raises(VlalignError, match="'b' occurs more than once"):
        FeatureStore(tmp_path).writer(toy.key(), ["a", "b", "b"])
    assert not list(tmp_path.iterdir())


def test_other_ids_or_shard_rows_are_refused(toy, tmp_path):
    toy.make(tmp_path)
    store = FeatureStore(tmp_path)
    for ids, rows in ((toy.ids[::-1], 4), (toy.ids[:-1], 4), (toy.ids, 5)):
        with pytest.raises(VlalignError, match=r"ids.json lists other sample ids or another number of rows"):
            store.writer(toy.key(), ids, rows)


def test_every_change_of_the_key_is_another_folder(toy, tmp_path):
    store = FeatureStore(tmp_path)
    toy.make(tmp_path)
    for key in (toy.key(dtype="float16"), toy.key(perturbations=[{"rate": 0.1}]), toy.key(modality="vision")):
        assert store.open(key) is None
        assert len(toy.writer(tmp_path, key).missing()) == 3


# --- several processes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [2, 3, 5])
def test_any_number_of_processes_makes_the_same_store(toy, tmp_path, tree, world):
    toy.n, toy.shard_rows = 40, 3
    toy.make(tmp_path / "one")
    barrier = fork.Barrier(world)

    def rank(index: int) -> None:
        barrier.wait(30)
        writer = toy.writer(tmp_path / "many")
        barrier.wait(30)
        missing = writer.missing()
        barrier.wait(30)
        toy.write(writer, missing[index::world])
        writer.log({"rank": index})
        barrier.wait(30)
        if index == 0:
            writer.finish({"truncated": 2, "skipped": []})

    processes = [fork.Process(target=rank, args=(index,)) for index in range(world)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * world
    assert tree(tmp_path / "one") == tree(tmp_path / "many")
    lines = next((tmp_path / "many").rglob("provenance.jsonl")).read_text().splitlines()
    assert sorted(json.loads(line)["rank"] for line in lines) == list(range(world))
    assert all("when" in json.loads(line) for line in lines)


def test_racing_for_the_same_shards_is_harmless(toy, tmp_path, tree):
    """Careless commands at once: constructing, writing and cleaning up without waiting for each other."""
    toy.make(tmp_path / "one")

    def careless() -> None:
        for _ in range(10):
            writer = toy.writer(tmp_path / "many")
            toy.write(writer, writer.shards)

    processes = [fork.Process(target=careless) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    writer = toy.writer(tmp_path / "many")
    assert writer.missing() == []
    writer.finish({"truncated": 2, "skipped": []})
    assert tree(tmp_path / "one") == tree(tmp_path / "many")
