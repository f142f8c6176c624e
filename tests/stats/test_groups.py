"""Groups of samples: from identical rows, from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vlalign.errors import VlalignError
from vlalign.stats.groups import checked_groups, exact_groups, members, read_groups, row_labels

IDS = ["a", "01", "1", "b"]
TEXT = "id,group,note\n1,x,\n01,y,\na,x,\nb,NA,\nunused,z,\n"


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20))
def test_checked_groups_and_members(labels: list[int]) -> None:
    found = checked_groups(labels, len(labels))
    first = list(dict.fromkeys(labels))
    assert found.tolist() == [first.index(label) for label in labels]
    rows = members(found)
    assert [r.tolist() for r in rows] == [[i for i, x in enumerate(labels) if x == label] for label in first]


@pytest.mark.parametrize("groups", [[0, 1], [0.0, 1.0, 2.0], [[0], [1], [2]], ["a", "b", "c"]])
def test_wrong_labels(groups: list) -> None:
    with pytest.raises(VlalignError, match="3 whole numbers"):
        checked_groups(groups, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_row_labels(dtype: torch.dtype) -> None:
    layer = torch.tensor([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0], [1.0, 1e-30], [1.0, 0.0]], dtype=dtype)
    labels = row_labels(layer)
    assert (labels[:, None] == labels).tolist() == [[bool((a == b).all()) for b in layer] for a in layer]
    assert np.array_equal(labels, row_labels(layer.T.contiguous().T))  # whatever the strides


def test_exact_groups_join_over_layers() -> None:
    random = np.random.default_rng(0)
    layers = [torch.from_numpy(random.integers(0, 12, size=(30, 1)).astype(float)) for _ in range(2)]
    together = np.any([(layer == layer.T).numpy() for layer in layers], axis=0)
    for _ in range(6):  # reach everything that is joined by chains
        together = (together @ together) > 0
    found = exact_groups(*layers)
    assert np.array_equal(found[:, None] == found, together)
    assert exact_groups(torch.arange(5.0)[:, None]).tolist() == [0, 1, 2, 3, 4]


def test_exact_groups_need_layers_of_one_size() -> None:
    for layers in ([], [torch.zeros(3, 1), torch.zeros(4, 1)]):
        with pytest.raises(VlalignError, match="one number of rows"):
            exact_groups(*layers)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_read_groups(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"groups.{kind}"
    table = pd.DataFrame({"id": ["1", "01", "a", "b", "unused"], "group": ["x", "y", "x", "NA", "z"]})
    if kind in ("csv", "tsv"):
        path.write_text(TEXT.replace(",", "," if kind == "csv" else "\t"))
    elif kind == "jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_parquet(path)
    assert read_groups(path, IDS).tolist() == [0, 1, 0, 2]
    assert read_groups(str(path), ["b", "b"]).tolist() == [0, 0]


def test_numbers_as_ids(tmp_path: Path) -> None:
    path = tmp_path / "groups.jsonl"
    path.write_text('{"id": 3, "group": 10}\n{"id": 4, "group": 10}\n{"id": 5, "group": 11}\n')
    assert read_groups(path, ["3", "4", "5"]).tolist() == [0, 0, 1]
    pd.DataFrame({"id": [3, 4, 5], "group": [1, 2, 1]}).to_parquet(tmp_path / "groups.parquet")
    assert read_groups(tmp_path / "groups.parquet", ["3", "4", "5"]).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("g.csv", "id,group\na,1\n", r"no group for 3 of 4 samples \('01', '1', 'b'\)"),
        ("g.csv", "id,film\na,1\n", "no column 'group'"),
        ("g.csv", "name,group\na,1\n", "no column 'id'"),
        ("g.csv", "id,group\na,1\na,2\n", "'a' in two groups: '1' and '2'"),
        ("g.csv", "id,group\na,\n", "without an id or without a group"),
        ("g.jsonl", '{"id": "a", "group": null}\n', "without an id or without a group"),
        ("g.csv", "", "cannot read groups"),
        ("g.jsonl", "{", "cannot read groups"),
        ("g.parquet", "no parquet", "cannot read groups"),
        ("g.xlsx", "", "give a .csv, .tsv, .jsonl or .parquet"),
    ],
)
def test_wrong_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(VlalignError, match=message) as error:
        read_groups(tmp_path / name, IDS)
    assert "\n" not in str(error.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match="there is no file"):
        read_groups(tmp_path / "g.csv", IDS)
