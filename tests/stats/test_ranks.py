"""Ranges of ranks from intervals, against the definition and what they promise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlalign.errors import VlalignError
from vlalign.stats.ranks import rank_ranges

Interval = tuple[float, float]

ends = st.integers(-20, 20).map(lambda value: value / 10)
known = st.tuples(ends, ends).map(lambda pair: (min(pair), max(pair)))
intervals = st.lists(st.one_of(st.none(), known), max_size=30)


def ranges_of(found: list[Interval]) -> list[tuple[int, int]]:
    ranges = [one for one in rank_ranges(found) if one is not None]
    assert len(ranges) == len(found)
    return ranges


@given(intervals)
def test_ranges_are_those_of_the_definition(found: list[Interval | None]) -> None:
    all_known = [one for one in found if one is not None]
    for one, ranks in zip(found, rank_ranges(found), strict=True):
        if one is None:
            assert ranks is None
            continue
        above = sum(other[0] > one[1] for other in all_known)
        below = sum(other[1] < one[0] for other in all_known)
        assert ranks == (1 + above, len(all_known) - below)


@given(intervals, st.randoms(use_true_random=False))
def test_ranges_do_not_depend_on_the_order(found: list[Interval | None], random: object) -> None:
    ranks = rank_ranges(found)
    order = list(range(len(found)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert rank_ranges([found[i] for i in order]) == [ranks[i] for i in order]


@given(st.lists(st.tuples(known, st.floats(0, 1)), min_size=1, max_size=20))
def test_the_ranks_of_any_values_in_the_intervals_lie_in_the_ranges(drawn: list[tuple[Interval, float]]) -> None:
    values = [min(max(low + share * (high - low), low), high) for (low, high), share in drawn]
    for value, (first, last) in zip(values, ranges_of([one for one, _ in drawn]), strict=True):
        better = sum(other > value for other in values)
        level = sum(other == value for other in values)
        assert first <= 1 + better <= better + level <= last


@given(st.lists(known, min_size=1, max_size=20))
def test_both_ends_are_the_rank_of_some_values(found: list[Interval]) -> None:
    for i, (first, last) in enumerate(ranges_of(found)):
        others = [one for j, one in enumerate(found) if j != i]
        assert first == 1 + sum(low > found[i][1] for low, _ in others)  # at its best, all others at their worst
        assert last == 1 + sum(high >= found[i][0] for _, high in others)  # and the other way round, after ties


@given(st.lists(known, max_size=20))
def test_who_is_higher_at_both_ends_has_no_worse_rank_and_the_wider_range_holds_the_narrower(
    found: list[Interval],
) -> None:
    ranges = ranges_of(found)
    for one, mine in zip(found, ranges, strict=True):
        for other, theirs in zip(found, ranges, strict=True):
            if one[0] >= other[0] and one[1] >= other[1]:
                assert mine[0] <= theirs[0]
                assert mine[1] <= theirs[1]
            if one[0] <= other[0] and one[1] >= other[1]:
                assert mine[0] <= theirs[0]
                assert mine[1] >= theirs[1]


@given(st.lists(ends, max_size=20))
def test_without_width_they_are_standard_competition_ranks(values: list[float]) -> None:
    expected = [
        (1 + sum(other > value for other in values), sum(other >= value for other in values)) for value in values
    ]
    assert rank_ranges([(value, value) for value in values]) == expected


def test_a_wide_interval_is_no_merit() -> None:
    assert rank_ranges([(0.59, 0.61), (0.54, 0.56), (0.3, 0.7)]) == [(1, 2), (2, 3), (1, 3)]


@pytest.mark.parametrize("wrong", [(1.0, 0.0), (float("nan"), 1.0)])
def test_an_interval_has_its_lower_end_first(wrong: Interval) -> None:
    with pytest.raises(VlalignError, match="lower end first"):
        rank_ranges([wrong])
