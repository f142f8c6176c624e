"""What a pickle gets for the names that it asks for: stand-ins that check, and make plain values themselves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

#: plain values
SCALARS = (str, bytes, int, float, type(None), np.generic)
#: kinds and sizes of arrays that are read: truth values, whole numbers, floats; beside bytes, texts and objects
_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}


class StandIn:
    """What a pickle gets for a name: callable, without attributes that could be set."""

    __slots__ = ("make", "name")
    name: str
    make: Callable[..., Any] | None

    def __init__(self, name: str, make: Callable[..., Any] | None) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "make", make)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(name)


class DType:
    """A dtype as a pickle describes it: a code such as f8, and the byte order, which comes later."""

    __slots__ = ("code", "made")

    def __init__(self, code: str) -> None:
        self.code = code
        self.made: np.dtype[Any] | None = None

    def build(self, state: Any) -> None:
        """Take (version, byte order, subarray, names, fields, itemsize, alignment, flags)."""
        if self.made is not None or not isinstance(state, tuple) or len(state) < 5:
            raise ValueError("dtype")
        made = self._made(_text(state[1]))
        if any(part is not None for part in (*state[2:5], *state[8:])):
            raise Odd("an array of records")
        self.made = made

    def _made(self, order: str) -> np.dtype[Any]:
        if order not in ("<", ">", "|", "="):
            raise ValueError("dtype")
        kind, size = self.code[:1], self.code[1:]
        if kind == "V":
            raise Odd("an array of records")
        if kind == "O":
            return np.dtype(object)
        number = int(size) if size.isascii() and size.isdigit() and len(size) < 9 else 0
        if not (number in _SIZES.get(kind, ()) or (kind in "SU" and number > 0)):
            raise Odd(f"an array of dtype {self.code[:20]!r}")
        return np.dtype(f"{order}{kind}{number}")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy dtype."""
        return self._made("|") if self.made is None else self.made


class Array:
    """An array that a pickle makes in two steps."""

    __slots__ = ("objects", "shape", "value")

    def __init__(self) -> None:
        self.value: np.ndarray[Any, Any] | None = None
        self.objects: list[Any] | None = None
        self.shape: tuple[int, ...] = ()

    def build(self, state: Any) -> None:
        """Take (version, shape, dtype, whether in Fortran's order, bytes or list of objects)."""
        if self.value is not None or self.objects is not None or not isinstance(state, tuple) or len(state) != 5:
            raise ValueError("array")
        _, shape, dtype, fortran, data = state
        if isinstance(dtype, DType) and dtype.dtype.kind == "O":
            if not isinstance(data, list) or len(data) != math.prod(_shape(shape)) or fortran:
                raise ValueError("array of objects")
            self.objects, self.shape = data, _shape(shape)
        else:
            self.value = _array(data, dtype, shape, "F" if fortran else "C")


class Odd(Exception):
    """Something that is not read; the message says what."""


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin1")
    if not isinstance(value, str):
        raise ValueError("text")
    return value


def _shape(value: Any) -> tuple[int, ...]:
    sizes = (value,) if type(value) is int else value
    if not isinstance(sizes, tuple) or len(sizes) > 32 or not all(type(n) is int and 0 <= n < 2**62 for n in sizes):
        raise ValueError("shape")
    return sizes


def _array(data: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray[Any, Any]:
    """The array on the bytes of a file, which must be exactly as many as its shape needs."""
    if not isinstance(dtype, DType) or dtype.dtype.kind == "O":
        raise ValueError("dtype")
    data = data.encode("latin1") if isinstance(data, str) else data
    sizes, order = _shape(shape), _text(order)
    if not isinstance(data, bytes | bytearray) or order not in ("C", "F", "A"):
        raise ValueError("data")
    if len(data) != math.prod(sizes) * dtype.dtype.itemsize:
        raise ValueError("an array whose bytes do not fit its shape")
    if not data:
        return np.empty(sizes, dtype.dtype)
    return np.frombuffer(data, dtype.dtype).reshape(sizes, order="F" if order == "F" else "C")


def _reconstruct(kind: Any, shape: Any, typecode: Any) -> Array:
    if getattr(kind, "name", None) != "numpy.ndarray" or not isinstance(kind, StandIn):
        raise ValueError("array")
    return Array()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> Array:
    found = Array()
    found.value = _array(data, dtype, shape, order)
    return found


def _dtype(code: Any, align: Any = 0, copy: Any = 1) -> DType:
    return DType(_text(code))


def _scalar(dtype: Any, data: Any = None) -> Any:
    return _array(data, dtype, ())[()]


def _encode(text: Any, encoding: Any = None) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if not isinstance(text, str) or _text(encoding).replace("-", "").lower() != "latin1":
        raise Odd("_codecs.encode other than of bytes")
    return text.encode("latin1")


def _pairs(pairs: Any = ()) -> dict[Any, Any]:
    if not isinstance(pairs, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise ValueError("pairs")
    return {plain_key(key): value for key, value in pairs}


def _default_dict(factory: Any = None, pairs: Any = ()) -> dict[Any, Any]:
    if factory is not None and not (isinstance(factory, StandIn) and factory.name.startswith("builtins.")):
        raise Odd("a defaultdict of something that is no plain type")
    return _pairs(pairs)


def _bytes() -> bytes:
    return b""


def members(values: Any = ()) -> set[Any]:
    if not isinstance(values, list | tuple):
        raise ValueError("set")
    return {plain_key(value) for value in values}


def plain_key(value: Any) -> Any:
    """A key or member; others could be made to take forever, or to overflow the stack, when they are compared."""
    if not isinstance(value, SCALARS):
        raise Odd(f"a {type(value).__name__.lstrip('_').lower()} as a key")
    return value


def key_text(key: str | bytes) -> str:
    """A key as a text of one line that is safe to print.

    >>> key_text(b"a\\nb")
    'a?b'
    """
    text = key.decode("utf-8", "replace") if isinstance(key, bytes) else key
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _table() -> dict[tuple[str, str], StandIn]:
    """Every name that is read, with its stand-in."""
    found: dict[tuple[str, str], StandIn] = {}
    for core in ("numpy.core", "numpy._core"):
        found[f"{core}.multiarray", "_reconstruct"] = StandIn("numpy._reconstruct", _reconstruct)
        found[f"{core}.multiarray", "scalar"] = StandIn("numpy.scalar", _scalar)
        found[f"{core}.numeric", "_frombuffer"] = StandIn("numpy._frombuffer", _frombuffer)
    found["numpy", "ndarray"] = StandIn("numpy.ndarray", None)
    found["numpy", "dtype"] = StandIn("numpy.dtype", _dtype)
    found["_codecs", "encode"] = StandIn("_codecs.encode", _encode)
    found["collections", "OrderedDict"] = StandIn("collections.OrderedDict", _pairs)
    found["collections", "defaultdict"] = StandIn("collections.defaultdict", _default_dict)
    made: dict[str, Callable[..., Any] | None] = dict.fromkeys(("list", "dict", "tuple", "int", "float", "str", "bool"))
    for name, make in (made | {"bytes": _bytes, "set": members, "frozenset": members}).items():
        found["builtins", name] = found["__builtin__", name] = StandIn(f"builtins.{name}", make)
    return found


STAND_INS = _table()
