"""RSA against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, spearmanr
from support.inputs import KINDS, pair_of

from vlalign.errors import VlalignError
from vlalign.metrics.definitions.rsa import Rsa, dissimilarities, rsa


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("distance", ["correlation", "cosine", "euclidean"])
@pytest.mark.parametrize("compare", ["spearman", "pearson"])
def test_definition(kind: str, distance: str, compare: str) -> None:
    x, y = pair_of(kind)
    a, b = (pdist(side.double().numpy(), distance) for side in (x, y))
    a, b = (np.round(side / side.max(), 12) for side in (a, b))  # so that equal distances are equal
    expected = (spearmanr if compare == "spearman" else pearsonr)(a, b).statistic
    assert rsa(x, y, compare, distance) == pytest.approx(expected, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(4, 30), width=st.integers(2, 12), scale=st.floats(1e-3, 1e3))
def test_invariances(seed: int, n: int, width: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, width, generator=generator, dtype=torch.float64)
    y = torch.randn(n, 5, generator=generator, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64)).Q
    order = torch.randperm(n, generator=generator)
    value = rsa(x, y, "pearson", "cosine")
    assert rsa(scale * x @ rotation, y, "pearson", "cosine") == pytest.approx(value, abs=1e-9)
    assert rsa(y, x, "pearson", "cosine") == pytest.approx(value, abs=1e-9)
    assert rsa(x[order], y[order], "pearson", "cosine") == pytest.approx(value, abs=1e-9)
    if width > 2:  # correlations of two values are 1 or -1, up to rounding
        shifted = scale * x + torch.randn(n, 1, generator=generator, dtype=torch.float64)
        assert rsa(shifted, y) == pytest.approx(rsa(x, y), abs=1e-9)
        assert rsa(x, x) == pytest.approx(1, abs=1e-9)


def test_moments_are_those_of_the_mantel_test() -> None:
    for metric in (Rsa(), Rsa("pearson", "euclidean")):
        x, y = (metric.prepare(side) for side in pair_of("aligned", n=20))
        moments = metric.moments([x], [y])
        assert moments.sd is not None
        orders = np.stack([np.random.default_rng(i).permutation(20) for i in range(4000)])
        values = metric.permuted([x], [y], orders)[:, 0, 0]
        assert moments.mean[0, 0] == pytest.approx(0, abs=1e-7)
        assert abs(values.mean()) < 4 * moments.sd[0, 0] / 4000**0.5
        assert values.std() == pytest.approx(moments.sd[0, 0], rel=0.06)


def test_degenerate_rows_and_features() -> None:
    x, y = pair_of("random")
    for distance in ("correlation", "cosine", "euclidean"):
        for compare in ("spearman", "pearson"):
            assert rsa(torch.full((60, 3), 0.1), y, compare, distance) == 0
            assert rsa(torch.eye(60), y, compare, distance) == 0  # all distances are equal
            assert rsa(x, x, compare, distance) == pytest.approx(1, abs=1e-6)
    some = x.clone()
    some[3] = 0
    assert dissimilarities(some, "cosine")[3].tolist() == [1.0] * 3 + [0.0] + [1.0] * 56
    some[3] = 2.5
    assert dissimilarities(some, "correlation")[0, 3] == 1
    huge = dissimilarities(x * 1e18, "correlation")
    assert huge == pytest.approx(dissimilarities(x, "correlation"), abs=1e-6)


def test_common_offsets_keep_the_digits_of_distances() -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(80, 3, generator=generator, dtype=torch.float64)
    x, y = (z @ torch.randn(3, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    offset = torch.randn(8, generator=generator, dtype=torch.float64)
    for distance in ("correlation", "cosine"):
        expected = rsa(x + 1e4 * offset, y + 1e4 * offset, distance=distance)
        assert expected > 0.3
        for size in (1e6, 1e7, 1e8):
            assert rsa(x + size * offset, y + size * offset, distance=distance) == pytest.approx(expected, abs=1e-3)
    assert rsa(x + 1e10, y) == pytest.approx(rsa(x, y), abs=1e-5)  # a shift of each row
    repeated = dissimilarities((x + 1e7 * offset)[torch.arange(80) // 2], "correlation")
    assert torch.equal(repeated[::2], repeated[1::2])  # equal rows have equal distances


def test_errors() -> None:
    for wrong, message in (({"compare": "kendall"}, "kendall"), ({"distance": "l1"}, "euclidean")):
        with pytest.raises(VlalignError, match=message):
            Rsa(**wrong)
    x, y = pair_of("random")
    with pytest.raises(VlalignError, match="a layer has one feature: use rsa:distance=euclidean"):
        rsa(x[:, :1], y)
    assert -1 < rsa(x[:, :1], y, distance="euclidean") < 1
    assert Rsa().holds(100, [5, 5]) == 2 * 4 * 100 * 100
