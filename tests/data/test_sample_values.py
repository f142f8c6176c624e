"""Values of samples in files: by row, or by id."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vlalign.data.sample_values import read_groups, read_values
from vlalign.errors import VlalignError

IDS = [f"{i:03d}" for i in range(12)]


def test_ids_of_a_table_of_labels_are_its_ids(tmp_path: Path) -> None:
    labels = [f"l{i}" for i in range(12)]
    pd.DataFrame({"id": IDS, "label": labels}).to_csv(tmp_path / "x.csv", index=False)
    assert read_values(tmp_path / "x.csv", "ids") == IDS
    assert read_values(tmp_path / "x.csv", "labels") == read_values(f"{tmp_path}/x.csv:label", "ids") == labels


@pytest.mark.parametrize(
    ("header", "id_column"),
    [("id", None), ("ID", None), ("sku", "sku"), ("SKU", "sku"), ("id", "sku"), ("Id", "sku")],
)
def test_labels_are_by_id_whatever_the_case_of_its_name(tmp_path: Path, header: str, id_column: str | None) -> None:
    (tmp_path / "x.csv").write_text(f"note,{header},c\n1,b,3 \n2,a, x\n")
    assert read_groups(f"{tmp_path}/x.csv:c", id_column, "labels") == {"b": "3", "a": "x"}


@pytest.mark.parametrize(
    ("header", "id_column"), [("sku,c", None), ("SKU,Sku,c", "sku"), ("n,c", "sku"), ("ID,Id,c", None)]
)
def test_labels_without_ids_are_refused_where_the_features_have_ids(
    tmp_path: Path, header: str, id_column: str | None
) -> None:
    (tmp_path / "x.csv").write_text(f"{header}\n" + "1," * header.count(",") + "a\n")
    with pytest.raises(VlalignError, match=rf"x.csv has no column '{id_column or 'id'}' that pairs its labels by id"):
        read_groups(f"{tmp_path}/x.csv:c", id_column, "labels")
    if id_column is None:
        assert read_groups(f"{tmp_path}/x.csv:c", None, "labels", has_ids=False) == ["a"]


def test_labels_of_one_column_are_by_row(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("c\na\nb\n")
    np.save(tmp_path / "x.npy", [1, 2])
    assert read_groups(f"{tmp_path}/x.csv:c", "sku", "labels") == ["a", "b"]
    assert read_groups(f"{tmp_path}/x.npy", "sku", "labels") == [1, 2]


@pytest.mark.parametrize("kind", ["txt", "npy", "json", "csv", "parquet"])
def test_values_of_samples(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"ids.{kind}"
    if kind == "npy":
        np.save(path, np.array(IDS))
    elif kind == "parquet":
        pd.DataFrame({"id": IDS}).to_parquet(path)
    else:
        text = {"txt": "\n".join(IDS) + "\n", "json": json.dumps(IDS), "csv": "id\n" + "\n".join(IDS) + "\n"}
        path.write_text(text[kind])
    assert read_values(path, "ids", 12) == IDS
    with pytest.raises(VlalignError, match="holds 12 ids for 11 samples"):
        read_values(path, "ids", 11)
