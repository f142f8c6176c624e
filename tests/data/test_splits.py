"""Files of splits by their names, and the rows of one split."""

from __future__ import annotations

import pytest

from vlalign.data.splits import select_split, splits_of
from vlalign.errors import VlalignError


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (["a.csv", "b.csv"], {"train": ["a.csv", "b.csv"]}),
        (["test.csv", "train.csv"], {"train": ["train.csv"], "test": ["test.csv"]}),
        (["my-valid-2.csv", "x_dev.csv"], {"validation": ["my-valid-2.csv", "x_dev.csv"]}),
        (["data/old/x.csv", "test/train.csv"], {"test": ["test/train.csv"]}),
        (["data/new-00000-of-00001.csv", "data/test-00000-of-00001.csv"], {
            "test": ["data/test-00000-of-00001.csv"], "new": ["data/new-00000-of-00001.csv"],
        }),
        (["latest.csv", "training.csv"], {"train": ["training.csv"]}),
    ],
)  # fmt: skip
def test_names(files: list[str], splits: dict[str, list[str]]) -> None:
    assert splits_of(files) == splits


def test_rows_of_a_split() -> None:
    from datasets import Dataset

    read: list[str] = []

    def rows(name: str) -> Dataset:
        read.append(name)
        return Dataset.from_dict({"x": [f"{name}{place}" for place in range(4)]})

    known = {name: (lambda name=name: rows(name)) for name in ("train", "test", "other")}
    assert select_split(known, "test", "d")[:]["x"] == ["test0", "test1", "test2", "test3"]
    assert read == ["test"]
    assert select_split(known, "test[1:3]", "d")[:]["x"] == ["test1", "test2"]
    assert select_split(known, "train[:25%]+test[-1:]", "d")[:]["x"] == ["train0", "test3"]
    assert len(select_split(known, "all", "d")) == 12
    with pytest.raises(VlalignError, match=r"d has no split 'tset' \(did you mean test\?\): it has train, test, other"):
        select_split(known, "tset", "d")
    with pytest.raises(VlalignError, match="cannot be read"):
        select_split(known, "test[x:y]", "d")
