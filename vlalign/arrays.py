"""Tensors of whatever holds numbers: NumPy, PyTorch, pandas, Polars, Arrow, datasets, JAX, lists."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.row_ids import package_of, without_ids

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

#: standard deviation of a column up to which it counts as constant: times eps of its dtype and its largest value
ROUNDING = 4

_BLOCK_BYTES = 16 * 2**20  # of rows of a tensor read together
_COLUMNS = 256  # converted to float64 together
_FAR = 1e-5  # standard deviation, as a share of the largest value, below which float32 rounds differences visibly
_TINY = 1e-12  # least scale of columns of which float32 computes squares; its inverse is the largest
_COMPUTED_BYTES = 4 * 2**20  # of rows computed together


def as_layers(value: Any, what: str) -> tuple[list[Tensor], list[str]]:
    """Return features as layers [N, D_l] with their names.

    Args:
        value: features [N, D] or [N, L, D] (samples, layers, width) as :func:`as_tensor` reads them, a list of layers,
            or a mapping from names to layers. A list of vectors is one layer.
        what: name of the value in errors.

    Raises:
        VlalignError: anything else, no layer, or layers that differ in the number of rows.
    """
    if isinstance(value, Mapping):
        names = [str(name) for name in value]
        layers = [as_tensor(layer, f"{what}[{name!r}]") for name, layer in value.items()]
    elif isinstance(value, list | tuple) and not any(_is_vector(part) for part in value):
        layers = [as_tensor(layer, f"{what}[{i}]") for i, layer in enumerate(value)]
        names = [f"layer_{i}" for i in range(len(layers))]
    else:
        whole = as_tensor(value, what)
        if whole.ndim not in (2, 3):
            raise VlalignError(f"{what} must be [N, D] or [N, L, D], got shape {list(whole.shape)}")
        layers = [whole] if whole.ndim == 2 else list(whole.unbind(1))
        names = [f"layer_{i}" for i in range(len(layers))]
    if not layers:
        raise VlalignError(f"{what} has no layers: give at least one tensor [N, D]")
    for name, layer in zip(names, layers, strict=True):
        if 0 in layer.shape:
            raise VlalignError(f"{what}: {name} is empty, its shape is {list(layer.shape)}")
        if layer.ndim != 2 or len(layer) != len(layers[0]):
            raise VlalignError(
                f"{what}: every layer must be [N, D] with one N, but {names[0]} is {list(layers[0].shape)} "
                f"and {name} is {list(layer.shape)}"
            )
    return layers, names


def as_tensor(value: Any, what: str) -> Tensor:
    """Return numbers as a floating tensor, detached and without a copy where memory can be shared.

    Args:
        value: a PyTorch tensor, a NumPy array, a pandas or Polars frame or series, an Arrow array or table, a datasets
            column, an object with ``__dlpack__`` or ``__array__`` (JAX, CuPy, TensorFlow), or a list of rows. A column
            of vectors is [N, D], columns of numbers are the dimensions of a frame; its column ``id`` is none of them.
        what: name of the value in errors.

    Raises:
        VlalignError: text, objects, complex or masked values, rows of unequal lengths, or a column that numbers the
            rows; the message names the place.
    """
    tensor = _convert(value, what)
    if tensor.is_complex():
        raise VlalignError(f"{what} holds complex numbers: give real ones")
    if tensor.layout != torch.strided or tensor.is_meta:
        raise VlalignError(f"{what} must be dense, got {tensor.layout} on {tensor.device}: call .to_dense() first")
    if tensor.is_floating_point():
        return tensor
    log.warning(
        "%s holds integers (%s), used as numbers: codes of categories are no embeddings",
        what, str(tensor.dtype).removeprefix("torch."),
    )  # fmt: skip
    exact_in_float32 = (torch.bool, torch.uint8, torch.int8, torch.int16)
    return tensor.to(torch.float32 if tensor.dtype in exact_in_float32 else torch.float64)


def _convert(value: Any, what: str) -> Tensor:
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, np.ndarray):
        return _from_numpy(value, what)
    match package_of(value := without_ids(value)):
        case "pandas":
            return _from_pandas(value, what)
        case "polars":
            return _from_arrow(value.to_arrow(), what)
        case "pyarrow":
            return _from_arrow(value, what)
        case "datasets":
            name = getattr(value, "column_name", None)
            if isinstance(name, str):
                return _from_arrow(value.source.select_columns(name).with_format("arrow")[:][name], what)
            raise VlalignError(f"{what} is a whole data set: give one column, as dataset['embedding']")
        case "scipy":
            raise VlalignError(f"{what} is a sparse matrix: call .toarray() first")
    if hasattr(value, "__dlpack__"):
        return torch.from_dlpack(value)
    if hasattr(value, "__array__"):
        return _from_numpy(np.asarray(value), what)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return _from_rows(value, what)
    file = " (vlalign.read_embeddings reads a file)" if isinstance(value, str | PurePath) else ""
    raise VlalignError(
        f"{what} holds no numbers: give a run, an array or a list of arrays, not {type(value).__name__}{file}"
    )


def _from_numpy(array: np.ndarray, what: str) -> Tensor:
    if isinstance(array, np.ma.MaskedArray):
        if array.mask.any():
            raise VlalignError(f"{what} has masked values: fill them or leave their samples out first")
        array = array.data
    if array.dtype.name == "bfloat16":  # of ml_dtypes, as JAX saves it
        return _from_numpy(array.view(np.int16), what).view(torch.bfloat16)
    if array.dtype.kind == "c":
        raise VlalignError(f"{what} holds complex numbers: give real ones")
    if array.dtype.kind not in "fiub":
        held = f" (first: {type(array.flat[0]).__name__})" if array.dtype == object and array.size else ""
        raise VlalignError(
            f"{what} is an array of {array.dtype.name}{held}, not of numbers: np.stack makes one of vectors"
        )
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if any(stride < 0 for stride in array.strides):
        array = np.ascontiguousarray(array)
    if array.dtype in (np.uint16, np.uint32, np.uint64):
        array = array.astype(np.float64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nothing here writes into it
        return torch.from_numpy(array)


def _from_pandas(value: Any, what: str) -> Tensor:
    from pandas import DataFrame
    from pandas.api.types import is_numeric_dtype

    if not isinstance(value, DataFrame):
        return _from_rows(value.tolist(), what)
    if value.shape[1] == 1 and not is_numeric_dtype(value.dtypes.iloc[0]):
        return _from_rows(value.iloc[:, 0].tolist(), f"{what}, column {value.columns[0]!r}")
    for name, kind in value.dtypes.items():
        if not is_numeric_dtype(kind):
            raise VlalignError(f"{what}: column {name!r} holds {kind}, not numbers: leave it out")
    kinds = [str(kind).lower() for kind in value.dtypes]
    whole = [i for i, kind in enumerate(kinds) if "int" in kind] if any("float" in kind for kind in kinds) else []
    for i in whole:
        _refuse_counter(value.iloc[:, i], value.columns[i], what)
    if any(not isinstance(kind, np.dtype) for kind in value.dtypes):
        return _from_numpy(value.to_numpy(dtype=np.float64, na_value=np.nan), what)
    return _from_numpy(value.to_numpy(), what)


def _from_arrow(value: Any, what: str) -> Tensor:
    """Return an Arrow array or table as a tensor; lists are further dimensions, missing numbers are NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(value, pa.Table | pa.RecordBatch):
        names = value.column_names
        if len(names) == 1:
            return _from_arrow(value.column(0), f"{what}, column {names[0]!r}")
        for field in value.schema:
            if not (pa.types.is_integer(field.type) or pa.types.is_floating(field.type)):
                raise VlalignError(f"{what}: column {field.name!r} holds {field.type}, not numbers: choose columns")
        if any(pa.types.is_floating(field.type) for field in value.schema):
            for field in value.schema:
                if pa.types.is_integer(field.type):
                    _refuse_counter(value.column(field.name), field.name, what)
        return torch.stack([_from_arrow(value.column(i), what) for i in range(len(names))], dim=1)
    array = value.combine_chunks() if isinstance(value, pa.ChunkedArray) else value
    if isinstance(array, pa.ChunkedArray):  # of no or several chunks that cannot be joined
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], type=array.type)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    sizes: list[int] = []
    rows = len(array)
    while pa.types.is_nested(array.type):
        if array.null_count:
            row = pc.index(array.is_null(), True).as_py() // int(np.prod(sizes, initial=1))
            raise VlalignError(f"{what}: row {row} (from 0) is missing")
        if pa.types.is_fixed_size_list(array.type):
            sizes.append(array.type.list_size)
        elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
            lengths = pc.list_value_length(array).to_numpy()
            if len(lengths) and (lengths != lengths[0]).any():
                i = int(np.flatnonzero(lengths != lengths[0])[0])
                _unequal(what, i // int(np.prod(sizes, initial=1)), int(lengths[i]), int(lengths[0]))
            sizes.append(int(lengths[0]) if len(lengths) else 0)
        else:
            raise VlalignError(f"{what} holds {array.type}, not numbers")
        array = array.flatten()
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        raise VlalignError(f"{what} holds {array.type}, not numbers")
    return _from_numpy(array.to_numpy(zero_copy_only=False).reshape(rows, *sizes), what)


def _refuse_counter(column: Any, name: Any, what: str) -> None:
    """Refuse a column of whole numbers that numbers the rows: each of N following numbers once."""
    values = np.asarray(column.to_numpy(), dtype=np.float64)
    if len(values) > 1 and (np.diff(np.sort(values)) == 1).all():
        raise VlalignError(f"{what}: column {name!r} numbers the rows: name it id if it holds ids, or leave it out")


def _from_rows(rows: Sequence[Any], what: str) -> Tensor:
    """Return rows (numbers, vectors or lists of vectors) as one tensor."""
    if all(isinstance(row, int | float | list | tuple | np.ndarray) for row in rows):
        with contextlib.suppress(ValueError):  # of unequal lengths: named below
            array = np.asarray(rows)
            if array.dtype != object:
                return _from_numpy(array, what)
    tensors = [_convert(row, f"{what}, row {i}") for i, row in enumerate(rows)]
    for i, row in enumerate(tensors):
        if row.shape != tensors[0].shape:
            _unequal(what, i, row.shape[-1] if row.ndim else 0, tensors[0].shape[-1] if tensors[0].ndim else 0)
    return torch.stack(tensors)


def _unequal(what: str, row: int, length: int, first: int) -> None:
    raise VlalignError(f"{what}: row {row} (from 0) has {length} values and row 0 has {first}: give rows of one length")


def _is_vector(value: Any) -> bool:
    """Return whether an entry of a list is a number or a row of numbers, so that the list is one layer."""
    if isinstance(value, int | float | np.number):
        return True
    ndim = getattr(value, "ndim", None)
    if ndim is not None:
        return int(ndim) < 2 and package_of(value) not in ("pandas", "polars")
    if isinstance(value, list | tuple):
        return not value or isinstance(value[0], int | float | np.number)
    return False


class LazyLayer:
    """A layer [N, D] on the CPU whose rows are computed when they are read, so that it is never held as a whole.

    Args:
        read: returns the rows [n, D] that a slice (without a step) or an index tensor [n] selects, in a new tensor.
        shape: (N, D).
        dtype: of the rows, float32 or float64.
    """

    def __init__(self, read: Callable[[slice | Tensor], Tensor], shape: Sequence[int], dtype: torch.dtype) -> None:
        self._read = read
        self.shape = torch.Size(shape)
        self.dtype = dtype
        self.device = torch.device("cpu")

    @classmethod
    def of(cls, layer: Tensor) -> LazyLayer:
        """Read the rows of a tensor in float32, or in float64 if it is that."""
        dtype = layer.dtype if layer.dtype == torch.float64 else torch.float32
        return cls(lambda rows: layer[rows].to(dtype, copy=True), layer.shape, dtype)

    @classmethod
    def concatenate(cls, layers: Sequence[Tensor | LazyLayer]) -> LazyLayer:
        """Concatenate layers [N, D_l] of one dtype along their dimensions."""
        width = sum(layer.shape[1] for layer in layers)
        return cls(
            lambda rows: torch.cat([layer[rows] for layer in layers], dim=1), (len(layers[0]), width), layers[0].dtype
        )

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        return self._read(rows)

    def take(self, order: Tensor) -> LazyLayer:
        """Return the layer with other rows: new row i is row ``order[i]``."""
        return LazyLayer(lambda rows: self[order[rows]], (len(order), self.shape[1]), self.dtype)

    def element_size(self) -> int:
        """Return the bytes of a value."""
        return self.dtype.itemsize

    def clamp(self, least: float, most: float) -> LazyLayer:
        """Return the layer with its values clamped."""
        return LazyLayer(lambda rows: self[rows].clamp_(least, most), self.shape, self.dtype)

    def double(self) -> LazyLayer:
        """Return the layer in float64."""
        return LazyLayer(lambda rows: self[rows].double(), self.shape, torch.float64)

    def __truediv__(self, divisors: Tensor) -> LazyLayer:
        """Return the layer with its rows divided by ``divisors`` [N, 1]."""
        return LazyLayer(lambda rows: self[rows].div_(divisors[rows]), self.shape, self.dtype)

    def whole(self, device: torch.device | None = None) -> Tensor:
        """Return the layer [N, D] as a tensor, on ``device`` if given."""
        out = torch.empty(self.shape, dtype=self.dtype, device=device)
        for start, part in row_blocks(self):
            out[start : start + len(part)] = part
        return out


class DelayedLayer:
    """A layer [N, D] that is computed each time it is used, so that many layers need not be held at once.

    Args:
        compute: returns the layer.
        shape: (N, D).
        keeps_lists: keep the longest neighbour lists that were searched, from which shorter ones are taken.
        lists: neighbour lists that are known already; None for none.
    """

    def __init__(
        self,
        compute: Callable[[], Tensor | LazyLayer],
        shape: Sequence[int],
        keeps_lists: bool = False,
        lists: Any = None,
    ) -> None:
        self.compute = compute
        self.shape = torch.Size(shape)
        self.keeps_lists = keeps_lists
        self.lists = lists

    def __len__(self) -> int:
        return self.shape[0]


def row_blocks(layer: Tensor | LazyLayer) -> Iterator[tuple[int, Tensor]]:
    """Yield the number of the first row and the rows of each block of a layer [N, D].

    Blocks are small, so that little of a mapped file is held at once, and computed rows stay in the processor's cache.
    """
    held = _BLOCK_BYTES if isinstance(layer, torch.Tensor) else _COMPUTED_BYTES
    step = max(1, held // max(1, layer.shape[1] * layer.element_size()))
    for start in range(0, len(layer), step):
        yield start, layer[start : start + step]


def whole(layer: Tensor | LazyLayer) -> Tensor:
    """Return a layer as a tensor."""
    return layer if isinstance(layer, torch.Tensor) else layer.whole()


def varying_columns(x: Tensor) -> Tensor:
    """Return which columns of features [N, D] vary by more than the rounding of their dtype, bool [D]."""
    largest = x.abs().amax(dim=0)
    return (x / largest.where(largest > 0, 1)).std(dim=0, correction=0) > ROUNDING * torch.finfo(x.dtype).eps


def as_float32(x: Tensor) -> Tensor:
    """Return features [N, D] as float32, for models that standardise columns.

    Columns that vary by less than 1e-5 of their largest value, or whose largest value is below 1e-12 or above 1e12, are
    standardised: float32 would lose their differences, or squares of them.
    """
    result = x.float()
    for start in range(0, x.shape[1], _COLUMNS):
        part = x[:, start : start + _COLUMNS]
        varies, part = varying_columns(part), part.double()
        largest = part.abs().amax(dim=0)
        part = part / largest.where(largest > 0, 1)
        sd = part.std(dim=0, correction=0)
        far = torch.nonzero(varies & ((sd < _FAR) | (largest < _TINY) | (largest > 1 / _TINY))).flatten()
        if len(far):
            result = result.clone() if result is x else result
            result[:, start + far] = ((part[:, far] - part[:, far].mean(dim=0)) / sd[far]).float()
    return result


def content_digest(layers: Sequence[Tensor], head: str = "") -> str:
    """Return the SHA-256 of the types, shapes and values of layers, after a text, in hexadecimal digits."""
    content = hashlib.sha256(head.encode())
    for layer in layers:
        content.update(f"{layer.dtype} {list(layer.shape)}".encode())
        for _, part in row_blocks(layer):
            content.update(part.cpu().contiguous().view(torch.uint8).numpy().data)
    return content.hexdigest()


def refuse_infinite(layer: Tensor, what: str) -> None:
    """Check that all values of a layer [N, D] are finite in float32.

    Raises:
        VlalignError: the message names the row.
    """
    for start, part in row_blocks(layer):
        finite = torch.isfinite(part.float()).all(dim=1)
        if not bool(finite.all()):
            row = start + int(torch.nonzero(~finite)[0, 0])
            raise VlalignError(f"a value of {what} is not finite (first in row {row}): leave that sample out")
