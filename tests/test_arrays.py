"""Whatever holds numbers becomes the same layers, for every metric and for a score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

import vlalign
from vlalign.arrays import as_layers, as_tensor
from vlalign.errors import VlalignError
from vlalign.metrics.registry import get_metric, metric_names
from vlalign.row_ids import index_ids

VALUES = np.random.default_rng(0).normal(size=(24, 6)).astype(np.float32)


class Exported:
    """An array of a library that shares memory by DLPack alone, as JAX does."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = torch.from_numpy(values.copy())

    def __dlpack__(self, **options: Any) -> Any:
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._values.__dlpack_device__()


class Convertible:
    """An array that NumPy can convert."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._values if dtype is None else self._values.astype(dtype)


def _read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


#: one object of each kind; all hold the same numbers [N, D]
KINDS: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": lambda x: x,
    "numpy, read-only": _read_only,
    "numpy, foreign bytes": lambda x: x.astype(">f4"),
    "numpy, backwards": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "numpy, Fortran order": np.asfortranarray,
    "numpy, masked": lambda x: np.ma.masked_array(x, mask=np.zeros_like(x, dtype=bool)),
    "numpy, long double": lambda x: x.astype(np.longdouble),
    "torch": torch.from_numpy,
    "torch, with gradient": lambda x: torch.from_numpy(x).clone().requires_grad_(),
    "pandas frame": pd.DataFrame,
    "pandas frame, nullable": lambda x: pd.DataFrame(x).convert_dtypes(),
    "pandas series of vectors": lambda x: pd.Series(list(x)),
    "pandas frame of a column of vectors": lambda x: pd.DataFrame({"embedding": list(x)}),
    "polars frame": lambda x: pl.DataFrame(x),
    "polars series of lists": lambda x: pl.Series(x.tolist(), dtype=pl.List(pl.Float32)),
    "polars series of arrays": lambda x: pl.Series("e", x, dtype=pl.Array(pl.Float32, x.shape[1])),
    "arrow array of lists": lambda x: pa.array(x.tolist(), type=pa.list_(pa.float32())),
    "arrow array, sliced": lambda x: pa.array([[9.0] * x.shape[1], *x.tolist()], type=pa.list_(pa.float32()))[1:],
    "arrow array of fixed lists": lambda x: pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1]),
    "arrow fixed lists, sliced": lambda x: pa.FixedSizeListArray.from_arrays(
        pa.array(np.concatenate([x[:1], x]).ravel()), x.shape[1]
    )[1:],
    "arrow chunks": lambda x: pa.chunked_array([pa.array(part.tolist()) for part in (x[:5], x[5:])]),
    "arrow table": lambda x: pa.table({f"d{i}": x[:, i] for i in range(x.shape[1])}),
    "datasets column": lambda x: datasets.Dataset.from_dict({"e": x.tolist(), "t": ["a"] * len(x)})["e"],
    "datasets column, selected": lambda x: datasets.Dataset.from_dict({"e": [*x.tolist(), x[0].tolist()]}).select(
        range(len(x))
    )["e"],
    "dlpack": Exported,
    "array interface": Convertible,
    "lists": lambda x: x.tolist(),
    "list of arrays": list,
    "list of tensors": lambda x: list(torch.from_numpy(x)),
    "tuple of tuples": lambda x: tuple(map(tuple, x.tolist())),
}
kinds = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


@kinds
def test_every_kind_holds_the_same_numbers(make: Callable[[np.ndarray], Any]) -> None:
    tensor = as_tensor(make(VALUES), "x")
    assert not tensor.requires_grad
    np.testing.assert_allclose(tensor.numpy(), VALUES, rtol=1e-7)
    (layer,), names = as_layers(make(VALUES), "x")
    assert (list(layer.shape), names) == ([24, 6], ["layer_0"])


@kinds
def test_a_score_takes_every_kind(make: Callable[[np.ndarray], Any]) -> None:
    options = {"k": 3, "permutations": 0, "half_samples": 0}
    whole = vlalign.score(VALUES, -VALUES[:, :4], **options)
    assert vlalign.score(make(VALUES), make(-VALUES[:, :4]), **options).matrix == whole.matrix
    layers = vlalign.score([make(VALUES), make(VALUES[:, :3])], make(-VALUES[:, :4]), **options)
    assert [row[:1] for row in layers.matrix][:1] == whole.matrix
    assert len(layers.matrix) == 2


@pytest.mark.parametrize("name", metric_names())
def test_every_metric_takes_every_kind(name: str) -> None:
    metric = get_metric(name, **({"k": 3} if "k" in get_metric(name).params else {}))
    value = metric.evaluate(VALUES, -VALUES[:, :4])
    for make in KINDS.values():
        assert metric.evaluate(make(VALUES), make(-VALUES[:, :4])) == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numbers_keep_their_precision(dtype: str) -> None:
    tensor = as_tensor(VALUES.astype(dtype), "x")
    assert str(tensor.dtype) == f"torch.{dtype}"
    assert np.shares_memory(tensor.numpy(), as_tensor(tensor.numpy(), "x").numpy())


def test_bfloat16_of_numpy() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    tensor = as_tensor(VALUES.astype(ml_dtypes.bfloat16), "x")
    assert tensor.dtype == torch.bfloat16
    assert torch.equal(tensor, torch.from_numpy(VALUES).bfloat16())


def test_layers_of_three_dimensions_and_of_mappings() -> None:
    cube = np.stack([VALUES, 2 * VALUES], axis=1)
    for value in (cube, torch.from_numpy(cube), pa.array(cube.tolist()), cube.tolist(), list(cube)):
        if isinstance(value, list) and isinstance(value[0], np.ndarray):
            continue  # a list of [N, D] is a list of layers
        layers, names = as_layers(value, "x") if not isinstance(value, list) else as_layers(np.asarray(value), "x")
        assert names == ["layer_0", "layer_1"]
        np.testing.assert_allclose(layers[1].numpy(), 2 * VALUES, rtol=1e-7)
    layers, names = as_layers({"early": VALUES, "late": VALUES[:, :2]}, "x")
    assert (names, [layer.shape[1] for layer in layers]) == (["early", "late"], [6, 2])


def test_integers_are_used_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    tensor = as_tensor(np.arange(12, dtype=np.int8).reshape(4, 3), "codes.npy")
    assert tensor.dtype == torch.float32
    assert "codes.npy holds integers (int8)" in caplog.text
    big = np.array([[2**31 + 1]], dtype=np.uint32)
    assert as_tensor(big, "x").item() == 2**31 + 1


def test_the_index_of_a_frame_is_its_ids() -> None:
    frame = pd.DataFrame(VALUES, index=[f"s{i}" for i in range(24)])
    assert index_ids(frame) == [f"s{i}" for i in range(24)]
    assert index_ids(frame[0]) is not None
    assert index_ids(pd.DataFrame(VALUES)) is None
    assert index_ids(VALUES) is None
    shuffled = frame.sample(frac=1, random_state=0)
    record = vlalign.score(frame, shuffled, k=3, permutations=0, half_samples=0)
    assert (record.pairing["by"], record.score) == ("id", 1.0)
    # one side without ids: rows are pairs, with a note
    record = vlalign.score(frame, VALUES, k=3, permutations=0, half_samples=0)
    assert record.pairing["by"] == "row"
    assert "rows are paired by their order: x has ids or an index, and y has none" in record.checks["notes"]


ORDERS: dict[str, Any] = {
    "shuffled": lambda frame: frame.sample(frac=1, random_state=0),
    "sorted": lambda frame: frame.sort_values(frame.columns[-1]),
    "reversed": lambda frame: frame[::-1],
}


@pytest.mark.parametrize("order", ORDERS)
def test_row_numbers_in_another_order_are_ids(order: str) -> None:
    frame = pd.DataFrame(VALUES)
    other = ORDERS[order](frame)
    for x, y in ((frame, other), (other, frame), ({"a": frame, "b": frame}, {"a": other})):
        record = vlalign.score(x, y, k=3, permutations=0, half_samples=0)
        assert (record.pairing["by"], record.score) == ("id", 1.0)
    same = vlalign.score(frame, frame, k=3, permutations=0, half_samples=0)
    assert same.pairing["by"] == "row"
    assert not any("their order" in note for note in same.checks["notes"])


def test_indexes_that_are_not_the_same_ids_are_refused() -> None:
    frame, twice = pd.DataFrame(VALUES), pd.DataFrame(VALUES, index=[i // 2 for i in range(24)])
    assert vlalign.score(twice, twice, k=3, permutations=0, half_samples=0).score == 1
    for x, y in (
        (frame, frame.set_axis([f"s{i}" for i in range(24)])),
        (frame[:12], frame[6:18]),
        (frame, twice),
        (twice, ORDERS["shuffled"](twice)),
    ):
        with pytest.raises(VlalignError, match="differ and are not the same ids in another order: give both the same"):
            vlalign.score(x, y, k=3)
    with pytest.raises(VlalignError, match="its layers have their rows in different orders"):
        vlalign.score([frame, ORDERS["shuffled"](frame)], frame, k=3)
    with pytest.raises(VlalignError, match="x and y have different indexes"):
        vlalign.metrics.mutual_knn(frame, ORDERS["shuffled"](frame), k=3)
    with pytest.raises(VlalignError, match="x and y have different indexes"):
        vlalign.metrics.cka(frame, ORDERS["reversed"](frame))


def with_column(name: str) -> pd.DataFrame:
    """Return a frame whose first column numbers the rows."""
    frame = pd.DataFrame(VALUES, columns=[f"e{i}" for i in range(VALUES.shape[1])])
    frame.insert(0, name, range(24))
    return frame


TABLES: dict[str, Any] = {"pandas": lambda frame: frame, "polars": pl.from_pandas, "arrow": pa.Table.from_pandas}


@pytest.mark.parametrize("kind", TABLES)
def test_the_column_id_is_the_ids_and_no_feature(kind: str) -> None:
    frame = with_column("id")
    x, y = (TABLES[kind](one) for one in (frame, ORDERS["shuffled"](frame)))
    record = vlalign.score(x, y, k=3, permutations=0, half_samples=0)
    assert (record.pairing["by"], record.score, record.axes["y"][0]["width"]) == ("id", 1.0, VALUES.shape[1])
    assert as_tensor(x, "x").shape == VALUES.shape
    with pytest.raises(VlalignError, match="x has ids and y has none"):
        vlalign.score(x, VALUES, k=3)
    with pytest.raises(VlalignError, match="x and y have different indexes"):
        vlalign.metrics.mutual_knn(x, y, k=3)


def test_an_index_in_a_column_is_no_feature() -> None:
    frame = with_column("Unnamed: 0")
    record = vlalign.score(frame, VALUES, k=3, permutations=0, half_samples=0)
    assert (record.pairing["by"], record.score, record.axes["x"][0]["width"]) == ("row", 1.0, VALUES.shape[1])
    named = pa.Table.from_pandas(ORDERS["shuffled"](with_column("sku").set_index("sku")))
    assert sorted(index_ids(named) or ()) == sorted(map(str, range(24)))
    assert as_tensor(named, "x").shape == VALUES.shape
    for table in (with_column("index"), pl.from_pandas(ORDERS["shuffled"](with_column("index")))):
        with pytest.raises(VlalignError, match="x: column 'index' numbers the rows: name it id if it holds ids"):
            as_tensor(table, "x")


BAD: dict[str, tuple[Any, str]] = {
    "text": ("image", "x holds no numbers: give a run, an array or a list of arrays, not str \\(vlalign.read_emb"),
    "an object": (object(), "x holds no numbers"),
    "objects": (np.array([[1, None]], dtype=object), r"x is an array of object \(first: int\), not of numbers"),
    "strings": (np.array([["a"], ["b"]]), "not of numbers"),
    "complex": (np.ones((2, 2), dtype=complex), "complex numbers"),
    "complex tensor": (torch.ones(2, 2, dtype=torch.complex64), "complex numbers"),
    "sparse tensor": (torch.eye(3).to_sparse(), "must be dense"),
    "masked": (np.ma.masked_array(VALUES, mask=VALUES > 0), "masked values"),
    "a text column": (pd.DataFrame({"a": [1.0], "b": ["t"]}), "column 'b' holds (str|object), not numbers"),
    "a text column of Polars": (pl.DataFrame({"a": [1.0], "b": ["t"]}), "column 'b' holds (large_)?string"),
    "unequal rows": ([[1.0, 2.0], [3.0]], r"x: row 1 \(from 0\) has 1 values and row 0 has 2"),
    "unequal lists": (pa.array([[1.0, 2.0], [3.0]]), r"x: row 1 \(from 0\) has 1 values and row 0 has 2"),
    "a missing row": (pa.array([[1.0], None]), r"x: row 1 \(from 0\) is missing"),
    "a column of text": (pa.array(["a", "b"]), "x holds string, not numbers"),
    "a whole data set": (datasets.Dataset.from_dict({"e": [[1.0]]}), "give one column"),
    "no layers": ([], "x has no layers"),
    "one vector": (VALUES[0], r"must be \[N, D\] or \[N, L, D\], got shape \[6\]"),
    "layers that differ": ([VALUES, VALUES[:5]], r"layer_0 is \[24, 6\] and layer_1 is \[5, 6\]"),
}


@pytest.mark.parametrize(("value", "message"), BAD.values(), ids=BAD)
def test_bad_values_are_one_line(value: Any, message: str) -> None:
    with pytest.raises(VlalignError, match=message) as caught:
        as_layers(value, "x")
    assert "\n" not in str(caught.value)


def test_sparse_matrices_of_scipy() -> None:
    from scipy.sparse import csr_matrix

    with pytest.raises(VlalignError, match="sparse"):
        as_layers(csr_matrix(VALUES), "x")
