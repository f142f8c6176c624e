"""Draws of a sample: the same wherever it stands, nested across rates, and for ever."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlalign.perturb.draws import chosen, draws, share

RATES = st.floats(0, 100)


def test_the_streams_never_change() -> None:
    assert draws(0, "op", "a").randint(0, 1000, 6).tolist() == [608, 633, 716, 77, 414, 574]
    assert draws(1, "op", "a").permutation(8).tolist() == [7, 3, 6, 4, 1, 5, 0, 2]
    assert draws(0, "op", "b").random_sample(2).tolist() == [0.7912175335842428, 0.010309620589431523]
    expected = [0.05900896091219043, 2.1426541004984316]
    np.testing.assert_allclose(draws(0, "op", "a").standard_normal(2), expected, rtol=1e-12)


def test_seed_operation_and_sample_tell_streams_apart() -> None:
    streams = [draws(*key).randint(0, 2**31, 4).tolist() for key in ((0, "a", "b"), (1, "a", "b"), (0, "b", "b"))]
    streams += [draws(*key).randint(0, 2**31, 4).tolist() for key in ((0, "a", "c"), (0, "ab", ""), (0, "a", "é"))]
    assert len({tuple(stream) for stream in streams}) == 6


@given(st.integers(0, 10**6), st.integers(0, 100))
def test_share_is_the_references(n: int, rate: int) -> None:
    assert share(n, rate) == int(n * rate / 100)
    assert share(n, 0) == 0
    assert share(n, 100) == n


@given(st.integers(0, 60), RATES, RATES)
def test_chosen_is_nested(n: int, one: float, other: float) -> None:
    few, more = (chosen(n, rate, draws(3, "op", "a")).tolist() for rate in sorted((one, other)))
    assert more[: len(few)] == few
    assert len(set(more)) == len(more) == share(n, max(one, other))


def test_every_place_is_as_likely() -> None:
    counts = np.zeros(10)
    for sample in range(2000):
        counts[chosen(10, 30, draws(0, "op", str(sample)))] += 1
    assert counts.sum() == 6000
    assert counts.min() > 520  # 600 expected, sd 20.5
    assert counts.max() < 680


@pytest.mark.parametrize("other", [{"seed": 1}, {"operation": "op2"}, {"sample": "b"}])
def test_no_stream_is_another_ones(other: dict[str, object]) -> None:
    one = draws(0, "op", "a").random_sample(2000)
    two = draws(**({"seed": 0, "operation": "op", "sample": "a"} | other)).random_sample(2000)  # type: ignore[arg-type]
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.1
