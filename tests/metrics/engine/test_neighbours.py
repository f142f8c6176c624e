"""Neighbours: equal to a sort in plain Python, whatever the ties, block size and path."""

from __future__ import annotations

import itertools
from hashlib import sha256

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics import knn
from vlalign.metrics.engine import neighbours
from vlalign.metrics.engine.neighbours import search_on_cpu, search_on_device
from vlalign.metrics.engine.threads import map_layers, scratch
from vlalign.metrics.engine.ties import TieBreaking, row_labels


def slow_seed(x: Tensor, side: str) -> int:
    """From the number of each row's first identical one, without gaps, and the column where each row is largest."""
    number: dict[tuple[float, ...], int] = {}
    labels = [number.setdefault(tuple(row), len(number)) for row in x.tolist()]
    largest = [row.index(max(row)) for row in x.tolist()]
    digest = sha256(b"vlalign ties" + b"".join(value.to_bytes(8, "little") for value in labels + largest)).digest()
    return int.from_bytes(digest[:8] if side == "x" else digest[8:16], "big")


def slow_hash(i: int, j: int, seed: int) -> int:
    """SplitMix64's mixing of two row numbers and a seed."""
    bits = (i << 32) ^ j ^ seed
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % 2**64
    return bits ^ (bits >> 31)


def slow_knn(x: Tensor, k: int, side: str = "x") -> list[list[int]]:
    """Sort all others by inner product, larger first, then by hash."""
    products = (x.double() @ x.double().T).tolist()
    seed = slow_seed(x, side)
    rows = []
    for i, row in enumerate(products):
        others = [j for j in range(len(row)) if j != i]
        rows.append(sorted(others, key=lambda j: (-row[j], slow_hash(i, j, seed)))[:k])
    return rows


def whole_numbers(n: int, d: int, seed: int, spread: int = 3) -> Tensor:
    """Features whose inner products are exact in every dtype, with many ties."""
    return torch.randint(-spread, spread + 1, (n, d), generator=torch.Generator().manual_seed(seed)).float()


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 90), st.integers(1, 6), st.integers(0, 10**6), st.integers(0, 3), st.data())
def test_equals_slow_reference_with_ties(n: int, d: int, seed: int, spread: int, data: st.DataObject) -> None:
    x = whole_numbers(n, d, seed, spread)
    k = data.draw(st.integers(1, n - 1))
    block = data.draw(st.none() | st.integers(1, n + 3))
    for side in ("x", "y"):
        assert knn(x, k, side=side, block=block).tolist() == slow_knn(x, k, side)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_dtypes(dtype: torch.dtype) -> None:
    x = whole_numbers(50, 4, 0).to(dtype)
    found = knn(x, 7)
    assert found.dtype == torch.int64
    assert found.tolist() == slow_knn(x, 7)


def test_float64_is_not_rounded() -> None:
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0 + 1e-12, 0.0]], dtype=torch.float64)
    assert knn(x, 1).flatten().tolist()[:2] == [2, 2]


@pytest.mark.parametrize("kind", ["random", "duplicates", "sorted classes", "constant", "zero"])
def test_large_enough_for_column_groups(kind: str) -> None:
    n = 460  # more than twice the groups for k = 70
    x = whole_numbers(n, 5, 1, 50)
    if kind == "duplicates":
        x = x[:46].repeat(10, 1)
    elif kind == "sorted classes":
        x = x[:23].repeat_interleave(20, 0) + torch.arange(n).unsqueeze(1).remainder(3)
    elif kind in ("constant", "zero"):
        x = torch.full((n, 5), 2.0 if kind == "constant" else 0.0)
    expected = slow_knn(x, 70, "y")
    for k, block in itertools.product((1, 10, 70), (None, 33, 256)):
        assert knn(x, k, side="y", block=block).tolist() == [row[:k] for row in expected]


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 200), st.integers(0, 10**6), st.integers(1, 20), st.data())
def test_accelerator_path_equals_cpu_path(n: int, seed: int, spread: int, data: st.DataObject) -> None:
    x = whole_numbers(n, 3, seed, spread)
    k = data.draw(st.integers(1, n - 1))
    products = (x @ x.T).fill_diagonal_(-torch.inf)
    found = []
    for search in (search_on_cpu, search_on_device):
        out = torch.full((n, k), -1)
        tied = {
            int(row): (a.tolist(), b.tolist())
            for part in search(products, out, 5, TieBreaking(x, row_labels(x)))
            for row, a, b in zip(*part, strict=True)
        }
        found.append([tied.get(i + 5, (lists, lists)) for i, lists in enumerate(out.tolist())])
    assert found[0] == found[1]


def test_block_size_does_not_matter_on_real_valued_features() -> None:
    x = torch.nn.functional.normalize(torch.randn(600, 24, generator=torch.Generator().manual_seed(0)))
    whole = knn(x, 10)
    for block in (64, 100, 599):
        assert torch.equal(whole, knn(x, 10, block=block))


def test_never_itself_and_never_twice() -> None:
    found = knn(torch.ones(40, 3), 39)
    for i, row in enumerate(found.tolist()):
        assert sorted(row) == [j for j in range(40) if j != i]


def test_small_search_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x = whole_numbers(100, 4, 3)
    monkeypatch.setattr(neighbours, "_SEARCH_BYTES", 1)
    assert knn(x, 9).tolist() == slow_knn(x, 9)


def test_more_rows_than_a_tile() -> None:
    x = whole_numbers(neighbours._TILE + 37, 4, 5, 30)
    assert knn(x, 4).tolist() == slow_knn(x, 4)


BAD = [
    (torch.ones(4), 1, r"must be \[N, D\]"),
    (torch.ones(4, 2, 2), 1, r"must be \[N, D\]"),
    (torch.ones(4, 0), 1, r"must be \[N, D\]"),
    (torch.ones(4, 2, dtype=torch.complex64), 1, "complex"),
    (np.array([["a"], ["b"]]), 1, "not of numbers"),
    (torch.ones(4, 2), 0, "k=0"),
    (torch.ones(4, 2), None, "k=None"),
    (torch.ones(4, 2), "3", "k='3'"),
    (torch.ones(4, 2), 3.0, "k=3.0"),
    (torch.ones(4, 2), True, "k=True"),
    (torch.ones(4, 2), 10**30, "N=4"),
    (torch.ones(4, 2), 4, "k=4 with N=4"),
    (torch.ones(4, 2), -1, "k=-1"),
    (torch.tensor([[1.0], [float("nan")], [2.0]]), 1, "row 1"),
    (torch.tensor([[1.0], [2.0], [float("-inf")]]), 1, "row 2"),
    (torch.tensor([[1e30], [-1e30], [1.0]]), 1, "overflow"),
]


@pytest.mark.parametrize(("x", "k", "says"), BAD)
def test_bad_input_is_one_line(x: Tensor, k: int, says: str) -> None:
    with pytest.raises(VlalignError, match=says) as error:
        knn(x, k)
    assert "\n" not in str(error.value)


def test_layers_run_in_order_and_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert map_layers(lambda i: (i, torch.get_num_threads()), range(7)) == [(i, 1) for i in range(7)]
        assert torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError):
            map_layers(lambda i: 1 // i, range(3))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    cpu = torch.device("cpu")
    assert scratch((2,), torch.float32, cpu).data_ptr() != scratch((3,), torch.float32, cpu).data_ptr()
