"""Categories of a score: the null inside them, the share that they explain, and what the verdict says of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from support.runs import made_up_pair
from torch import Tensor

from vlalign.cli.score import read_columns
from vlalign.errors import VlalignError
from vlalign.scoring import ScoreOptions, ScoreRecord, score
from vlalign.scoring.categories import Column
from vlalign.scoring.summary import score_facts, verdict
from vlalign.scoring.validation import validate_record

Pair = tuple[list[Tensor], list[Tensor]]
IDS = [f"sample-{i}" for i in range(60)]
KINDS = [("car", "dog", "sun")[i % 3] for i in range(59)] + ["alone"]
NUMBERS = [float(i) for i in range(60)]
QUICK: dict[str, Any] = {"k": 5, "permutations": 29, "half_samples": 0}


@pytest.fixture(scope="module")
def record() -> ScoreRecord:
    columns = pd.Series(KINDS, name="kind"), Column("length", NUMBERS)
    return score(*made_up_pair(), within=columns, **(QUICK | {"half_samples": 4}))


def within(record: ScoreRecord) -> list[dict[str, Any]]:
    assert record.null is not None
    return list(record.null["within"])


def test_record_holds_null_and_share_of_each_column(pair: Pair, record: ScoreRecord) -> None:
    validate_record(record)
    kind, length = within(record)
    assert [kind[name] for name in ("name", "cut", "categories", "largest", "alone")] == ["kind", False, 4, 20, 1]
    assert [length[name] for name in ("name", "cut", "categories", "alone")] == ["length", True, 4, 0]
    assert [one["p_value"] for one in (kind, length)] == [1 / 30, 1 / 30]
    assert record.chance is not None
    for one in (kind, length):
        spread = one["explained"]
        share = (spread["score"] - record.chance) / (record.score - record.chance)
        assert spread["share"] == pytest.approx(share)
        assert spread["low"] < spread["share"] < spread["high"]
        assert one["mean"] > one["pair_mean"]  # of maxima over layer pairs, and of the best pair
    notes = record.checks["notes"]
    assert any("kind: 1 of 60 samples alone in a category" in note for note in notes)
    assert any("length holds numbers, cut into 4 strata" in note for note in notes)


def test_no_share_where_many_samples_are_alone(pair: Pair) -> None:
    mostly = [*KINDS[:47], *(f"alone-{i}" for i in range(13))]
    found = score(*pair, within=mostly, **QUICK)
    assert within(found)[0]["explained"] == {"score": None, "share": None, "low": None, "high": None}
    assert any("13 of 60 samples alone" in one and "no share" in one for one in found.checks["notes"])
    fewer = score(*pair, within=[*mostly[:48], "car", *mostly[49:]], **QUICK)
    assert within(fewer)[0]["explained"]["share"] is not None


def test_beside_an_analytic_null(pair: Pair, record: ScoreRecord) -> None:
    found = score(*pair, within=KINDS, null="analytic", full=True, **QUICK)
    validate_record(found)
    assert within(found)[0]["p_value"] == within(record)[0]["p_value"]
    assert within(found)[0]["explained"]["share"] == within(record)[0]["explained"]["share"]
    assert found.checks["confounds"][0]["explained"]["share"] == 0
    assert "confounds" not in score(*pair, null="analytic", full=True, **(QUICK | {"permutations": 0})).checks


def test_everything_else_is_as_without_categories(pair: Pair, record: ScoreRecord) -> None:
    plain = score(*pair, **(QUICK | {"half_samples": 4}))
    assert plain.null is not None
    assert record.null is not None
    assert "within" not in plain.null
    assert plain.null == {name: value for name, value in record.null.items() if name != "within"}
    assert (plain.matrix, plain.interval, plain.chance) == (record.matrix, record.interval, record.chance)
    assert plain.filename == record.filename
    requests = [one.environment["request"] for one in (plain, record)]
    assert set(requests[1]) - set(requests[0]) == {"within"}
    other = score(*pair, within=KINDS, **QUICK).environment["request"]
    assert other["within"] != requests[1]["within"]
    of_ids = [
        score(*made_up_pair(), ids=IDS, within=pd.Series(KINDS, index=index), **QUICK) for index in (IDS, IDS[::-1])
    ]
    first, second = (one.environment["request"]["within"] for one in of_ids)
    assert first != second  # the same values of other ids


def test_values_by_row_by_id_and_of_a_file(pair: Pair, make_run: Callable[..., Any], tmp_path: Path) -> None:
    order = random.Random(0).sample(range(60), 60)
    runs = make_run("x", pair[0], IDS), make_run("y", [side[order] for side in pair[1]], [IDS[i] for i in order])
    expected = within(score(*pair, within=KINDS, **QUICK))
    assert expected[0]["name"] == "category"
    by_id = dict(zip(IDS, KINDS, strict=True))
    frame = pd.DataFrame({"id": [IDS[i] for i in order], "kind": [KINDS[i] for i in order]})
    frame.to_csv(tmp_path / "kinds.csv", index=False)
    read = read_columns((f"{tmp_path}/kinds.csv:kind",), None)
    for sides, given in (
        (pair, np.array(KINDS)), (runs, by_id), (runs, frame.set_index("id")["kind"]), (runs, read)
    ):  # fmt: skip
        found = within(score(*sides, within=given, **QUICK))
        assert [one | {"name": "category", "source": "given"} for one in found] == expected
    assert read is not None
    assert [(column.name, column.source) for column in read] == [("kind", "kinds.csv:kind")]


def test_mistakes_before_any_work(pair: Pair, make_run: Callable[..., Any], tmp_path: Path) -> None:
    runs = make_run("x", pair[0], IDS), make_run("y", pair[1], IDS)
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (pair, {"within": KINDS[:-1]}, "59 values of the column category for 60 samples"),
        (
            pair,
            {"within": dict(zip(IDS, KINDS, strict=True))},
            "the values of the column category are given by id, but the features have no ids",
        ),
        (runs, {"within": {IDS[0]: "car"}}, "the values of the column category lack 59 of 60 samples: 'sample-1'"),
        (runs, {"within": [*KINDS[:-1], ""]}, r"sample 59 \(from 0\) has no label, but ''"),
        (runs, {"within": "kinds.csv:kind"}, r"is a text: give one value a sample, .* pandas\.read_csv"),
        (runs, {"within": (KINDS, KINDS)}, "two columns of one name"),
        (runs, {"within": IDS}, "another category"),
        (runs, {"within": ["car"] * 60}, "gives all 60 samples one category, which explains nothing"),
        (runs, {"within": KINDS, "groups": KINDS}, "cannot be permuted together"),
        (runs, {"within": KINDS, "permutations": 0}, "needs permutations"),
    ]
    for sides, options, says in wrong:
        with pytest.raises(VlalignError, match=says) as error:
            score(*sides, **(QUICK | options))
        assert "\n" not in str(error.value)
    assert [run.reads for run in runs] == [0, 0]
    for odd, others in (("NA", 1), ("nan", 3), (float("inf"), 1), ("NA", 20)):
        says = rf"the column category: {odd!r} is no finite number, as {60 - others} of 60 are: leave"
        with pytest.raises(VlalignError, match=says):
            score(*pair, within=[odd] * others + NUMBERS[others:], **QUICK)
    for alike in (["car ", *KINDS[:-1]], [3, *["3", "4"] * 29, "5"]):
        with pytest.raises(VlalignError, match=r"'?(car |3)'? and '(car|3)' differ only in type or spaces"):
            score(*pair, within=alike, **QUICK)
    missing = pd.Series([*KINDS[:-1], pd.NA], dtype="string")
    with pytest.raises(VlalignError, match=r"sample 59 \(from 0\) has no label, but <NA>"):
        score(*pair, within=missing, **QUICK)
    (tmp_path / "kinds.csv").write_text("id,kind\na,car\n")
    with pytest.raises(VlalignError, match="name the column of categories"):
        read_columns((f"{tmp_path}/kinds.csv:sort",), None)


def test_score_at_chance_has_no_parts() -> None:
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 4, generator=draw), torch.randn(60, 4, generator=draw)
    found = score(x, y, within=KINDS, **QUICK)
    assert found.p_value is not None
    assert found.p_value > 0.05
    assert set(within(found)[0]["explained"].values()) == {None}
    assert "explains" not in verdict(found)
    assert "explains" not in score_facts(found)["within category"]
    costly = score(x, y, within=KINDS, metric="procrustes", k=5)
    assert costly.null is None
    assert any("no permutation null" in note for note in costly.checks["notes"])


@pytest.mark.parametrize(
    ("share", "low", "high", "p", "cut", "says"),
    [
        (0.6, 0.55, 0.65, 0.01, False, "; most of it is coarse categories: kind explains 60% (55% to 65%) of what is"),
        (0.6, 0.55, 0.65, 0.01, True, "; most of it is coarse strata: kind explains 60% (55% to 65%) of what is"),
        (0.6, 0.45, 0.75, 0.01, False, "; kind explains 60% (45% to 75%) of what is above chance"),
        (0.6, None, None, 0.01, False, "; kind explains 60% of what is above chance"),
        (-0.02, -0.05, 0.01, 0.01, False, "; kind explains 0% (0% to 1.0%) of what is above chance"),
        (1.02, 0.9, 1.1, 0.3, False, "; no better than pairs shuffled inside kind (p = 0.3)"),
        (None, None, None, 0.01, False, ""),
    ],
)
def test_verdict_is_never_stronger_than_the_interval(
    share: Any, low: Any, high: Any, p: float, cut: bool, says: str, record: ScoreRecord
) -> None:
    kind, length = within(record)
    assert record.null is not None
    assert record.interval is not None
    spread = {"score": 0.1, "share": share, "low": low, "high": high}
    less = {"score": 0.1, "share": None if share is None else -0.5, "low": None, "high": None}
    entries = [kind | {"explained": spread, "p_value": p, "cut": cut}, length | {"explained": less}]
    null = record.null | {"p_value": 0.01, "calibrated": 0.3, "threshold": 0.1, "within": entries}
    interval = record.interval | {"low": 0.3, "high": 0.4}
    text = verdict(replace(record, null=null, interval=interval))
    ending = text.removeprefix(verdict(replace(record, null=null | {"within": []}, interval=interval)))
    assert ending.startswith(says)
    assert bool(ending) == bool(says)


def test_null_keeps_the_samples_of_a_category_together(pair: Pair) -> None:
    """The whole of a category of two is shuffled by one exchange, so that half of all permutations change nothing."""
    halves = ["a", "a", *IDS[2:]]
    found = within(score(*pair, within=halves, **QUICK))[0]
    assert (found["categories"], found["alone"], found["largest"]) == (59, 58, 2)
    assert found["p_value"] > 0.2
    assert ScoreOptions().within is None
