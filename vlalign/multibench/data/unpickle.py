"""Safe reading of pickles: arrays and plain values are built, and nothing that a pickle names is imported or run.

A name in a pickle is looked up in a list of NumPy's and Python's harmless ones (:meth:`_Unpickler.find_class`). Even
for these the pickle gets a substitute, which checks its arguments and makes a plain value or an array, so that not even
NumPy's own reconstruction sees the file. The size of everything is checked against the bytes of the file.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from vlalign.errors import VlalignError
from vlalign.multibench.data.magic import is_text, what_it_is
from vlalign.paths import user_path

_PLAIN = (str, bytes, int, float, type(None), np.generic)
#: bytes of the numbers that are read, by kind; beside these: bytes, strings and objects
_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}
_DEPTH = 16  # most levels of nesting; data have two or three
_ROW = 16  # most entries of an id: video, start, end
_BROKEN = (
    pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError,
    MemoryError, RecursionError, AssertionError, struct.error,
)  # fmt: skip


def read_pickle(path: str | Path) -> Any:
    """Load a pickle of dicts, lists and tuples of numpy arrays, strings, bytes and numbers.

    Pickles of Python 2 and 3, of every protocol, written with any numpy. Strings of Python 2 are bytes, except as keys.

    Raises:
        VlalignError: the file cannot be read, is not a pickle or a broken one, or asks for anything else, which the
            message names.
    """
    path = user_path(path)
    try:
        with path.open("rb") as file:
            head = file.read(512)
            if other := what_it_is(head):
                raise VlalignError(f"{path} is not a pickle: it is {other}")
            file.seek(0)
            return _resolve(_Unpickler(file).load(), str(path), "", {}, 0)
    except OSError as error:
        raise VlalignError(f"cannot read {path}: {error.strerror or error}") from error
    except _Refused as error:
        hint = " (write it with numpy.savez instead)" if str(error).startswith(("joblib", "torch", "pandas")) else ""
        raise VlalignError(
            f"{path} is refused: it asks for {error}{hint}; a pickle can run anything, so only numpy arrays and plain "
            "values are read, and nothing was run"
        ) from error
    except _BROKEN as error:
        if is_text(head) and not head.startswith((b"(dp", b"(lp")):
            problem = "is not a pickle: it is text"
        elif isinstance(error, EOFError):
            problem = "ends in the middle of a pickle: copy or download it again"
        else:
            problem = "is not a pickle, or a broken one: copy or download it again"
        raise VlalignError(f"{path} {problem}") from error


def key_text(key: str | bytes) -> str:
    """Return a key as a string of one line that is safe to print.

    >>> key_text(b"a\\nb")
    'a?b'
    """
    text = key.decode("utf-8", "replace") if isinstance(key, bytes) else key
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class _Refused(Exception):
    """Something that is not read; the message names it."""


class _Bounded:
    """A file that refuses to read more than it has before any memory is set aside."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end = file.seek(0, io.SEEK_END)
        file.seek(0)
        self.readline = file.readline

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self._end - self._file.tell():
            raise EOFError
        return self._file.read(count)


# -- substitutes of names ------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Name:
    """Substitute of a name, with what makes a plain value of the arguments of a call, where there is a way."""

    name: str
    make: Callable[..., Any] | None


class _DType:
    """A dtype as a pickle describes it: a code such as f8, and the byte order, which comes later."""

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        self._code, self._order = _text(code), ""
        kind, size = self._code[:1], self._code[1:]
        number = int(size) if size.isascii() and size.isdigit() and len(size) < 9 else 0
        if kind == "V":
            raise _Refused("an array of records")
        if not (kind == "O" or number in _SIZES.get(kind, ()) or (kind in "SU" and number > 0)):
            raise _Refused(f"an array of dtype {self._code[:20]!r}")

    def build(self, state: Any) -> None:
        """Take (version, byte order, subarray, names, fields, itemsize, alignment, flags, metadata)."""
        if self._order or not isinstance(state, tuple) or len(state) < 5 or _text(state[1]) not in tuple("<>|="):
            raise ValueError("dtype")
        if any(part is not None for part in (*state[2:5], *state[8:])):
            raise _Refused("an array of records")
        self._order = _text(state[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(object) if self._code[0] == "O" else np.dtype((self._order or "|") + self._code)


class _Array:
    """An array, which most pickles make in two steps."""

    def __init__(self, value: np.ndarray[Any, Any] | None = None) -> None:
        self.value = value

    def build(self, state: Any) -> None:
        """Take (version, shape, dtype, whether in Fortran's order, bytes or list of objects)."""
        if self.value is not None or not isinstance(state, tuple) or len(state) != 5:
            raise ValueError("array")
        _, shape, dtype, fortran, data = state
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


class _Dict(dict[Any, Any]):
    """A dict whose keys are checked before they are hashed."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_key(key), value)


class _Set(set[Any]):
    """A set whose members are checked before they are hashed."""

    def update(self, *values: Any) -> None:
        super().update(*(map(_key, each) for each in values))


def _key(value: Any) -> Any:
    """Check a key or member; others could take forever, or overflow the stack, when they are hashed or compared."""
    if not isinstance(value, _PLAIN):
        raise _Refused(f"a {type(value).__name__.lstrip('_').lower()} as a key")
    return value


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin1")
    if not isinstance(value, str):
        raise ValueError("string")
    return value


def _array(data: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray[Any, Any]:
    """Make an array of bytes, or of a list of objects, which must be exactly as many as its shape needs."""
    sizes, order = (shape,) if type(shape) is int else shape, _text(order)
    if not isinstance(sizes, tuple) or len(sizes) > 32 or not all(type(n) is int and 0 <= n < 2**62 for n in sizes):
        raise ValueError("shape")
    if not isinstance(dtype, _DType) or order not in ("C", "F", "A"):
        raise ValueError("array")
    kind = dtype.dtype
    objects = kind.hasobject
    data = data.encode("latin1") if isinstance(data, str) else data
    wanted: Any = list if objects else (bytes, bytearray)
    if not isinstance(data, wanted) or (objects and order == "F"):
        raise ValueError("data")
    if len(data) != math.prod(sizes) * (1 if objects else kind.itemsize):
        raise ValueError("an array whose values do not fit its shape")
    if objects:
        values = np.empty(len(data), dtype=object)
        for i, value in enumerate(data):
            values[i] = value
    else:
        values = np.frombuffer(data, kind) if data else np.empty(0, kind)
    return values.reshape(sizes, order="F" if order == "F" else "C")


def _reconstruct(kind: Any, shape: Any, typecode: Any) -> _Array:
    if kind is not NAMES["numpy.ndarray"]:
        raise ValueError("array")
    return _Array()


def _scalar(dtype: Any, data: Any) -> Any:
    if isinstance(data, list):
        raise ValueError("scalar")
    return _array(data, dtype, ())[()]


def _encode(text: Any, encoding: Any = None) -> bytes:
    """Make bytes as Python 3 writes them for Python 2."""
    if not isinstance(text, str) or _text(encoding).replace("-", "").lower() != "latin1":
        raise _Refused("_codecs.encode other than of bytes")
    return text.encode("latin1")


def _dict(pairs: Any = ()) -> _Dict:
    if not isinstance(pairs, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise ValueError("pairs")
    result = _Dict()
    for key, value in pairs:
        result[key] = value
    return result


def _default_dict(factory: Any = None, pairs: Any = ()) -> _Dict:
    if factory is not None and not (isinstance(factory, _Name) and factory.name.startswith("builtins.")):
        raise _Refused("a defaultdict of something other than a plain type")
    return _dict(pairs)


def _set(values: Any = ()) -> _Set:
    if not isinstance(values, list | tuple):
        raise ValueError("set")
    return _Set(map(_key, values))


_MAKERS: dict[str, Callable[..., Any] | None] = {
    "numpy.ndarray": None, "numpy.dtype": _DType, "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar, "numpy.core.numeric._frombuffer": lambda *parts: _Array(_array(*parts)),
    "_codecs.encode": _encode, "collections.OrderedDict": _dict, "collections.defaultdict": _default_dict,
    "builtins.bytes": lambda: b"", "builtins.set": _set, "builtins.frozenset": _set,
    **dict.fromkeys(f"builtins.{name}" for name in ("list", "dict", "tuple", "int", "float", "str", "bool")),
}  # fmt: skip
#: the names that a pickle may use, as numpy 1 and Python 3 write them
NAMES = {name: _Name(name, make) for name, make in _MAKERS.items()}

# -- instructions ----------------------------------------------------------------------------------------------------
_Base: Any = pickle._Unpickler  # the one in C sets memory aside for any size that a file claims


class _Unpickler(_Base):
    """Loads a pickle of plain values, and of arrays as :class:`_Array`."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(_Bounded(file), fix_imports=False, encoding="bytes")

    def find_class(self, module: str, name: str) -> _Name:
        """Return the substitute of a name; nothing is imported."""
        known = f"{module.replace('numpy._core', 'numpy.core').replace('__builtin__', 'builtins')}.{name}"
        if known in NAMES:
            return NAMES[known]
        if not re.fullmatch(r"[\w.]+", module):
            raise ValueError("not the name of a module")
        raise _Refused(ascii(f"{module}.{name}"[:80])[1:-1])

    def _forbidden(self) -> None:
        raise _Refused("an instruction that makes instances, or fetches what is not in the file")

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Name) or function.make is None:
            raise _Refused(f"a call of {function.name if isinstance(function, _Name) else 'a value'}")
        self.append(function.make(*arguments))

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, _Array | _DType):
            kind = type(target).__name__.lstrip("_").lower()
            raise _Refused(f"a change of {target.name if isinstance(target, _Name) else kind}")
        target.build(state)

    def _dict(self) -> None:
        items = self.pop_mark()
        self.append(_dict(list(zip(items[::2], items[1::2], strict=True))))

    dispatch: ClassVar[dict[int, Any]] = _Base.dispatch | dict.fromkeys(
        [getattr(pickle, name)[0] for name in (
            "NEWOBJ", "NEWOBJ_EX", "OBJ", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER",
            "READONLY_BUFFER",
        )],
        _forbidden,
    ) | {
        pickle.REDUCE[0]: _reduce,
        pickle.BUILD[0]: _build,
        pickle.EMPTY_DICT[0]: lambda self: self.append(_Dict()),
        pickle.DICT[0]: _dict,
        pickle.EMPTY_SET[0]: lambda self: self.append(_Set()),
        pickle.FROZENSET[0]: lambda self: self.append(_set(self.pop_mark())),
        pickle.BYTEARRAY8[0]: lambda self: self.append(self.read(*struct.unpack("<Q", self.read(8)))),
    }  # fmt: skip


def _resolve(value: Any, path: str, where: str, seen: dict[int, Any], depth: int) -> Any:
    """Return the value with arrays in place of their substitutes, and keys as strings."""
    if isinstance(value, _PLAIN):
        return value
    if id(value) in seen:
        return seen[id(value)]
    if depth > _DEPTH:
        raise VlalignError(f"{path} is nested more than {_DEPTH} deep: expected splits of arrays")
    title = f"{path}: {where.rstrip('.') or 'it'}"
    if isinstance(value, dict):
        result: Any = {}
        for key, entry in value.items():
            name = key_text(key) if isinstance(key, str | bytes) else key
            result[name] = _resolve(entry, path, f"{where}{name}.", seen, depth + 1)
    elif isinstance(value, list | tuple):
        result = [_resolve(entry, path, where, seen, depth + 1) for entry in value]
    elif isinstance(value, set):
        result = sorted(value, key=repr)
    elif isinstance(value, _Array) and value.value is not None:
        result = _check_objects(value.value, title) if value.value.dtype.hasobject else value.value
    else:
        raise VlalignError(f"{title} is not data: expected numpy arrays")
    seen[id(value)] = result
    return result


def _check_objects(values: np.ndarray[Any, Any], where: str) -> np.ndarray[Any, Any]:
    """Check that Python objects are strings, bytes, numbers, or lists of them (ids), which become tuples."""
    flat = values.reshape(-1)
    for at, value in enumerate(flat):
        row = value if isinstance(value, list | tuple) else (value,)
        if len(row) > _ROW or not all(isinstance(entry, _PLAIN) for entry in row):
            raise VlalignError(f"{where} is an array of Python objects, not of numbers: save it as one numeric array")
        flat[at] = tuple(value) if isinstance(value, list | tuple) else value
    return values
