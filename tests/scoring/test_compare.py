"""Comparing two runs, or two records, against one reference."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from support.board import made_up
from support.runs import FakeRun

from vlalign.errors import VlalignError
from vlalign.report.compare import verdict
from vlalign.scoring import score
from vlalign.scoring.compare import Comparison, adjust, compare, compare_records, compare_runs
from vlalign.scoring.options import CompareOptions
from vlalign.stats.fdr import benjamini_hochberg

IDS = [f"s{i}" for i in range(60)]
DATA = {"name": "d", "content": "c", "ids": "i"}


@pytest.fixture
def runs(make_run: Callable[..., FakeRun]) -> dict[str, FakeRun]:
    """A reference, a model like it, a worse one, and one with other layers; rows of the worse one in another order."""
    draw = torch.Generator().manual_seed(0)
    reference = [torch.randn(60, 8, generator=draw) for _ in range(2)]
    near = [layer + 0.3 * torch.randn(60, 8, generator=draw) for layer in reference]
    far = [layer + 3 * torch.randn(60, 8, generator=draw) for layer in reference]
    order = torch.randperm(60, generator=draw)
    return {
        "reference": make_run("reference", reference, IDS, DATA),
        "near": make_run("near", near, IDS, DATA),
        "far": make_run("far", [layer[order] for layer in far], [IDS[i] for i in order], DATA),
        "other": make_run("other", [*far, far[0]], IDS, DATA),
    }


def compared(a: FakeRun, b: FakeRun, reference: FakeRun, reference_side: str = "x", **options: Any) -> Comparison:
    """Return a comparison of runs."""
    return compare_runs(a, b, reference, CompareOptions(**options), reference_side=reference_side)


def test_one_function_compares_runs_and_records(runs: dict[str, FakeRun]) -> None:
    near, far, reference = (runs[name] for name in ("near", "far", "reference"))
    assert compare(near, far, reference=reference, k=5).test == compared(near, far, reference, k=5).test
    records = [score(reference, run, k=5, permutations=0, half_samples=0) for run in (near, far)]
    assert compare(*records).made_from == "records"
    for given, options, message in (
        ((near, far), {}, "two runs and the reference"),
        ((records[0], far), {"reference": reference}, "two runs and the reference"),
        (records, {"k": 5}, "two records are compared as they are"),
        (records, {"reference": reference}, "two records are compared as they are"),
    ):
        with pytest.raises(VlalignError, match=message):
            compare(*given, **options)  # type: ignore[arg-type]


def test_runs_are_paired_by_id(runs: dict[str, FakeRun]) -> None:
    found = compared(runs["near"], runs["far"], runs["reference"], k=5)
    scores = [score(runs["reference"], runs[name], k=5, permutations=0) for name in ("near", "far")]
    assert [found.scores[side]["score"] for side in "ab"] == [record.score for record in scores]
    assert found.difference == scores[0].score - scores[1].score
    assert found.test is not None
    assert found.test["p_value"] < 0.001
    assert found.test["half_samples"] == 100
    difference = torch.tensor(scores[0].matrix).T - torch.tensor(scores[1].matrix).T
    torch.testing.assert_close(torch.tensor(found.matrix), difference)
    assert [row["layer"] for row in found.layers] == ["block_0", "block_1"]
    assert all(row["q_value"] >= row["p_value"] for row in found.layers)


@pytest.mark.parametrize("with_ids", ["a", "b", "ab", "ar", "br", "abr", ""])
def test_a_side_with_ids_is_put_in_the_order_of_the_reference(with_ids: str) -> None:
    """Rows of a side without ids are pairs of the reference's rows, whatever the other side has."""
    draw = torch.Generator().manual_seed(0)
    reference = torch.randn(60, 8, generator=draw)
    sides = [reference + noise * torch.randn(60, 8, generator=draw) for noise in (0.3, 1)]
    expected = compare(*sides, reference=reference, k=5)
    order, other = (torch.randperm(60, generator=draw).numpy() for _ in range(2))
    names = [f"s{i}" for i in range(60)]
    rows = {name: other if name in with_ids and "r" in with_ids else order for name in "ab"}
    given = [
        pd.DataFrame(side.numpy(), index=names).iloc[rows[name]] if name in with_ids else side[rows[name]]
        for name, side in zip("ab", sides, strict=True)
    ]
    frame = pd.DataFrame(reference.numpy(), index=names).iloc[order]
    result = compare(*given, reference=frame if "r" in with_ids else reference[order], k=5)
    assert [result.scores[side]["score"] for side in "ab"] == [expected.scores[side]["score"] for side in "ab"]
    by = {name: "id" if name in with_ids and "r" in with_ids else "row" for name in "ab"}
    assert result.pairing == by
    assert f"paired by {'id' if 'id' in by.values() else 'the order of rows'}" in result.lines()[-1]


def test_groups_by_row_need_one_order(runs: dict[str, FakeRun]) -> None:
    with pytest.raises(VlalignError, match="groups are given by row, but the rows of far and reference are in diff"):
        compared(runs["near"], runs["far"], runs["reference"], k=5, groups=[i // 2 for i in range(60)])


def test_other_layers_are_not_compared(runs: dict[str, FakeRun]) -> None:
    found = compared(runs["near"], runs["other"], runs["reference"], k=5, half_samples=4)
    assert found.axes is found.matrix is None
    assert found.layers == []
    assert found.test is not None


def test_the_result_is_json(runs: dict[str, FakeRun], tmp_path: Path) -> None:
    found = compared(runs["near"], runs["far"], runs["reference"], k=5, half_samples=4)
    told = json.loads(found.save(tmp_path / "a" / "b.json").read_text())
    assert told["difference"] == found.difference
    assert told["reference"]["run"]["hash"] == runs["reference"].key.hash


def test_runs_that_cannot_be_compared(runs: dict[str, FakeRun], make_run: Callable[..., FakeRun]) -> None:
    near = runs["near"]
    fewer = make_run("fewer", [layer[:30] for layer in near.tensors], IDS[:30], DATA)
    with pytest.raises(VlalignError, match="do not hold the same ids"):
        compared(near, fewer, runs["reference"])
    edited = make_run("edited", near.tensors, IDS, {**DATA, "content": "other"})
    with pytest.raises(VlalignError, match="are of other data"):
        compared(near, edited, runs["reference"])
    with pytest.raises(VlalignError, match="on side x or y"):
        compared(near, runs["far"], runs["reference"], reference_side="z")


def test_edited_data_are_compared_with_the_unedited(runs: dict[str, FakeRun], make_run: Callable[..., FakeRun]) -> None:
    edited = make_run("near", runs["far"].tensors, runs["far"].ids, DATA)
    edited.key.data["perturbations"] = [{"operation": "char_delete", "rate": 30}]
    edited.key.hash = "e" * 64
    found = compared(runs["near"], edited, runs["reference"], k=5)
    assert found.difference == compared(runs["near"], runs["far"], runs["reference"], k=5).difference
    assert found.b["run"]["key"]["perturbations"] != []


def test_groups_are_drawn_as_wholes(runs: dict[str, FakeRun]) -> None:
    def twice(name: str) -> FakeRun:
        run = runs[name]
        rows = [run.ids.index(i) for i in IDS]
        ids = [f"{i}{copy}" for i in IDS for copy in "ab"]
        return FakeRun(name, [layer[rows].repeat_interleave(2, dim=0) for layer in run.tensors], ids, DATA)

    near, far, reference = (twice(name) for name in ("near", "far", "reference"))
    once = compared(runs["near"], runs["far"], runs["reference"], metric="cka", preset="none")
    whole, exact = (
        compared(near, far, reference, metric="cka", preset="none", groups=groups)
        for groups in ({i: i[:-1] for i in near.ids}, "exact")
    )
    assert once.groups is None
    assert whole.groups == {"source": "given by id", "groups": 60, "largest": 2}
    assert exact.groups == {"source": "identical features", "groups": 60, "largest": 2}
    assert exact.test == whole.test
    assert once.test is not None
    assert whole.test is not None
    assert (once.test.pop("half"), whole.test.pop("half")) == (30, 60)
    for kind in ("largest", "crossed"):  # CKA does not change if every row is there twice
        assert whole.test[kind] == pytest.approx(once.test[kind], rel=1e-5)
    with pytest.raises(VlalignError, match="the groups lack 119 of 120 samples"):
        compared(near, far, reference, groups={near.ids[0]: 1})


def test_several_references_have_q_values(runs: dict[str, FakeRun], make_run: Callable[..., FakeRun]) -> None:
    draw = torch.Generator().manual_seed(9)
    strange = make_run("strange", [torch.randn(60, 8, generator=draw)], IDS, DATA)
    found = adjust([compared(runs["near"], runs["far"], one, k=5) for one in (runs["reference"], strange)])
    tests = [one.test for one in found if one.test is not None]
    p_values = [test["p_value"] for test in tests]
    assert [test["q_value"] for test in tests] == pytest.approx(benjamini_hochberg(p_values).tolist())
    assert "is more aligned with reference" in verdict(found[0])
    assert "indistinguishable" in verdict(found[1])


def test_the_concatenation_may_be_scored_too(runs: dict[str, FakeRun]) -> None:
    found = compared(runs["near"], runs["far"], runs["reference"], k=5, concat=True, half_samples=4)
    record = score(runs["near"], runs["reference"], k=5, concat=True, permutations=0, half_samples=0)
    assert found.scores["a"]["score"] == record.score
    assert [row["layer"] for row in found.layers] == ["block_0", "block_1", "all"]


def test_records_tell_whether_their_intervals_overlap() -> None:
    found = compare_records(made_up(y="a", value=0.5), made_up(y="b", value=0.45))
    assert found.overlap is True
    assert found.test is None
    assert found.reference["model"] == "vision-a"
    assert (found.a["model"], found.b["model"]) == ("a", "b")
    assert found.difference == pytest.approx(0.05)
    assert found.matrix is not None
    assert (len(found.matrix), len(found.matrix[0])) == (2, 3)
    assert [set(row) for row in found.layers] == [{"layer", "difference"}] * 2
    assert compare_records(made_up(y="a", value=0.7), made_up(y="b", value=0.45)).overlap is False
    assert compare_records(made_up(y="a", half=None), made_up(y="b")).overlap is None


def test_the_reference_may_stand_on_either_side() -> None:
    texts = ("text", "text")
    first = made_up("ref", "a", modalities=texts)
    second = made_up("b", "ref", modalities=texts)
    assert compare_records(first, second).reference["model"] == "ref"
    one, other = (dataclasses.replace(r, metric={"name": "pwcca_x", "params": {}}) for r in (first, second))
    with pytest.raises(VlalignError, match="no run in common"):
        compare_records(one, other)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (made_up(y="b", n=61), "N: 60 and 61"),
        (made_up(y="b", k=6), "metric: mutual_knn:k=5 and mutual_knn:k=6"),
        (made_up(y="b", preset="cosine"), "preset"),
        (made_up(y="b", y_run={"content": "z" * 64}), "data: "),
        (made_up(y="b", tensors=True), "data: "),
        (made_up(), "same two runs"),
        (made_up("vision-b", "text-b"), "no run in common"),
    ],
)
def test_records_that_cannot_be_compared(other: object, reason: str) -> None:
    with pytest.raises(VlalignError, match=reason) as error:
        compare_records(made_up(), other)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_old_records_with_ties_are_not_compared_with_new_ones() -> None:
    """Ties went to the lower row number, so only values without ties are those of today."""
    new = made_up(y="b")
    preprocessing = {name: value for name, value in new.preprocessing.items() if name != "ties"}
    old = dataclasses.replace(made_up(), preprocessing=preprocessing)
    assert compare_records(old, new).overlap is True
    tied = dataclasses.replace(old, checks={**old.checks, "x": {**old.checks["x"], "duplicates": 4}})
    with pytest.raises(VlalignError, match="ties in the order of the rows"):
        compare_records(tied, new)
    other = {"name": "cka", "params": {"kernel": "linear"}}
    assert compare_records(*(dataclasses.replace(one, metric=other) for one in (tied, new))).overlap is True
