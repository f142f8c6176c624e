"""Samples that belong together, in every form that score() takes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.scoring import ScoreRecord, score

Pair = tuple[list[Tensor], list[Tensor]]
IDS = [f"sample-{i}" for i in range(60)]
LABELS = [i // 3 for i in range(60)]


def grouped(x: Any, y: Any, groups: Any, **options: Any) -> ScoreRecord:
    return score(x, y, k=5, permutations=29, half_samples=4, groups=groups, **options)


@pytest.fixture
def runs(pair: Pair, make_run: Callable[..., Any]) -> tuple[Any, Any]:
    order = random.Random(0).sample(range(60), 60)
    return make_run("x", pair[0], IDS), make_run("y", [side[order] for side in pair[1]], [IDS[i] for i in order])


def test_labels_by_row(pair: Pair) -> None:
    expected = grouped(*pair, LABELS)
    assert expected.pairing["groups"] == {"source": "given by row", "groups": 20, "largest": 3}
    assert expected.null is not None
    assert expected.null["blocks"] == 20
    assert expected.moments is None
    assert expected.chance == expected.null["pair_mean"]
    assert expected.interval is not None
    free = grouped(*pair, None)
    assert free.matrix == expected.matrix
    assert free.null is not None
    assert free.null["maxima"] != expected.null["maxima"]
    assert free.interval != expected.interval
    named = [f"image {label}" for label in LABELS]
    for same in (named, tuple(LABELS), np.array(LABELS), torch.tensor(LABELS), list(torch.tensor(LABELS))):
        found = grouped(*pair, same)
        assert (found.null, found.interval, found.pairing) == (expected.null, expected.interval, expected.pairing)


def test_labels_by_id(pair: Pair, runs: tuple[Any, Any], tmp_path: Path) -> None:
    expected = grouped(*pair, LABELS)
    of = dict(zip(IDS, LABELS, strict=True))
    path = tmp_path / "groups.csv"
    path.write_text("id,group\n" + "".join(f"{name},{group}\n" for name, group in reversed(of.items())))
    for groups, source in ((of, "given by id"), (path, "groups.csv"), (str(path), "groups.csv")):
        found = grouped(*runs, groups)
        assert found.null == expected.null
        assert found.interval == expected.interval
        digest = found.pairing["groups"].pop("sha256")
        assert digest == grouped(*runs[::-1], groups).pairing["groups"]["sha256"]
        assert digest != grouped(*runs, of | {IDS[0]: LABELS[-1]}).pairing["groups"]["sha256"]
        assert found.pairing == {
            "by": "id", "reordered": True, "groups": {"source": source, "groups": 20, "largest": 3}
        }  # fmt: skip


def test_a_series_is_paired_by_its_index(pair: Pair) -> None:
    x, y = pair[0][0], pair[1][0]
    frame, numbers = pd.DataFrame(x.numpy()), pd.Series(LABELS).sample(frac=1, random_state=0)
    expected = grouped(x, y, LABELS)
    for given, same in (
        ((frame, y), expected),
        ((x, pd.DataFrame(y.numpy())), expected),
        ((frame[::-1], y.flip(0)), grouped(x.flip(0), y.flip(0), LABELS[::-1])),
    ):
        found = grouped(*given, numbers)
        assert found.pairing["groups"] == {"source": "given by id", "groups": 20, "largest": 3}
        assert found.null is not None
        assert found.null == same.null
    repeated = frame.set_axis([i // 2 for i in range(60)])
    with pytest.raises(VlalignError, match="the index of the labels repeats names, in another order"):
        grouped(repeated, y, pd.Series(LABELS, index=repeated.index)[::-1])
    assert grouped(repeated, y, pd.Series(LABELS, index=repeated.index)).null == expected.null


def test_identical_features(pair: Pair) -> None:
    twice = [[side[:30].repeat(2, 1) for side in sides] for sides in pair]
    found = grouped(*twice, "exact")
    assert found.pairing["groups"] == {"source": "identical features", "groups": 30, "largest": 2}
    expected = grouped(*twice, [i % 30 for i in range(60)])
    assert (found.null, found.interval) == (expected.null, expected.interval)
    first = [twice[0][0], *pair[0][1:]]  # identical in a layer that is not the last
    assert grouped(first, pair[1], "exact").pairing["groups"] is None
    assert any("exact duplicates" in note for note in grouped(*twice, None).checks["notes"])


def test_identical_features_of_few_values_leave_nothing_to_permute() -> None:
    draw = torch.Generator().manual_seed(0)
    sides = [torch.eye(5)[torch.randint(0, 5, (60,), generator=draw)] for _ in range(2)]
    with pytest.raises(VlalignError, match="join all 60 samples into one group"):
        grouped(*sides, "exact")
    assert grouped(*sides, None).p_value is not None


def test_samples_of_their_own_are_no_groups(pair: Pair, runs: tuple[Any, Any]) -> None:
    plain = grouped(*pair, None)
    assert plain.moments is not None
    for sides, groups in ((pair, "exact"), (pair, range(60)), (runs, {name: name for name in IDS})):
        found = grouped(*sides, groups)
        assert found.pairing["groups"] is None
        assert (found.null, found.interval, found.moments) == (plain.null, plain.interval, plain.moments)


def test_too_few_groups_for_an_interval(pair: Pair) -> None:
    found = grouped(*pair, [i % 2 for i in range(60)])
    assert found.interval is None
    assert any("at least 4 samples or groups" in note for note in found.checks["notes"])


def test_mistakes_before_any_work(pair: Pair, runs: tuple[Any, Any], tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("id,group\nsample-0,a\n")
    (tmp_path / "columns.csv").write_text("id,set\nsample-0,a\n")
    wrong: list[tuple[Any, Any, str]] = [
        (pair, LABELS[:-1], "59 groups for 60 samples"),
        (pair, {"a": 1}, "groups are given by id, but the features have no ids: give their ids"),
        (pair, tmp_path / "some.csv", "some.csv has groups by id, but the features have no ids: give their ids"),
        (pair, 5, "not int"),
        (pair, np.array(5), "not int"),
        (pair, [*LABELS[:-1], None], r"sample 59 \(from 0\) has no label, but None"),
        (pair, [float("nan")] * 60, r"sample 0 \(from 0\) has no label, but nan"),
        (pair, [[1]] * 60, "has no label, but"),
        (runs, dict.fromkeys(IDS[:-2], 1), "the groups lack 2 of 60 samples: 'sample-58', 'sample-59'"),
        (runs, tmp_path / "some.csv", "no group for 59 of 60 samples"),
        (runs, tmp_path / "columns.csv", "no column 'group'"),
        (runs, "exakt", "cannot read groups from exakt"),
        (runs, tmp_path / "none.csv", "there is no file"),
    ]
    for sides, groups, says in wrong:
        with pytest.raises(VlalignError, match=says) as error:
            grouped(*sides, groups)
        assert "\n" not in str(error.value)
    assert [run.reads for run in runs] == [0, 0]
    with pytest.raises(VlalignError, match="none can be exchanged"):
        grouped(*pair, [0] * 60)
