"""Features as Parquet: values, order, precision, files cut between shards, and damage that is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from support.features import make_key, make_run

from vlalign.errors import VlalignError
from vlalign.hub import parquet
from vlalign.hub.build import build_run
from vlalign.hub.metadata import About
from vlalign.hub.parquet import check_written, extras_of, measure, read_shards, write_run


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_columns_and_values(tmp_path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "PART_BYTES", 16 * 19 * 4)  # two shards of float16 a file, or one of float32
    monkeypatch.setattr(parquet, "GROUP_BYTES", 1)
    run = make_run(tmp_path / "store", make_key("llama-7b"))
    about = build_run(run, tmp_path / "out", "llama-7b", dtype)
    assert [(part.start, part.stop) for part in about.parts] == (
        [(0, 32), (32, 60)] if dtype == "float16" else [(0, 16), (16, 32), (32, 48), (48, 60)]
    )
    tables = [pq.read_table(tmp_path / "out" / part.path) for part in about.parts]
    assert tables[0].schema.names == ["id", "layer_00", "layer_01", "layer_02", "extra_bits", "extra_bytes"]
    assert [name for table in tables for name in table["id"].to_pylist()] == run.ids
    for i, layer in enumerate(run.features()):
        found = np.concatenate([np.array(table[f"layer_{i:02d}"].to_pylist(), dtype) for table in tables])
        assert (found == layer.numpy().astype(dtype)).all()
    bits = run.extra("bits")
    assert bits is not None
    assert [value for table in tables for value in table["extra_bits"].to_pylist()] == bits.tolist()
    assert b'"llama-7b"' in tables[0].schema.metadata[b"vlalign"]
    assert run.key.hash.encode() in tables[0].schema.metadata[b"vlalign"]
    assert About.read((tmp_path / "out" / about.path).read_bytes(), "it") == about
    assert about.precision.exact is (dtype == "float32")


def test_the_same_bytes_again(tmp_path: Path) -> None:
    run = make_run(tmp_path / "store", make_key("llama-7b"))
    first, second = (build_run(run, tmp_path / name, "c", "float16") for name in "ab")
    assert first == second


def test_the_loss_is_measured() -> None:
    values = torch.tensor([[1.0, 1 + 2.0**-11, 0.0], [3e-9, 100.0, -65504.0]])
    relative, row = measure(values, values.half(), "it")
    assert relative == pytest.approx(2.0**-11 / (1 + 2.0**-11))
    assert row == pytest.approx(2.0**-11 / 2**0.5, rel=1e-3)
    exact = torch.tensor([[0.5, -2.0]])
    assert measure(exact, exact.half(), "it") == (0, 0)
    odd = torch.tensor([[float("nan"), float("inf"), -float("inf"), 1.0], [0.0, 0.0, 0.0, 0.0]])
    assert measure(odd, odd.half(), "it") == (0, 0)
    odd[0, 3] += 2.0**-12  # beside what is not finite, too
    assert measure(odd, odd.half(), "it")[1] == pytest.approx(2.0**-12, rel=1e-3)


def test_the_bounds_that_the_readme_tells() -> None:
    """0.05 % of values of 6.1e-05 and more, 3e-08 of smaller ones."""
    generator = torch.Generator().manual_seed(0)
    values = 10 ** (13 * torch.rand(1000, 100, generator=generator, dtype=torch.float64) - 8.2)
    values = values.clamp(max=65519).float().sort(dim=1).values  # smallest first: no row loses over 1 %
    error = (values.half().double() - values.double()).abs()
    large = values >= 6.1e-5
    assert float((error / values)[large].max()) < 0.0005
    assert 2.9e-8 < float(error[~large].max()) < 3e-8
    assert measure(values, values.half(), "it")[0] < 0.0005


@pytest.mark.parametrize(
    ("scale", "lost"), [(1e-3, 0), (1e-5, 0), (1e-7, 17.5), (1e-9, 100), (1e-25, 100), (1e-38, 100), (1e-44, 100)]
)
def test_what_float16_rounds_to_nothing_is_refused(tmp_path: Path, scale: float, lost: float) -> None:
    values = scale * (1 + torch.rand(3, 64, generator=torch.Generator().manual_seed(0)))
    values[0], values[2, :3] = 1.0, torch.tensor([float("nan"), float("inf"), 0.0])
    if not lost:
        assert measure(values, values.half(), "it")[1] < 1e-2
        return
    with pytest.raises(VlalignError, match=r"a vector of block_1 of m by [\d.]+ % of its norm.*--dtype float32"):
        measure(values, values.half(), "block_1 of m")
    run = make_run(tmp_path, make_key("llama-7b"), scale=scale)
    with pytest.raises(VlalignError, match=rf"a vector of block_\d of llama-7b by {lost:g} %"):
        write_run(run, tmp_path / "out", "c", "float16", {})
    write_run(run, tmp_path / "out", "c", "float32", {})


@pytest.mark.parametrize("largest", [65519.0, 65520.0, 1e30])
def test_what_float16_cannot_hold_is_refused(tmp_path: Path, largest: float) -> None:
    values = torch.tensor([[1.0, -largest]])
    if largest < 65520:
        measure(values, values.half(), "it")
        return
    with pytest.raises(VlalignError, match=r"float16 ends at 65504 and block_1 of m reaches .*--dtype float32"):
        measure(values, values.half(), "block_1 of m")
    run = make_run(tmp_path, make_key("llama-7b"), scale=largest)
    with pytest.raises(VlalignError, match="block_0 of llama-7b reaches"):
        write_run(run, tmp_path / "out", "c", "float16", {})
    write_run(run, tmp_path / "out", "c", "float32", {})


def test_damage_is_noticed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "store", make_key("llama-7b"))
    about = build_run(run, tmp_path / "out", "c", "float32")
    path = tmp_path / "out" / about.parts[0].path
    data = bytearray(path.read_bytes())
    place = data.index(run.features()[1][20].numpy().tobytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(VlalignError, match="differ from the store"):
        check_written(run, tmp_path / "out", about.parts, "float32")
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(VlalignError, match="cannot read"):
        list(read_shards([path], run.shards, run.layers, extras_of(run)))


def test_a_damaged_store_is_not_pushed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "store", make_key("llama-7b"))
    shard = run.path / run.shards[1].file
    data = bytearray(shard.read_bytes())
    data[-3] ^= 1
    shard.write_bytes(data)
    with pytest.raises(VlalignError, match=r"sha256 mismatch.*run the same extraction again"):
        build_run(run, tmp_path / "out", "c", "float16")


def test_ids_that_are_no_text(tmp_path: Path) -> None:
    run = make_run(tmp_path / "store", make_key("llama-7b"), n=2, ids=["a", "\udcff"])
    with pytest.raises(VlalignError, match="no valid text"):
        build_run(run, tmp_path / "out", "c", "float16")
