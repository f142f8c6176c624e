"""Pickles without their dangers: arrays and plain values are built, nothing that a pickle names is imported or run.

What a pickle asks for is looked up in a table of stand-ins. A stand-in checks what it is given and makes an array, a
dtype or a plain value itself, so that not even numpy's own reconstruction sees the file. Only the instructions that
such pickles need are carried out; sizes that a file claims are held against the bytes it has.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from vlalign.errors import VlalignError
from vlalign.multibench.data.magic import is_text, what_it_is
from vlalign.multibench.data.standins import (
    SCALARS,
    STAND_INS,
    Array,
    DType,
    Odd,
    StandIn,
    key_text,
    members,
    plain_key,
)
from vlalign.paths import user_path

_DEPTH = 16  # data are nested two or three deep
_ROW = 16  # entries of an id: video, start, end
_BROKEN = (
    pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError,
    MemoryError, RecursionError, AssertionError, struct.error,
)  # fmt: skip


def read_pickle(path: str | Path) -> Any:
    """What a pickle holds: dicts, lists and tuples of numpy arrays, texts, bytes and numbers.

    Pickles of Python 2 and 3, of every protocol, written with any numpy. Texts of Python 2 are bytes, except as keys.

    Raises:
        VlalignError: the file cannot be read, is no pickle or broken, or asks for anything else, which is named.
    """
    path = user_path(path)
    try:
        with path.open("rb") as file:
            head = file.read(512)
            if other := what_it_is(head):
                raise VlalignError(f"{path} is not a pickle: it is {other}")
            file.seek(0)
            found = _Unpickler(file, path).load()
            return _plain(found, str(path), "", {}, 0)
    except OSError as error:
        raise VlalignError(f"cannot read {path}: {error.strerror or error}") from error
    except _BROKEN as error:
        if is_text(head) and not head.startswith((b"(dp", b"(lp")):
            told = "is not a pickle: it is text"
        elif isinstance(error, EOFError):
            told = "ends in the middle of a pickle: copy or download it again"
        else:
            told = "is not a pickle, or a broken one: copy or download it again"
        raise VlalignError(f"{path} {told}") from error


class _Bounded:
    """A file that refuses to be asked for more than it has before any memory is set aside."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        start = file.tell()
        self._end = file.seek(0, io.SEEK_END)
        file.seek(start)

    def left(self) -> int:
        """Bytes to the end."""
        return self._end - self._file.tell()

    def read(self, count: int) -> bytes:
        """Exactly so many bytes."""
        if not 0 <= count <= self.left():
            raise EOFError
        return self._file.read(count)

    def readline(self) -> bytes:
        """A line."""
        return self._file.readline()


_Base: Any = pickle._Unpickler  # the one in C trusts sizes, and its table is closed

#: instructions that data need; the others make instances, call by code number, or fetch by persistent id
_INSTRUCTIONS = (
    "PROTO", "FRAME", "STOP", "POP", "POP_MARK", "DUP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT",
    "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "TUPLE",
    "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "LIST", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "GET",
    "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GLOBAL", "STACK_GLOBAL", "EMPTY_SET",
)  # fmt: skip
_FORBIDDEN = (
    "NEWOBJ", "NEWOBJ_EX", "OBJ", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER",
)  # fmt: skip


def _code(name: str) -> int:
    """Number of an instruction."""
    return int(getattr(pickle, name)[0])


class _Unpickler(_Base):
    """Carries out the instructions of a pickle that data need."""

    dispatch: ClassVar[dict[int, Any]] = {_code(name): _Base.dispatch[_code(name)] for name in _INSTRUCTIONS}

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._bounded = _Bounded(file)
        super().__init__(self._bounded, fix_imports=False, encoding="bytes")
        self._path = path

    def load(self) -> Any:
        """The value."""
        try:
            return super().load()
        except Odd as error:
            raise self._refused(str(error)) from error

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name; nothing is imported."""
        found = STAND_INS.get((module, name))
        if found is None and not re.fullmatch(r"[\w.]+", module):
            raise ValueError("no name of a module")
        if found is None:
            raise self._refused(ascii(f"{module}.{name}"[:80])[1:-1])
        return found

    def _refused(self, what: str) -> VlalignError:
        hint = " (write it with numpy.savez instead)" if what.startswith(("joblib", "torch", "pandas")) else ""
        return VlalignError(
            f"{self._path} is refused: it asks for {what}{hint}; a pickle can run anything, so only numpy arrays and "
            "plain values are read, and nothing was run"
        )

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, StandIn) or function.make is None:
            raise self._refused(f"a call of {function.name if isinstance(function, StandIn) else 'a value'}")
        if not isinstance(arguments, tuple):
            raise ValueError("arguments")
        self.stack.append(function.make(*arguments))

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, Array | DType):
            name = target.name if isinstance(target, StandIn) else f"a {type(target).__name__}"
            raise self._refused(f"a change of {name}")
        target.build(state)

    def _instance(self) -> None:
        module, name = (self.readline()[:-1].decode("ascii", "replace") for _ in range(2))
        raise self._refused(ascii(f"{module}.{name}"[:80])[1:-1])

    def _forbidden(self) -> None:
        raise self._refused("an instruction that makes instances, or fetches what is not in the file")

    def _set_items(self) -> None:
        items = self.pop_mark()
        self._put(self.stack[-1], items)

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put(self.stack[-1], [key, value])

    def _put(self, target: Any, items: list[Any]) -> None:
        if type(target) is not dict or len(items) % 2:
            raise ValueError("dict")
        target.update({plain_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)})

    def _dict(self) -> None:
        items = self.pop_mark()
        made: dict[Any, Any] = {}
        self._put(made, items)
        self.append(made)

    def _add_items(self) -> None:
        items = self.pop_mark()
        if type(self.stack[-1]) is not set:
            raise ValueError("set")
        self.stack[-1].update(members(items))

    def _frozen_set(self) -> None:
        self.append(members(self.pop_mark()))

    def _byte_array(self) -> None:
        (count,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(count))

    dispatch |= dict.fromkeys(map(_code, _FORBIDDEN), _forbidden)
    dispatch |= {
        pickle.REDUCE[0]: _reduce, pickle.BUILD[0]: _build, pickle.INST[0]: _instance, pickle.DICT[0]: _dict,
        pickle.SETITEM[0]: _set_item, pickle.SETITEMS[0]: _set_items, pickle.ADDITEMS[0]: _add_items,
        pickle.FROZENSET[0]: _frozen_set, pickle.BYTEARRAY8[0]: _byte_array,
    }  # fmt: skip


def _plain(value: Any, path: str, where: str, seen: dict[int, Any], depth: int) -> Any:
    """The value with arrays in place of what stood for them, and keys as texts."""
    if isinstance(value, SCALARS):
        return value
    if id(value) in seen:
        return seen[id(value)]
    if depth > _DEPTH:
        raise VlalignError(f"{path} is nested more than {_DEPTH} deep: expected are splits of arrays")
    if isinstance(value, dict):
        made: Any = {}
        for key, entry in value.items():
            name = key_text(key) if isinstance(key, str | bytes) else key
            made[name] = _plain(entry, path, f"{where}{name}.", seen, depth + 1)
    elif isinstance(value, list | tuple):
        made = [_plain(entry, path, where, seen, depth + 1) for entry in value]
    elif isinstance(value, set):
        made = sorted(value, key=repr)
    elif isinstance(value, Array) and value.value is not None:
        made = value.value
    elif isinstance(value, Array) and value.objects is not None:
        made = _objects(value.objects, value.shape, f"{path}: {where.rstrip('.') or 'it'}")
    else:
        raise VlalignError(f"{path}: {where.rstrip('.') or 'it'} is no data: expected are numpy arrays")
    seen[id(value)] = made
    return made


def _objects(values: list[Any], shape: tuple[int, ...], where: str) -> np.ndarray[Any, Any]:
    """An array of Python objects, which must be plain: texts, bytes, numbers, or lists of them (ids)."""
    found = np.empty(len(values), dtype=object)
    for at, value in enumerate(values):
        inner = value if isinstance(value, list | tuple) else (value,)
        if len(inner) > _ROW or not all(isinstance(entry, SCALARS) for entry in inner):
            raise VlalignError(f"{where} is an array of Python objects, not of numbers: save it as one numeric array")
        found[at] = tuple(value) if isinstance(value, list | tuple) else value
    return found.reshape(shape)
