"""Text files: encodings, packed files, and columns of several types."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from vlalign.data import DataSpec, open_data
from vlalign.data.tables import as_dataset, kind_of, read_columns
from vlalign.errors import VlalignError

CSV = "id,text\n007,Füße\n1,NA\n"
COLUMNS = {"id": ["007", "1"], "text": ["Füße", "NA"]}


def test_kinds() -> None:
    assert [kind_of(name) for name in ("A.CSV", "a.b.jsonl.gz", "x.json.zst", "x.gz", "x")] == [
        ".csv",
        ".jsonl",
        ".json",
        "",
        "",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "d.csv").write_bytes(CSV.encode(encoding))
    assert read_columns(tmp_path / "d.csv", "d.csv") == COLUMNS


def test_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(CSV.encode("latin-1"))
    with pytest.raises(VlalignError, match=r"d.csv is not UTF-8: line 2 holds the byte 0xfc; save it as UTF-8"):
        read_columns(tmp_path / "d.csv", "d.csv")


def zstd(content: bytes) -> bytes:
    stream = pa.BufferOutputStream()
    with pa.CompressedOutputStream(stream, "zstd") as file:
        file.write(content)
    return stream.getvalue().to_pybytes()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_packed_files(tmp_path: Path, pack: Any) -> None:
    (tmp_path / "d.csv").write_bytes(pack(CSV.encode()))
    assert read_columns(tmp_path / "d.csv", "d.csv") == COLUMNS
    (tmp_path / "d.csv").write_bytes(pack(CSV.encode())[:-9])
    with pytest.raises(VlalignError, match=r"cannot read d\.csv: "):
        read_columns(tmp_path / "d.csv", "d.csv")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_files_that_unpack_to_far_more(tmp_path: Path, pack: Any) -> None:
    (tmp_path / "d.jsonl").write_bytes(pack(b" " * (65 << 20)))
    with pytest.raises(VlalignError, match=r"d.jsonl unpacks to more than 64 MiB, \d+ times its size"):
        read_columns(tmp_path / "d.jsonl", "d.jsonl")


def test_a_file_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(_: Path) -> bytes:
        raise MemoryError

    (tmp_path / "d.csv").write_text(CSV)
    monkeypatch.setattr(Path, "read_bytes", too_large)
    with pytest.raises(VlalignError, match=r"d\.csv is too large for the memory at hand"):
        read_columns(tmp_path / "d.csv", "d.csv")


def test_archives_and_other_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.csv", "w") as archive:
        archive.writestr("d.csv", CSV)
    with pytest.raises(VlalignError, match="is a zip archive, not text"):
        read_columns(tmp_path / "d.csv", "d.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    os.symlink("/dev/zero", tmp_path / "zero.csv")
    for name in ("pipe.csv", "zero.csv"):
        with pytest.raises(VlalignError, match=f"{name} is no ordinary file"):
            open_data(DataSpec(str(tmp_path / name)), {"text"})


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        ([1, "a", None, 2.5], ["1", "a", None, "2.5"]),
        ([True, 1], ["True", "1"]),
        ([1, 2**70], ["1", str(2**70)]),
        ([["a"], "b", None, 3], [["a"], ["b"], None, ["3"]]),
        ([["a", 1], ["b"]], [["a", "1"], ["b"]]),
        (["2020-01-01", "x"], ["2020-01-01", "x"]),
        ([{"a": 1}, "b", None], [b'{"a": 1}', b"b", None]),
        ([1, 2], [1, 2]),
    ],
)
def test_columns_of_several_types(values: list[Any], stored: list[Any]) -> None:
    assert as_dataset({"x": values}, "d")[:]["x"] == stored


def test_a_pointer_of_git_lfs(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 5\n")
    with pytest.raises(VlalignError, match=r"d\.csv is a pointer of Git LFS, not the data: fetch them with `git lfs"):
        open_data(DataSpec(str(tmp_path / "d.csv")), {"text"})


def test_half_a_surrogate_pair(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"id": "a", "text": "\\ud83d"}\n')
    with pytest.raises(VlalignError, match="holds half of a surrogate pair"):
        open_data(DataSpec(str(tmp_path / "d.jsonl")), {"text"})


def test_ids_that_are_no_values(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "d.jsonl").write_text('{"id": {"$oid": "a"}, "text": "x"}\n{"id": {"$oid": "b"}, "text": "y"}\n')
    assert open_data(DataSpec(str(tmp_path / "d.jsonl")), {"text"}).id_source == "row"
    assert "its column 'id' holds struct, no ids: rows are numbered instead" in caplog.text


def test_ids_of_several_types(tmp_path: Path) -> None:
    def write(*ids: Any) -> DataSpec:
        rows = [{"id": name, "text": f"text {place}"} for place, name in enumerate(ids)]
        (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return DataSpec(str(tmp_path / "d.jsonl"))

    assert open_data(write(7, "007", "x", 2.5), {"text"}).ids == ["7", "007", "x", "2.5"]
    for same in ((7, "7"), ("a", "a"), (1, 1.0)):
        with pytest.raises(VlalignError, match=r"1 ids of .* occur more than once"):
            open_data(write(*same), {"text"})
    for missing in (None, "", "  ", float("nan")):
        with pytest.raises(VlalignError, match=r"1 of 2 samples of .* have no id in column 'id' \(rows 1,"):
            open_data(write("a", missing), {"text"})
