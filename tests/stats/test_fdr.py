"""q-values equal the formula and those of SciPy, whose module takes a second to import."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from vlalign.errors import VlalignError
from vlalign.stats.fdr import benjamini_hochberg


@given(st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.01, 0.2, 0.5, 1.0]) | st.floats(0, 1), min_size=1, max_size=40))
def test_equals_the_formula(p: list[float]) -> None:
    found = benjamini_hochberg(p)
    order = np.argsort(p)
    ranked = [p[i] * len(p) / rank for rank, i in enumerate(order, 1)]
    expected = [min(1.0, *ranked[rank:]) for rank in range(len(p))]
    np.testing.assert_allclose(found[order], expected, rtol=1e-12, atol=0)
    np.testing.assert_array_equal(found, false_discovery_control(p))
    assert (np.diff(found[order]) >= 0).all()
    for value in set(p):
        assert len(set(found[np.array(p) == value])) == 1


def test_no_p_values() -> None:
    assert benjamini_hochberg([]).tolist() == []


def test_false_discoveries_are_controlled() -> None:
    random = np.random.default_rng(0)
    shares = []
    for _ in range(400):
        p = np.append(random.uniform(size=40), random.uniform(0, 1e-3, size=10))
        rejected = benjamini_hochberg(p) <= 0.1
        shares.append(rejected[:40].sum() / max(1, rejected.sum()))
    assert 0.05 <= np.mean(shares) <= 0.1  # 0.08 = 0.1 · 40 / 50 expected


@pytest.mark.parametrize("p", [[0.1, float("nan")], [-0.1], [0.2, 1.1]])
def test_values_that_are_no_p_values(p: list[float]) -> None:
    with pytest.raises(VlalignError, match=rf"number {len(p)} of {len(p)}"):
        benjamini_hochberg(p)


def test_shape() -> None:
    with pytest.raises(VlalignError, match="one list"):
        benjamini_hochberg(np.zeros((2, 2)))
