"""Embeddings in files: every format gives the values that were written; bad files are one line."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pyarrow import feather
from safetensors.torch import save_file

from vlalign.arrays import as_layers, as_tensor
from vlalign.data.embeddings import is_embeddings, read_embeddings, split_key
from vlalign.data.sample_values import read_groups, read_values
from vlalign.errors import VlalignError

VALUES = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
IDS = [f"{i:03d}" for i in range(12)]


def _arrow(path: Path, stream: bool = False) -> None:
    table = pa.table({"id": IDS, "embedding": pa.array(VALUES.tolist(), type=pa.list_(pa.float32(), 4))})
    with pa.OSFile(str(path), "wb") as sink:
        writer = pa.ipc.new_stream(sink, table.schema) if stream else pa.ipc.new_file(sink, table.schema)
        with writer:
            writer.write_table(table)


def _frame() -> pd.DataFrame:
    return pd.DataFrame(VALUES, columns=[f"e{i}" for i in range(4)]).assign(id=IDS)


#: how a file is written, the key that reads it, and whether it holds ids
FORMATS: dict[str, tuple[str, Callable[[Path], Any], str, bool]] = {
    "npy": ("x.npy", lambda p: np.save(p, VALUES), "", False),
    "npy, float16": ("x.npy", lambda p: np.save(p, VALUES.astype(np.float16)), "", False),
    "npy, float64": ("x.npy", lambda p: np.save(p, VALUES.astype(np.float64)), "", False),
    "npy, foreign bytes": ("x.npy", lambda p: np.save(p, VALUES.astype(">f4")), "", False),
    "npy, Fortran order": ("x.npy", lambda p: np.save(p, np.asfortranarray(VALUES)), "", False),
    "npz": ("x.npz", lambda p: np.savez(p, VALUES), "", False),
    "npz, key": ("x.npz", lambda p: np.savez_compressed(p, image=VALUES, text=-VALUES), "image", False),
    "pt": ("x.pt", lambda p: torch.save(torch.from_numpy(VALUES), p), "", False),
    "pt, bfloat16": ("x.pt", lambda p: torch.save(torch.from_numpy(VALUES).bfloat16(), p), "", False),
    "pt, key": ("x.pth", lambda p: torch.save({"a": torch.from_numpy(VALUES), "b": torch.ones(2)}, p), "a", False),
    "pt, before PyTorch 1.6": (
        "x.pt",
        lambda p: torch.save(torch.from_numpy(VALUES), p, _use_new_zipfile_serialization=False),
        "",
        False,
    ),
    "safetensors": ("x.safetensors", lambda p: save_file({"a": torch.from_numpy(VALUES)}, p), "", False),
    "safetensors, key": (
        "x.safetensors",
        lambda p: save_file({"a": torch.from_numpy(VALUES).half(), "b": torch.ones(2)}, p),
        "a",
        False,
    ),
    "parquet": (
        "x.parquet",
        lambda p: pq.write_table(pa.table({"id": IDS, "caption": IDS, "embedding": VALUES.tolist()}), p),
        "",
        True,
    ),
    "parquet, column": (
        "x.parquet",
        lambda p: pq.write_table(pa.table({"id": IDS, "image": VALUES.tolist(), "text": (-VALUES).tolist()}), p),
        "image",
        True,
    ),
    "parquet of pandas": (
        "x.parquet",
        lambda p: pd.DataFrame({"id": IDS, "embedding": list(VALUES)}).to_parquet(p),
        "",
        True,
    ),
    "parquet of Polars": (
        "x.parquet",
        lambda p: pl.DataFrame({"id": IDS, "e": pl.Series(VALUES, dtype=pl.Array(pl.Float32, 4))}).write_parquet(p),
        "",
        True,
    ),
    "parquet of datasets": (
        "x.parquet",
        lambda p: datasets.Dataset.from_dict({"id": IDS, "e": VALUES.tolist()}).to_parquet(p),
        "",
        True,
    ),
    "parquet, columns of numbers": ("x.parquet", lambda p: _frame().to_parquet(p), "", True),
    "arrow file": ("x.arrow", _arrow, "", True),
    "arrow stream": ("x.arrow", lambda p: _arrow(p, stream=True), "embedding", True),
    "feather": (
        "x.feather",
        lambda p: pl.DataFrame({"id": IDS, "e": VALUES.tolist()}).write_ipc(p, compression="zstd"),
        "",
        True,
    ),
    "csv": ("x.csv", lambda p: _frame().to_csv(p, index=False), "", True),
    "csv, pattern": ("x.csv", lambda p: _frame().assign(label=1).to_csv(p, index=False), "e*", True),
    "csv without a header": ("x.csv", lambda p: np.savetxt(p, VALUES, delimiter=","), "", False),
    "csv of a frame of an array": ("x.csv", lambda p: pd.DataFrame(VALUES).to_csv(p, index=False), "", False),
    "csv of chosen columns": (
        "x.csv",
        lambda p: pd.DataFrame(VALUES, columns=[3, 7, 9, 12]).to_csv(p, index=False),
        "",
        False,
    ),
    "tsv": ("x.tsv", lambda p: _frame().to_csv(p, index=False, sep="\t"), "", True),
    "jsonl": (
        "x.jsonl",
        lambda p: p.write_text(
            "".join(
                json.dumps({"id": i, "e": row}) + "\n"
                for i, row in zip(IDS, VALUES.astype(float).tolist(), strict=True)
            )
        ),
        "",
        True,
    ),
}


@pytest.mark.parametrize(("file", "write", "key", "has_ids"), FORMATS.values(), ids=FORMATS)
def test_values_are_those_written(
    tmp_path: Path, file: str, write: Callable[[Path], Any], key: str, has_ids: bool
) -> None:
    write(tmp_path / file)
    text = f"{tmp_path / file}:{key}" if key else tmp_path / file
    read = read_embeddings(text)
    ((layer,), _) = as_layers(read.features, read.source)
    half = layer.dtype in (torch.float16, torch.bfloat16)
    np.testing.assert_allclose(layer.double().numpy(), VALUES, rtol=2e-2 if half else 1e-6)
    assert read.ids == (IDS if has_ids else None)
    assert read.name == ("x:" + key if key else "x")
    assert is_embeddings(str(text))


def test_large_arrays_are_mapped_rather_than_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", VALUES)
    read = read_embeddings(tmp_path / "x.npy")
    assert isinstance(read.features, np.memmap)
    assert np.shares_memory(as_tensor(read.features, "x").numpy(), read.features)


def test_lists_of_layers_of_tensors(tmp_path: Path) -> None:
    torch.save([torch.from_numpy(VALUES), torch.from_numpy(VALUES[:, :2])], tmp_path / "x.pt")
    layers, names = as_layers(read_embeddings(tmp_path / "x.pt").features, "x")
    assert [tuple(layer.shape) for layer in layers] == [(12, 4), (12, 2)]
    assert names == ["layer_0", "layer_1"]


def _indexed(vectors: bool, ids: Any = IDS) -> pd.DataFrame:
    """Return a frame with an index of ids, of one column of vectors or of columns of numbers."""
    frame = pd.DataFrame(VALUES, columns=[f"e{i}" for i in range(4)], index=ids)
    return pd.DataFrame({"e": list(VALUES)}, index=ids) if vectors else frame


_LETTERS = pd.Index(list("abcdefghijkl"))


def _order(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sample(frac=1, random_state=0)


INDEXES: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "vectors": ("x.parquet", lambda p: _indexed(True).to_parquet(p), ""),
    "named": ("x.parquet", lambda p: _indexed(True).rename_axis("sku").to_parquet(p), ""),
    "numbers": ("x.parquet", lambda p: _indexed(False).to_parquet(p), ""),
    "numbers, pattern": ("x.parquet", lambda p: _indexed(False).to_parquet(p), "*"),
    "arrow": ("x.arrow", lambda p: feather.write_feather(pa.Table.from_pandas(_indexed(True)), p), ""),
    "csv": ("x.csv", lambda p: _indexed(False).to_csv(p), ""),
    "csv, pattern": ("x.csv", lambda p: _indexed(False).to_csv(p), "*"),
    "csv that was written twice": ("x.csv", lambda p: _indexed(False).reset_index(names="Unnamed: 0").to_csv(p), ""),
}


@pytest.mark.parametrize(("file", "write", "key"), INDEXES.values(), ids=INDEXES)
def test_the_index_of_a_frame_is_the_ids_and_no_feature(
    tmp_path: Path, file: str, write: Callable[[Path], Any], key: str
) -> None:
    write(tmp_path / file)
    read = read_embeddings(f"{tmp_path / file}:{key}" if key else tmp_path / file)
    ((layer,), _) = as_layers(read.features, read.source)
    np.testing.assert_allclose(layer.numpy(), VALUES, rtol=1e-6)
    assert read.ids == IDS


def test_row_numbers_are_ids_only_in_another_order(tmp_path: Path) -> None:
    for vectors, ending in ((True, "parquet"), (False, "parquet"), (False, "csv")):
        for name, change in (("same", lambda f: f), ("shuffled", _order), ("reversed", lambda f: f[::-1])):
            frame = change(_indexed(vectors, range(12)))
            path = tmp_path / f"{name}.{ending}"
            frame.to_csv(path) if ending == "csv" else frame.to_parquet(path)
            expected = None if name == "same" else [str(one) for one in frame.index]
            assert read_embeddings(path).ids == expected
            labels = pd.DataFrame({"label": [f"l{i}" for i in frame.index]}, index=frame.index)
            labels.to_csv(path) if ending == "csv" else labels.to_parquet(path)
            values = labels["label"].tolist()
            read = read_groups(f"{path}:label", None, "labels", has_ids=False)
            assert read == (values if expected is None else dict(zip(expected, values, strict=True)))
            assert read_values(path, "labels") == values
            if expected is not None:
                assert read_groups(f"{path}:label", "sku", "labels") == read


@pytest.mark.parametrize("ids", [IDS, list(range(12))[::-1]])
@pytest.mark.parametrize("name", ["ids", "id"])
def test_ids_beside_an_array_are_its_ids(tmp_path: Path, name: str, ids: list[Any]) -> None:
    np.savez(tmp_path / "x.npz", e=VALUES, **{name: np.array(ids)})
    for text in (f"{tmp_path}/x.npz:e", f"{tmp_path}/x.npz"):
        read = read_embeddings(text)
        np.testing.assert_array_equal(read.features, VALUES)
        assert read.ids == list(map(str, ids))
    np.savez(tmp_path / "x.npz", e=VALUES, **{name: np.ones((12, 2))})
    with pytest.raises(VlalignError, match=rf"x.npz:{name} must hold the ids \[N\], texts or whole numbers"):
        read_embeddings(f"{tmp_path}/x.npz:e")


def test_another_column_of_ids_is_text(tmp_path: Path) -> None:
    _frame().rename(columns={"id": "sku"}).to_csv(tmp_path / "x.csv", index=False)
    assert read_embeddings(f"{tmp_path}/x.csv:e*", id_column="sku").ids == IDS
    assert read_values(f"{tmp_path}/x.csv:sku", "ids", 12) == IDS


def test_paths_with_colons_are_whole_where_they_exist(tmp_path: Path) -> None:
    np.save(tmp_path / "a:b.npy", VALUES)
    assert split_key(tmp_path / "a:b.npy") == (tmp_path / "a:b.npy", "")
    assert split_key(f"{tmp_path}/x.npz:b") == (tmp_path / "x.npz", "b")


class Hostile:
    """A pickle of it runs a command when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["x.pt", "x.npy", "x.npz"])
def test_hostile_pickles_run_nothing(tmp_path: Path, name: str) -> None:
    if name == "x.pt":
        torch.save(Hostile(tmp_path / "ran"), tmp_path / name)
    elif name == "x.npy":
        np.save(tmp_path / name, np.array([Hostile(tmp_path / "ran")], dtype=object), allow_pickle=True)
    else:
        np.savez(tmp_path / name, np.array([Hostile(tmp_path / "ran")], dtype=object))
    with pytest.raises(VlalignError, match="not loaded as that can run code"):
        read_embeddings(tmp_path / name)
    (tmp_path / name).write_bytes(pickle.dumps(Hostile(tmp_path / "ran")))
    plain = {"x.pt": "not loaded as that can run code", "x.npy": "is no .npy array", "x.npz": "x.npz"}
    with pytest.raises(VlalignError, match=plain[name]):
        read_embeddings(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_parquet_column_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlalign.data.arrow_tables._BATCH_ROWS", 2)
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": IDS, "e": VALUES.tolist()}), path, row_group_size=3)
    read = read_embeddings(path)
    assert isinstance(read.features, np.memmap)
    assert read.features.tolist() == VALUES.tolist()
    assert read.ids == IDS
    pq.write_table(pa.table({"e": [*VALUES.tolist()[:-1], [1.0]]}), path)
    with pytest.raises(VlalignError, match=rf"x.parquet, column 'e': row {len(VALUES) - 1} \(from 0\) has 1 values"):
        as_layers(read_embeddings(path).features, str(path))


def _table(**columns: Any) -> Callable[[Path], Any]:
    return lambda path: pq.write_table(pa.table(columns), path)


@pytest.mark.parametrize("first", ["-21,5,3", "5,5,3", "1e1,5,3", "nan,5,3", "0.5,5,3"])
def test_a_first_line_of_numbers_is_a_sample(tmp_path: Path, first: str) -> None:
    (tmp_path / "x.csv").write_text(f"{first}\n0.5,0.25,0.125\n1.5,2.5,3.5\n")
    ((layer,), _) = as_layers(read_embeddings(f"{tmp_path}/x.csv:f*").features, "x")
    assert layer.shape == (3, 3)
    np.testing.assert_array_equal(layer[0].numpy(), np.array(first.split(","), dtype=float))


@pytest.mark.parametrize("first", ["7", "5,7", "3,2,0", "4,3,2,1", "3,7,9,12"])
def test_a_first_line_that_may_be_names_or_numbers_is_refused(tmp_path: Path, first: str) -> None:
    second = ",".join([".5"] * first.count(",") + ["1" if first == "3,7,9,12" else ".5"])
    (tmp_path / "x.csv").write_text(f"{first}\n{second}\n")
    with pytest.raises(VlalignError, match=r"x.csv: the first line, .*, may be names or a sample"):
        read_embeddings(tmp_path / "x.csv")


BAD: dict[str, tuple[str, Callable[[Path], Any] | None, str, str]] = {
    "no file": ("x.npy", None, "", "does not exist"),
    "a folder": ("x.npy", lambda p: p.mkdir(), "", "is a folder"),
    "unknown kind": ("x.bin", lambda p: p.write_bytes(b"1"), "", "is of no known kind: give .npy"),
    "objects": ("x.npy", lambda p: np.save(p, np.array([VALUES[0], None], dtype=object)), "", r"np.stack\(…\)"),
    "damaged array": ("x.npy", lambda p: p.write_bytes(b"\x93NUMPY\x01\x00"), "", "cannot read"),
    "damaged archive": ("x.npz", lambda p: p.write_bytes(b"PK\x03\x04"), "", "cannot read"),
    "damaged tensors": ("x.safetensors", lambda p: p.write_bytes(b"\x00" * 16), "", "cannot read"),
    "damaged parquet": ("x.parquet", lambda p: p.write_bytes(b"PAR1"), "", "cannot read"),
    "several arrays": ("x.npz", lambda p: np.savez(p, a=VALUES, b=VALUES), "",
                       "holds 2 arrays: name one as x.npz:KEY, of a, b"),
    "an unknown key": ("x.npz", lambda p: np.savez(p, image=VALUES), "imag", "did you mean"),
    "a key of one array": ("x.npy", lambda p: np.save(p, VALUES), "a", "leave out :a"),
    "several vectors": ("x.parquet", _table(a=VALUES.tolist(), b=VALUES.tolist()), "",
                        "holds 2 columns of vectors: name one, a, b"),
    "a column twice": ("x.csv", lambda p: p.write_text("id,e,e\na,.1,.2\n"), "",
                       "has several columns 'e': rename them"),
    "an unknown column": ("x.parquet", _table(image=VALUES.tolist()), "imag", "has no column 'imag'"),
    "a label beside numbers": ("x.parquet", _table(e0=VALUES[:, 0], label=[1] * 12), "", "since label may not belong"),
    "text": ("x.parquet", _table(caption=IDS), "caption", "column 'caption' holds string, not numbers"),
    "no numbers": ("x.parquet", _table(caption=IDS), "", "name the columns of the embedding"),
    "two indexes": ("x.csv", lambda p: _indexed(False).reset_index(names="Unnamed: 0").set_index(_LETTERS).to_csv(p),
                    "", r"has an index of 2 columns: name the column of ids \(--id-column\)"),
    "a missing id": ("x.parquet", _table(id=["a", None], e=[[1.0], [2.0]]), "", r"row 1 \(from 0\) has no id"),
}  # fmt: skip


@pytest.mark.parametrize(("file", "write", "key", "message"), BAD.values(), ids=BAD)
def test_bad_files_are_one_line(
    tmp_path: Path, file: str, write: Callable[[Path], Any] | None, key: str, message: str
) -> None:
    if write is not None:
        write(tmp_path / file)
    with pytest.raises(VlalignError, match=message) as caught:
        read_embeddings(f"{tmp_path / file}:{key}" if key else tmp_path / file)
    assert "\n" not in str(caught.value)
    assert file in str(caught.value)


def test_a_column_of_unequal_lengths_names_file_and_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"e": [[1.0, 2.0], [3.0]]}), tmp_path / "x.parquet")
    read = read_embeddings(tmp_path / "x.parquet")
    with pytest.raises(VlalignError, match=r"x.parquet, column .e.: row 1 \(from 0\) has 1 values and row 0 has 2"):
        as_layers(read.features, read.source)


def test_an_unknown_column_of_ids(tmp_path: Path) -> None:
    _frame().to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(VlalignError, match="has no column 'sku' for the ids"):
        read_embeddings(tmp_path / "x.csv", id_column="sku")
    np.save(tmp_path / "x.npy", VALUES)
    with pytest.raises(VlalignError, match="has no columns, so no id column 'sku'"):
        read_embeddings(tmp_path / "x.npy", id_column="sku")
