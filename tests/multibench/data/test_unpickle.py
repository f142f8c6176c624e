"""What is read, and what is refused: whatever a pickle asks for, nothing is run."""

from __future__ import annotations

import copyreg
import functools
import gzip
import io
import os
import pickle
import pickletools
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.multibench import numpy_1, python_2

from vlalign.errors import VlalignError
from vlalign.multibench.data.unpickle import NAMES, read_pickle

DATA: dict[str, Any] = {
    "train": {
        "vision": np.arange(24, dtype=np.float64).reshape(2, 3, 4),
        "audio": np.asfortranarray(np.arange(12, dtype=">f4").reshape(2, 3, 2)),
        "labels": np.array([[[1.5]], [[-2.0]]]),
        "id": np.array([[b"abc", b"1.5"], [b"de", b"2"]]),
        "names": np.array(["\xe9a", "b"]),
        "objects": np.array(["a", b"b", 3, 2.5, None], dtype=object),
        "empty": np.zeros((0, 3)),
        "flags": np.array([True, False]),
        "list": ["x", 1, 2.0, None, True],
        "tuple": (1, np.float32(2.5)),
        "bytes": b"\xff\x00",
        "set": {3, 1},
        "big": 10**30,
    },
    "ordered": OrderedDict(a=np.int64(3), b=OrderedDict()),
    "default": defaultdict(list, a=[1]),
}


def load(tmp_path: Path, data: bytes) -> Any:
    path = tmp_path / "data.pkl"
    path.write_bytes(data)
    return read_pickle(path)


def check(found: Any) -> None:
    for key, value in DATA["train"].items():
        got = found["train"][key]
        if isinstance(value, np.ndarray):
            assert isinstance(got, np.ndarray)
            assert got.dtype == value.dtype
            assert got.shape == value.shape
            assert np.array_equal(got, value)
        elif isinstance(value, set | tuple):
            assert got == sorted(value)
        else:
            assert got == value
    assert found["ordered"] == {"a": 3, "b": {}}
    assert found["default"] == {"a": [1]}


@pytest.mark.parametrize("old", [False, True], ids=["numpy._core", "numpy.core"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_values_come_back(tmp_path: Path, protocol: int, old: bool) -> None:
    data = pickle.dumps(DATA, protocol=protocol)
    check(load(tmp_path, numpy_1(data) if old else data))


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_pickles_of_python_2(tmp_path: Path, protocol: int) -> None:
    arrays = {"vision": np.random.default_rng(0).normal(size=(3, 2, 2)), "id": np.array([b"a", b"bc", b"d"])}
    data = python_2({"train": arrays, "note": b"text"}, protocol)
    assert b"_codecs" not in data
    assert b"numpy.core" in data
    found = load(tmp_path, data)
    assert list(found) == ["train", "note"]
    assert np.array_equal(found["train"]["vision"], arrays["vision"])
    assert list(found["train"]["id"]) == [b"a", b"bc", b"d"]
    assert pickle.loads(data, encoding="bytes")[b"note"] == found["note"] == b"text"


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["<f8", ">f4", "<i8", "u1", "?", "S3", "<U2", "<f2"]),
    st.lists(st.integers(0, 4), max_size=3),
    st.sampled_from(range(6)),
    st.booleans(),
)
def test_every_array_comes_back(tmp_path: Path, dtype: str, shape: list[int], protocol: int, fortran: bool) -> None:
    array = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype, order="F" if fortran else "C")
    found = load(tmp_path, pickle.dumps(array, protocol=protocol))
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_broken_pickles_are_one_line(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(pickle.dumps(DATA, protocol=data.draw(st.integers(0, 5))))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(whole)))
    said = ""
    try:
        load(tmp_path, bytes(whole[:cut]))
    except VlalignError as error:
        said = str(error)
    assert "\n" not in said


# --- what is refused -------------------------------------------------------------------------------------------------


class Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.parts


def numpy_call(marker: str) -> Any:
    import numpy.testing

    return Call(numpy.testing.run_threaded, Call(functools.partial, os.system, f"touch {marker}"))


def as_object_array(marker: str) -> Any:
    array = np.empty(1, dtype=object)
    array[0] = Call(os.system, f"touch {marker}")
    return {"train": {"vision": array}}


def in_code(marker: str) -> str:
    return f"open({marker!r}, 'w').close()"


MALICIOUS: dict[str, tuple[Callable[[str], Any], str]] = {
    "system": (lambda m: Call(os.system, f"touch {m}"), r"asks for (posix|nt)\.system"),
    "eval": (lambda m: Call(eval, in_code(m)), r"builtin(s|__)\.eval"),
    "exec": (lambda m: Call(exec, in_code(m)), r"builtin(s|__)\.exec"),
    "getattr": (lambda m: Call(getattr, "a", "format"), r"builtin(s|__)\.getattr"),
    "import": (lambda m: Call(__import__, "os"), r"builtin(s|__)\.__import__"),
    "open": (lambda m: Call(open, m, "w"), r"asks for _?io\.open"),
    "nested": (lambda m: {"train": [({"vision": [Call(os.system, f"touch {m}")]},)]}, "system"),
    "as a key": (lambda m: {"train": {(1, "a"): 3}}, "a tuple as a key"),
    "object array": (as_object_array, "system"),
    "ordered": (lambda m: OrderedDict(a=Call(os.system, f"touch {m}")), "system"),
    "factory": (lambda m: defaultdict(functools.partial(eval, in_code(m))), r"functools\.partial"),
    "partial": (lambda m: Call(functools.partial, eval, in_code(m)), r"functools\.partial"),
    "numpy.testing": (numpy_call, r"numpy\.testing"),
    "reconstructor": (lambda m: Call(copyreg._reconstructor, Path, object, None), r"copy_?reg\._reconstructor"),  # type: ignore[attr-defined]
    "map": (lambda m: Call(list, Call(map, eval, [in_code(m)])), r"builtins\.map|itertools\.imap"),
    "path": (lambda m: Path(m), r"pathlib"),
    "load": (lambda m: Call(np.load, m), r"asks for numpy\.load"),
    "memmap": (lambda m: Call(np.memmap, m, "u1", "w+", 0, (4,)), r"numpy\.memmap"),
    "fromfile": (lambda m: Call(np.fromfile, m), "fromfile"),
    "subclass": (lambda m: np.zeros(2).view(np.recarray), r"numpy\.rec"),
    "dtype of records": (lambda m: np.zeros(2, dtype=[("a", "f8")]), "an array of records"),
    "dates": (lambda m: np.zeros(2, dtype="M8[s]"), "an array of dtype 'M8'"),
    "type": (lambda m: Call(type, "X", (), {}), r"builtin(s|__)\.type"),
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", MALICIOUS)
def test_nothing_else_is_run(tmp_path: Path, name: str, protocol: int) -> None:
    marker = tmp_path / "marker"
    make, message = MALICIOUS[name]
    data = pickle.dumps(make(str(marker)), protocol=protocol)
    with pytest.raises(VlalignError, match=message) as caught:
        load(tmp_path, data)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


def op(*parts: bytes) -> bytes:
    return b"".join((b"\x80\x02", *parts, b"."))


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


NDARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
F8 = b"cnumpy\ndtype\n(U\x02f8K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
OBJECT = b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
HAND_MADE: dict[str, tuple[bytes, str]] = {
    "instance": (b"(S'touch x'\nios\nsystem\n.", r"os\.system"),
    "python 2 instance": (b"(i__main__\nFoo\n.", r"__main__\.Foo"),
    "object": (op(b"(cos\nsystem\n", text("true"), b"o"), r"os\.system"),
    "stack global": (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.", r"os\.system"),
    "dotted": (b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.", r"numpy\.ndarray\.__init__"),
    "extension": (op(b"\x82\xf0", text("true"), b"\x85R"), "fetches what is not in the file"),
    "persistent id": (b"Pabc\n.", "fetches what is not in the file"),
    "new instance": (op(b"cnumpy\nndarray\n)\x81"), "makes instances"),
    "buffer": (b"\x80\x05\x97.", "fetches what is not in the file"),
    "change of a function": (op(b"cnumpy\ndtype\n}", text("make"), b"Nsb"), r"a change of numpy\.dtype"),
    "change of a dict": (op(b"}}", text("a"), b"Nsb"), "a change of dict"),
    "call of a value": (op(text("x"), b")R"), "a call of a value"),
    "call of ndarray": (op(b"cnumpy\nndarray\n((K\x09ttR"), r"a call of numpy\.ndarray"),
    "call of list": (op(b"c__builtin__\nlist\n)R"), r"a call of builtins\.list"),
    "bytes of a size": (op(b"c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R"), "broken"),
    "codec": (op(b"c_codecs\nencode\n", text("x"), text("rot13"), b"\x86R"), r"_codecs\.encode other than of bytes"),
    "shape": (op(NDARRAY, b"(K\x01J\xff\xff\xff\x7f\x85", F8, b"\x89U\x08", b"0" * 8, b"tb"), "broken"),
    "negative shape": (op(NDARRAY, b"(K\x01J\xff\xff\xff\xff\x85", F8, b"\x89U\x08", b"0" * 8, b"tb"), "broken"),
    "object bytes": (op(NDARRAY, b"(K\x01K\x01\x85", OBJECT, b"\x89U\x08", b"0" * 8, b"tb"), "broken"),
    "huge objects": (op(NDARRAY, b"(K\x01J\xff\xff\xff\x7f\x85", OBJECT, b"\x89]tb"), "broken"),
    "array in objects": (op(NDARRAY, b"(K\x01K\x01\x85", OBJECT, b"\x89]", NDARRAY, b"atb"), "array of Python objects"),
    "unfinished array": (op(NDARRAY), "is not data"),
    "twice": (op(NDARRAY, (b"(K\x01K\x01\x85" + F8 + b"\x89U\x08" + b"0" * 8 + b"tb") * 2), "broken"),
    "dtype with metadata": (
        op(b"cnumpy\ndtype\n(U\x02f8K\x00K\x01tR(K\x04U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00}tb"), "records",
    ),
    "dtype of nothing": (op(b"cnumpy\ndtype\n(U\x02S0K\x00K\x01tR(K\x03U\x01|NNNK\x00K\x01K\x00tb"), "dtype 'S0'"),
    "huge memo": (op(b"}r\xff\xff\xff\x7f0K\x01"), "nothing"),
    "huge text": (b"\x80\x04\x8d" + (2**60).to_bytes(8, "little") + b"x.", "middle"),
    "huge bytearray": (b"\x80\x05\x96" + (2**60).to_bytes(8, "little") + b"x.", "middle"),
    "huge frame": (b"\x80\x04\x95" + (2**60).to_bytes(8, "little") + b"N.", "middle"),
    "deep": (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "nested more than 16 deep"),
    "deep key": (op(b"}", b")" + b"\x85" * 100_000, b"Ns"), "a tuple as a key"),
}  # fmt: skip


@pytest.mark.parametrize("name", HAND_MADE)
def test_hand_made_pickles_are_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, message = HAND_MADE[name]
    monkeypatch.setattr(copyreg, "_inverted_registry", {0xF0: ("os", "system")})
    monkeypatch.setattr(copyreg, "_extension_cache", {0xF0: lambda *a: pytest.fail("ran")})
    if message == "nothing":
        assert load(tmp_path, data) == 1
        return
    with pytest.raises(VlalignError, match=message) as caught:
        load(tmp_path, data)
    assert "\n" not in str(caught.value)


def test_every_name_that_is_read_has_a_substitute(tmp_path: Path) -> None:
    """Nothing that a pickle gets by name can be changed."""
    for module, _, name in (name.rpartition(".") for name in NAMES):
        data = op(f"c{module}\n{name}\n".encode(), b"}", text("x"), b"K\x01sb")
        with pytest.raises(VlalignError, match="a change of"):
            load(tmp_path, data)


def torch_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", b"x")
    return buffer.getvalue()


OTHER: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not a pickle: it is empty"),
    "text": (b"video,label\nabc,1\n", "is not a pickle: it is text"),
    "text that names": (b"class,label\nabc,1\n", "is not a pickle: it is text"),
    "json": (b'{"train": {"vision": []}}', "is not a pickle: it is text"),
    "page": (b"\n<!DOCTYPE html><html><body>quota exceeded", "a web page: the download went wrong"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "gzip": (gzip.compress(pickle.dumps(DATA)), "unpack it first with gunzip"),
    "hdf5": (b"\x89HDF\r\n\x1a\n\x00\x00", "HDF5"),
    "torch": (torch_zip(), r"a file of torch\.save"),
    "zlib": (b"x\x9c\x01\x02", "joblib"),
    "npy": (b"\x93NUMPY\x01\x00", "one numpy array"),
    "noise": (bytes(range(200, 256)) * 9, "is not a pickle, or a broken one"),
}


@pytest.mark.parametrize("name", OTHER)
def test_other_files_are_named(tmp_path: Path, name: str) -> None:
    data, message = OTHER[name]
    with pytest.raises(VlalignError, match=message) as caught:
        load(tmp_path, data)
    assert "\n" not in str(caught.value)


def test_a_truncated_pickle_says_so(tmp_path: Path) -> None:
    data = pickle.dumps(DATA, protocol=2)
    with pytest.raises(VlalignError, match="ends in the middle of a pickle"):
        load(tmp_path, data[: len(data) // 2])


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match=r"cannot read .*No such file"):
        read_pickle(tmp_path / "none.pkl")


def test_numpy_1_names_are_those_of_numpy_1() -> None:
    names = [arg for code, arg, _ in pickletools.genops(numpy_1(pickle.dumps(np.ones(2), 2))) if code.name == "GLOBAL"]
    assert names[0] == "numpy.core.multiarray _reconstruct"
