"""Swapped captions, and captions from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlalign.data.edits import EditedCaptions
from vlalign.errors import VlalignError
from vlalign.perturb import Perturbation, captions
from vlalign.perturb.captions import from_file, swap_order

IDS = st.lists(st.text("abcdef", min_size=1, max_size=4), unique=True, max_size=25)
RATES = st.floats(0, 100)


def sources(ids: list[str], rate: float, seed: int = 0) -> dict[str, str]:
    return {ids[row]: ids[other] for row, other in enumerate(swap_order(ids, rate, seed))}


@given(IDS, RATES, st.integers(0, 3))
def test_exactly_the_chosen_ids_swap(ids: list[str], rate: float, seed: int) -> None:
    order = swap_order(ids, rate, seed)
    assert sorted(order) == list(range(len(ids)))
    count = int(len(ids) * rate / 100)
    assert sum(row != other for row, other in enumerate(order)) == (count if count > 1 else 0)


@given(IDS, RATES, st.randoms(use_true_random=False))
def test_the_order_of_the_data_does_not_matter(ids: list[str], rate: float, random) -> None:  # type: ignore[no-untyped-def]
    other = list(ids)
    random.shuffle(other)
    assert sources(ids, rate) == sources(other, rate)


@given(IDS, RATES, RATES)
def test_swaps_are_nested(ids: list[str], one: float, other: float) -> None:
    few, many = ({a for a, b in sources(ids, rate).items() if a != b} for rate in sorted((one, other)))
    assert few <= many


def test_golden_swaps() -> None:
    assert swap_order(list("abcdefgh"), 50, 0) == [5, 1, 0, 2, 4, 3, 6, 7]
    assert swap_order(list("abcdefgh"), 100, 3) == [3, 4, 5, 2, 7, 6, 1, 0]
    assert Perturbation("caption_swap", 100).texts(["a", "b"], ["one", "two"]) == ["two", "one"]


def test_captions_of_a_file() -> None:
    edits = EditedCaptions("edits.json", {0.0: {"a": "A", "b": "B"}, 50.0: {"b": "bb", "a": "aa"}, 12.5: {"a": "x"}})
    assert from_file(["a", "b"], ["A", "B"], 50, edits) == ["aa", "bb"]
    assert from_file(["b"], ["B"], 50.0, edits) == ["bb"]
    assert from_file(["a"], ["A"], 12.5, edits) == ["x"]


def test_a_file_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"r{i}" for i in range(6)]
    edits = EditedCaptions("edits.json", {0.0: dict.fromkeys(ids, "old"), 10.0: dict.fromkeys(ids[:2], "new")})
    with pytest.raises(VlalignError, match=r"edits.json has no captions at 20 %: it has 0, 10"):
        from_file(ids, ["old"] * 6, 20, edits)
    with pytest.raises(VlalignError, match=r"lacks 4 of 6 ids at 10 %: 'r2', 'r3', 'r4', …; it has ids such as 'r0'"):
        from_file(ids, ["old"] * 6, 10, edits)
    whole = EditedCaptions("edits.json", {0.0: dict.fromkeys(ids, "old"), 10.0: dict.fromkeys(ids, "new")})
    with pytest.raises(VlalignError, match=r"edits other captions.* 6 of 6 samples, first 'r0'"):
        from_file(ids, ["something else"] * 6, 10, whole)
    warnings: list[str] = []
    monkeypatch.setattr(captions.log, "warning", warnings.append)
    assert from_file(ids, ["old"] * 4 + ["mended"] * 2, 10, whole) == ["new"] * 6
    assert from_file(ids, ["old"] * 4 + ["mended"] * 2, 10, whole) == ["new"] * 6
    assert warnings == [f"{whole.name}: 2 of 6 of its unedited captions differ from the data's"]  # once
    captions._warn_once.cache_clear()


def test_a_file_at_rate_0_is_not_read(tmp_path: Path) -> None:
    perturbation = Perturbation("captions_file", 0, parameters={"file": str(tmp_path / "none.json")})
    assert perturbation.texts(["a"], ["A"]) == ["A"]
