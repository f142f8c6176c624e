"""Names and ids of arrays: records of different arrays have different files, rows are paired by id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from support.runs import FakeRun

from vlalign.errors import VlalignError
from vlalign.scoring import ScoreRecord, score
from vlalign.scoring.batch import prepare_pairs
from vlalign.scoring.inputs import Arrays
from vlalign.scoring.options import ScoreOptions
from vlalign.scoring.resume import score_missing

N = 30
X = torch.randn(N, 4, generator=torch.Generator().manual_seed(0))
Y = X + 0.3 * torch.randn(N, 4, generator=torch.Generator().manual_seed(1))
IDS = [f"s{i}" for i in range(N)]


def scored(x: Any, y: Any, **options: Any) -> ScoreRecord:
    return score(x, y, k=3, permutations=0, half_samples=0, **options)


def test_other_values_have_another_file() -> None:
    pairs = [(X, Y), (X, -Y), (X, Y.double()), (X.half(), Y), ([X, X], Y), (X, Y[:, :3]), (X.bfloat16(), Y.numpy() + 1)]
    assert len({scored(*pair).filename for pair in pairs}) == len(pairs)
    assert scored(X, Y).filename == scored(X.clone(), Y.numpy()).filename


def test_names_that_look_the_same_in_a_file_name_have_another_file() -> None:
    names = ["a b", "a-b", "a/b", "\u00e4", "\u00f6", ".", "..", "\ud800", "model"]
    assert len({scored(X, Y, names=(name, "y")).filename for name in names}) == len(names)


def test_masked_values_are_refused() -> None:
    hidden = np.ma.masked_greater(X.numpy(), 1.0)
    with pytest.raises(VlalignError, match="x has masked values"):
        scored(hidden, Y)
    assert scored(np.ma.masked_greater(X.numpy(), 1e9), Y).matrix == scored(X, Y).matrix


def test_names_are_in_the_record_and_safe_in_its_file() -> None:
    record = scored(X, Y, names=("vision/../a b", None))
    assert (record.x["model"], record.y["model"]) == ("vision/../a b", "y")
    assert "/" not in record.filename
    assert record.filename.startswith("vision--..--a-b-")
    assert len(scored(X, Y, names=("a" * 400, "b")).filename) < 255
    assert scored(X, Y, names=("a", "b")).filename != scored(X, Y, names=("a", "c")).filename


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_rows_are_paired_by_id(kind: Any) -> None:
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    expected = scored(X, Y)
    shuffled = [IDS[i] for i in order.tolist()]
    found = scored(X, [Y[order]], ids=(kind(IDS), kind(shuffled)))
    assert found.matrix == expected.matrix
    assert found.pairing["by"] == "id"
    assert found.pairing["reordered"] is True
    numbers = scored(X, Y[order], ids=(range(N), order))
    assert numbers.matrix == expected.matrix
    groups = {name: i // 2 for i, name in enumerate(IDS)}
    assert scored(X, Y, ids=(IDS, IDS), groups=groups).pairing["groups"]["groups"] == N // 2


def test_an_array_with_ids_and_a_run() -> None:
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    run = FakeRun("model", [Y[order]], [IDS[i] for i in order.tolist()])
    assert scored(X, run, ids=(IDS, None)).matrix == scored(X, Y).matrix
    assert scored(X[order], run).pairing["by"] == "row"
    for options in ({"names": (None, "b")}, {"ids": (IDS, IDS)}):
        with pytest.raises(VlalignError, match="y is a run, which has its own"):
            scored(X, run, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ids": (IDS, None)}, "x has ids and y has none"),
        ({"ids": (None, IDS)}, "y has ids and x has none"),
        ({"ids": (IDS, IDS[:-1])}, "y has 30 samples and 29 ids"),
        ({"ids": (IDS, [*IDS[:-1], "s0"])}, "y has the id 's0' more than once"),
        ({"ids": (IDS, [*range(29), "0"])}, "y has the id '0' more than once"),
        ({"ids": (IDS, [*IDS[:-1], "other"])}, "do not hold the same ids"),
        ({"ids": (IDS, [*IDS[:-1], 1.5])}, r"id 29 \(from 0\) of y must be a text or a whole number, got 1.5"),
        ({"ids": (IDS, [*IDS[:-1], True])}, "got True"),
        ({"ids": (IDS, "abc")}, "the ids of y must be a list"),
        ({"ids": (IDS, 5)}, "the ids of y must be a list"),
        ({"ids": IDS[1:]}, "x has 30 samples and 29 ids"),
        ({"ids": "ab"}, "the ids of x must be a list"),
        ({"ids": 7}, "the ids of x must be a list"),
        ({"names": "ab"}, "names must be a pair"),
        ({"names": ("a", "b", "c")}, "names must be a pair"),
        ({"names": ("a", 5)}, "the name of y must be a text, got 5"),
        ({"names": (" ", "b")}, "the name of x must be a text"),
    ],
)
def test_mistakes_are_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(VlalignError, match=message) as caught:
        scored(X, Y, **options)
    assert "\n" not in str(caught.value)


def test_one_list_of_ids_is_that_of_both_sides() -> None:
    for given in (IDS, np.array(IDS), pd.Series(IDS), pa.array(IDS), (IDS, IDS)):
        assert scored(X, Y, ids=given).pairing["by"] == "id"
    record = scored(X, X.flip(0), ids=(IDS, IDS[::-1]))
    assert (record.score, record.pairing["reordered"]) == (1.0, True)


def test_arrays_scored_again_are_not_computed_again(tmp_path: Path) -> None:
    options = ScoreOptions(k=3, permutations=0, half_samples=0)
    (planned,) = prepare_pairs([(X, Y)], options)
    record = planned()
    record.save(tmp_path / record.filename)
    (again,) = prepare_pairs([(X.clone(), Y.numpy())], options)
    assert list(score_missing([again], tmp_path, progress=False)) == [record]
    for other in ((2 * X, Y), (X, X), (Arrays(X, name="vit"), Y), (Arrays(X, ids=IDS), Arrays(Y, ids=IDS))):
        assert prepare_pairs([other], options)[0].request != planned.request


def test_the_same_features_on_both_sides_are_noted() -> None:
    assert any("compares them with themselves" in note for note in scored(X, X).checks["notes"])
    assert not any("themselves" in note for note in scored(X, Y).checks["notes"])
