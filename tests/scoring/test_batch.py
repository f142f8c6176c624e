"""Scores of many pairs: in any order the same, nothing kept longer than needed, failures one can pass over."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics import get_metric
from vlalign.scoring import ScoreRecord
from vlalign.scoring.batch import prepare_pairs, score_pairs
from vlalign.scoring.options import ScoreOptions

api: Any = sys.modules["vlalign.scoring.batch"]
Runs = dict[str, Any]
IDS = [f"sample-{i}" for i in range(60)]
FAST: dict[str, Any] = {"k": 5, "permutations": 19, "half_samples": 4}


def noise(width: int, seed: int) -> Tensor:
    return torch.randn(60, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def runs(pair: tuple[list[Tensor], list[Tensor]], make_run: Callable[..., Any]) -> Runs:
    """Four runs that can be scored, "same" whose layers are all constant, and "far" of other samples."""
    made = {
        name: make_run(name, [*side, noise(6, i)], IDS) for i, (name, side) in enumerate(zip("ab", pair, strict=True))
    }
    made |= {name: make_run(name, [layer + noise(layer.shape[1], 9) for layer in pair[1]], IDS) for name in "cd"}
    made["same"] = make_run("same", [torch.ones(60, 4)], IDS)
    return made


@pytest.fixture
def scorers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every Scorer that is made."""
    found: list[Any] = []
    original = api.Scorer

    def scorer(*arguments: Any) -> Any:
        found.append(original(*arguments))
        return found[-1]

    monkeypatch.setattr(api, "Scorer", scorer)
    return found


def kept(scorer: Any) -> set[str]:
    """Models of which anything is kept."""
    return {side.side.model for side in scorer._sides.values()}


def plain(record: ScoreRecord) -> dict[str, Any]:
    return {name: value for name, value in asdict(record).items() if name != "seconds"}


@pytest.mark.parametrize("metric", ["mutual_knn", "cka"])
def test_the_order_of_pairs_changes_nothing(runs: Runs, metric: str) -> None:
    pairs = [(runs[x], runs[y]) for x, y in itertools.product("ab", "cd")]
    expected = {r.title: plain(r) for r in score_pairs(pairs, metric=metric, **FAST)}
    assert len(expected) == 4
    for seed in range(3):
        order = random.Random(seed).sample(pairs, 4)
        found = list(score_pairs(order, metric=metric, **FAST))
        assert [r.title for r in found] == [f"{x.name} × {y.name}" for x, y in order]
        assert {r.title: plain(r) for r in found} == expected


def test_sides_are_let_go_after_their_last_pair(runs: Runs, scorers: list[Any]) -> None:
    a, b, c, d = (runs[name] for name in "abcd")
    records = score_pairs([(a, b), (c, b), (c, d), (a, d)], **FAST)
    (scorer,) = scorers
    seen = []
    for _ in records:
        seen.append(kept(scorer))
        if len(seen) < 4:
            assert all(side.prepared for side in scorer._sides.values())
    assert seen == [{"a", "b"}, {"a", "c"}, {"a", "d"}, set()]
    assert not scorer._sides


def test_sides_stay_for_the_next_metric(runs: Runs, scorers: list[Any]) -> None:
    a, b, c = (runs[name] for name in "abc")
    records = iter(score_pairs([(a, b), (c, b)], metric=["mutual_knn", "cka"], **FAST))
    (scorer,) = scorers
    next(records)
    next(records)
    assert kept(scorer) == {"a", "b", "c"}  # read once for both metrics
    next(records)
    assert kept(scorer) == {"b", "c"}
    next(records)
    assert not scorer._sides
    assert next(records, None) is None


def test_a_pair_that_fails_is_passed_over(runs: Runs, scorers: list[Any]) -> None:
    a, b, c, same = (runs[name] for name in ("a", "b", "c", "same"))
    pairs = [(a, same), (a, b), (same, b), (c, b), (c, same)]
    expected = {r.title: plain(r) for r in score_pairs([(a, b), (c, b)], **FAST)}
    found, failures = [], []
    for one in prepare_pairs(pairs, ScoreOptions(**FAST)):
        try:
            found.append(one())
        except VlalignError as error:
            failures.append(str(error))
    assert len(failures) == 3
    assert all("same gives all samples the same features" in failure for failure in failures)
    assert {r.title: plain(r) for r in found} == expected
    assert not any(scorer._sides for scorer in scorers)


def test_all_pairs_are_checked_first(runs: Runs, make_run: Callable[..., Any]) -> None:
    far = make_run("far", runs["b"].tensors, [*IDS[:-1], "other"])
    with pytest.raises(VlalignError, match="do not hold the same ids"):
        prepare_pairs([(runs["a"], runs["b"]), (runs["a"], far)], ScoreOptions(**FAST))
    assert runs["a"].reads == 0


@pytest.mark.parametrize("option", ["groups", "within", "positives"])
def test_labels_by_row_need_one_order(runs: Runs, make_run: Callable[..., Any], option: str) -> None:
    """They are those of the rows of x, which must be in the same order in all pairs; labels by id may be in any."""
    labels = [i // 6 for i in range(60)]
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0)).tolist()
    turned = make_run("turned", [layer[order] for layer in runs["a"].tensors], [IDS[i] for i in order])
    pairs = [(runs["a"], runs["c"]), (turned, runs["c"])]
    with pytest.raises(VlalignError, match="are given by row, but the rows of a and turned are in different orders"):
        prepare_pairs(pairs, ScoreOptions(**FAST, **{option: labels}))
    records = list(score_pairs(pairs, **FAST, **{option: dict(zip(IDS, labels, strict=True))}))
    assert records[0].matrix == records[1].matrix
    assert records[0].null == records[1].null


def test_labels_by_row_need_one_order_of_row_numbers() -> None:
    frame = pd.DataFrame(noise(8, 0).numpy())
    shuffled, labels = frame.sample(frac=1, random_state=0), [i // 6 for i in range(60)]
    for pairs in ([(frame, frame), (shuffled, frame)], [(shuffled, frame), (frame, frame)]):
        with pytest.raises(VlalignError, match="groups are given by row, but the rows of x and x are in different ord"):
            prepare_pairs(pairs, ScoreOptions(**FAST, groups=labels))
    assert prepare_pairs([(frame, frame), (frame, shuffled)], ScoreOptions(**FAST, groups=labels))


def test_no_pairs_at_all() -> None:
    assert prepare_pairs([]) == []
    assert list(score_pairs(iter([]), metric="cka")) == []
    with pytest.raises(VlalignError, match="mutual_knn"):
        score_pairs([], metric="mutual_nn")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Sets the free memory, in bytes; all of what is kept is worth a check."""
    monkeypatch.setattr(api, "_LOGGED_BYTES", 1)

    def free(size: float) -> None:
        memory = SimpleNamespace(available=size)
        monkeypatch.setattr(api, "psutil", SimpleNamespace(virtual_memory=lambda: memory))

    return free  # type: ignore[return-value]


def test_memory_counts_sides_that_are_alive_at_once(
    make_run: Callable[..., Any], memory: Callable[[float], None]
) -> None:
    runs = {name: make_run(name, [noise(70, i), noise(65, i)], IDS) for i, name in enumerate("abcdef")}
    side = get_metric("cka").holds(60, [70, 65])
    assert side > 0

    def check(names: str) -> None:
        pairs = [(runs[x], runs[y]) for x, y in names.split()]
        assert len(prepare_pairs(pairs, ScoreOptions(metric="cka", permutations=0, half_samples=0))) == len(pairs)

    memory(2.5 * side / 0.9)
    check("ab")
    check("ab cd ef")  # two by two
    check("ab bc cd de ef")  # a chain holds two at a time
    for names in ("ab cd af", "ab ac bc"):  # a waits for its last pair; b waits while a × c is scored
        with pytest.raises(VlalignError, match=r"cka.* keeps .* fewer pairs at once"):
            check(names)
    memory(3.5 * side / 0.9)
    check("ab cd af")
    check("ab ac bc")
    memory(1.9 * side / 0.9)
    with pytest.raises(VlalignError, match="N = 60"):
        check("ab")
    check("aa")  # one side is kept once
