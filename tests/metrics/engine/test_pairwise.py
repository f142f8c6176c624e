"""Inner products of matrices of sample pairs: blocks, permutations, sides of any length."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vlalign.metrics.engine import pairwise
from vlalign.metrics.engine.pairwise import PairMatrix, cosines, cosines_permuted


def matrices(count: int, n: int, seed: int) -> list[PairMatrix]:
    generator = torch.Generator().manual_seed(seed)
    made = [torch.randn(n, n, generator=generator) for _ in range(count)]
    return [PairMatrix.of(matrix + matrix.T) for matrix in made]


@pytest.mark.parametrize("sides", [(3, 2), (2, 3)])
@pytest.mark.parametrize("entries", [1, 70, 2**17])
def test_permuted_products(sides: tuple[int, int], entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairwise, "_BLOCK_ENTRIES", entries)
    monkeypatch.setattr(pairwise, "_PERMUTED_BYTES", 4 * entries)
    n = 17
    x, y = matrices(sides[0], n, 0), matrices(sides[1], n, 1)
    orders = np.stack([np.random.default_rng(i).permutation(n) for i in range(4)])
    found = cosines_permuted(x, y, orders)
    for p, order in enumerate(orders):
        for i, a in enumerate(x):
            for j, b in enumerate(y):
                expected = (a.matrix.numpy() * b.matrix.numpy()[np.ix_(order, order)]).sum(dtype=np.float64)
                expected /= np.linalg.norm(a.matrix) * np.linalg.norm(b.matrix)
                assert found[p, i, j] == pytest.approx(expected, abs=1e-6)
        assert cosines(x, [b.reorder(order) for b in y]) == pytest.approx(found[p], abs=1e-6)


def test_norm_and_sums() -> None:
    (side,) = matrices(1, 9, 0)
    whole = side.matrix.double().numpy()
    assert side.norm == pytest.approx(np.linalg.norm(whole), rel=1e-6)
    whole = whole / side.norm
    off = whole - np.diag(np.diag(whole))
    assert side.sums.total == pytest.approx(off.sum(), abs=1e-6)
    assert side.sums.squares == pytest.approx((off**2).sum(), abs=1e-6)
    assert side.sums.rows == pytest.approx((off.sum(axis=1) ** 2).sum() - (off**2).sum(), abs=1e-6)
    assert side.sums.trace == pytest.approx(np.trace(whole), abs=1e-6)
    assert PairMatrix.of(side.matrix.clone(), rows=off.sum(axis=1) * side.norm).sums.total == pytest.approx(
        side.sums.total, abs=1e-6
    )
    zero = PairMatrix.of(torch.full((4, 4), 1e-9), smallest=1e-6)
    assert zero.matrix.abs().max() == 0
    assert (zero.norm, zero.sums.squares) == (0, 0)
    assert cosines([zero], [zero]) == 0
