"""Files of arrays whose headers claim what is not there: one line, and no memory is set aside for the claim."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vlalign.errors import VlalignError
from vlalign.multibench.data.source import read_array, read_source


def npy(descr: str = "'<f4'", shape: str = "(4,)", order: str = "False", version: int = 1) -> bytes:
    head = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    head += b" " * (64 - (len(head) + 13) % 64) + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(head))
    return b"\x93NUMPY" + bytes([version, 0]) + length + head + b"\0" * 16


CLAIMS: dict[str, tuple[bytes, str]] = {
    "a trillion values": (npy(shape="(1000000000000,)"), r"its shape \[1000000000000\] needs 4,000,000,000,000 bytes"),
    "more than a machine can count": (npy(shape="(9223372036854775807, 9223372036854775807)"), "and it has 16"),
    "a trillion, version 2": (npy(shape="(1000000000000,)", version=2), "needs 4,000,000,000,000 bytes"),
    "one value too many": (npy(shape="(5,)"), r"its shape \[5\] needs 20 bytes, and it has 16"),
    "wider values": (npy("'<c16'"), "needs 64 bytes"),
    "less than nothing": (npy(shape="(-1, -4)"), r"its shape is \(-1, -4\)"),
    "objects": (npy("'|O'"), "Python objects"),
    "records with objects": (npy("[('a', '<f4'), ('b', '|O')]"), "Python objects"),
    "long texts": (npy("'<U1000000000'"), "dtype"),
    "no tuple": (npy(shape="4"), "shape is not valid"),
    "no values of a length": (npy(shape="(99999999999999999999999, 0)"), "its shape is"),
    "values of no size": (npy("'<U0'", shape="(1000000000000,)"), "needs 1,000,000,000,000 bytes"),
    "signs without end": (npy(shape=f"({'-' * 6000}1,)"), "header cannot be parsed"),
    "brackets without end": (npy(shape="(" * 3000), "EOF in multi-line statement|Cannot parse"),
    "true": (npy(shape="(True,)"), r"its shape is \(True,\)"),
    "code": (npy(shape="__import__('os').system('id')"), "malformed|Cannot parse"),
    "version 3": (npy(version=3), "records"),
    "seventy dimensions": (npy(shape="(" + "1," * 70 + ")"), "dimension"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_are_checked_before_memory_is_taken(tmp_path: Path, name: str) -> None:
    data, message = CLAIMS[name]
    with zipfile.ZipFile(tmp_path / "d.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("vision.npy", data)
    (tmp_path / "a.npy").write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(VlalignError, match=rf"d\.npz: vision cannot be read: .*({message})") as caught:
            read_source(tmp_path / "d.npz")
        with pytest.raises(VlalignError, match=rf"a\.npy is not an array of numbers in \.npy \(.*({message})"):
            read_array(tmp_path / "a.npy")
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)


def test_an_archive_that_lies_about_a_size(tmp_path: Path) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("vision.npy", npy(shape="(500000000,)"))
    data = bytearray(held.getvalue())
    at = data.rfind(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 2**31 - 1)
    (tmp_path / "d.npz").write_bytes(data)
    with pytest.raises(VlalignError, match="needs 2,000,000,000 bytes"):
        read_source(tmp_path / "d.npz")


def test_archives_that_are_whole(tmp_path: Path) -> None:
    values = {"vision": np.zeros((500, 40), np.float32), "labels": np.arange(3), "ids": np.array(["a", "b"])}
    np.savez_compressed(tmp_path / "d.npz", **values)
    with zipfile.ZipFile(tmp_path / "d.npz", "a") as archive:
        archive.writestr("readme.txt", "not an array")
    source = read_source(tmp_path / "d.npz")
    assert set(source.flat) == set(values)
    for name, value in values.items():
        assert np.array_equal(source.flat[name], value)


@pytest.mark.parametrize("damage", ["empty", "cut", "encrypted", "nothing inside"])
def test_archives_that_are_not(tmp_path: Path, damage: str) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("a.txt" if damage == "nothing inside" else "vision.npy", npy())
    data = bytearray(held.getvalue())
    if damage == "encrypted":
        data[6] |= 1
        data[data.rfind(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "d.npz").write_bytes({"empty": b"", "cut": data[:-30]}.get(damage, data))
    message = "holds no arrays" if damage == "nothing inside" else "not a whole .npz file"
    with pytest.raises(VlalignError, match=message):
        read_source(tmp_path / "d.npz")
