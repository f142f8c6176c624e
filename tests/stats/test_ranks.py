"""Ranks from intervals, against the definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlalign.errors import VlalignError
from vlalign.stats.ranks import shared_ranks

ends = st.integers(-20, 20).map(lambda value: value / 10)
intervals = st.lists(st.one_of(st.none(), st.tuples(ends, ends).map(lambda pair: (min(pair), max(pair)))), max_size=30)


@given(intervals)
def test_ranks_are_those_of_the_definition(found: list[tuple[float, float] | None]) -> None:
    ranks = shared_ranks(found)
    known = [one for one in found if one is not None]
    for one, rank in zip(found, ranks, strict=True):
        assert rank == (None if one is None else 1 + sum(other[0] > one[1] for other in known))


@given(intervals, st.randoms(use_true_random=False))
def test_ranks_do_not_depend_on_the_order(found: list[tuple[float, float] | None], random: object) -> None:
    ranks = shared_ranks(found)
    order = list(range(len(found)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert shared_ranks([found[i] for i in order]) == [ranks[i] for i in order]


@given(intervals)
def test_what_overlaps_with_the_highest_shares_rank_one_and_none_is_better_with_a_lower_interval(
    found: list[tuple[float, float] | None],
) -> None:
    known = [(one, rank) for one, rank in zip(found, shared_ranks(found), strict=True) if one is not None]
    if not known:
        return
    top = max(one[0] for one, _ in known)
    for one, rank in known:
        assert (rank == 1) == (one[1] >= top)
        for other, theirs in known:
            if one[0] >= other[0] and one[1] >= other[1]:
                assert rank is not None
                assert theirs is not None
                assert rank <= theirs


@given(st.lists(ends, max_size=20))
def test_without_width_they_are_standard_competition_ranks(values: list[float]) -> None:
    expected = [1 + sum(other > value for other in values) for value in values]
    assert shared_ranks([(value, value) for value in values]) == expected


@pytest.mark.parametrize("wrong", [(1.0, 0.0), (float("nan"), 1.0)])
def test_an_interval_has_its_lower_end_first(wrong: tuple[float, float]) -> None:
    with pytest.raises(VlalignError, match="lower end first"):
        shared_ranks([wrong])
