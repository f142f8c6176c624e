"""Samples as data sets: columns, types, what is saved and read back, folders that are not overwritten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, DatasetDict, List, Value, load_from_disk
from support.synthetic import bits_of, small

from vlalign.errors import VlalignError
from vlalign.synthetic import make_data, to_datasets
from vlalign.synthetic.export import save_datasets


@pytest.mark.parametrize("values", [{}, {"modalities": 3, "unique_bits": 3, "classes": 5, "noise": 0.1}])
def test_data_sets_round_trip(tmp_path: Path, values: dict[str, float]) -> None:
    config = small(**values)
    data = make_data(config, 5)
    to_datasets(data, 3).save_to_disk(tmp_path / "set")
    found = load_from_disk(tmp_path / "set")
    assert isinstance(found, DatasetDict)
    assert list(found) == ["train", "validation", "test"]
    sides = range(1, config.modalities + 1)
    seen = []
    for name, split in found.items():
        rows = data.splits[name]
        kinds = split.features
        assert list(kinds) == ["id", "label", *[column for m in sides for column in (f"x{m}", f"bits{m}")]]
        assert kinds["id"] == Value("string")
        assert kinds["label"] == ClassLabel(names=[f"class {c}" for c in range(config.classes)])
        assert split["id"][:] == [f"sample-{row:06d}" for row in rows]
        assert split["label"][:] == data.labels[rows].tolist()
        seen += split["id"][:]
        arrays = split.with_format("numpy")
        for m in sides:
            assert kinds[f"x{m}"] == List(Value("float32"), length=config.width)
            assert kinds[f"bits{m}"] == List(Value("int8"), length=config.width)
            assert (arrays[f"bits{m}"][:] == bits_of(data, m - 1)[rows]).all()
            assert (arrays[f"x{m}"][:] == data.features(m - 1, 3).numpy()[rows]).all()
    assert sorted(seen) == [f"sample-{row:06d}" for row in range(config.samples)]
    counts = [np.bincount(split["label"][:], minlength=config.classes) for split in found.values()]
    assert (sum(counts) == np.bincount(data.labels, minlength=config.classes)).all()


def test_the_depth_of_the_transform_changes_other_modalities_alone() -> None:
    data = make_data(small(), 0)
    one, three = (to_datasets(data, depth)["test"].with_format("numpy") for depth in (1, 3))
    assert (one["x1"][:] == three["x1"][:]).all()
    assert (one["bits2"][:] == three["bits2"][:]).all()
    assert (one["x2"][:] != three["x2"][:]).any()


def test_folders(tmp_path: Path) -> None:
    data = make_data(small(samples=128, align_samples=8), 0)
    folder = save_datasets(data, 1, tmp_path / "new" / "set")
    first = load_from_disk(folder)["test"].with_format("numpy")["x2"][:]
    assert save_datasets(data, 1, folder) == folder  # the same again
    with pytest.raises(VlalignError, match="holds a data set of other settings: name another folder"):
        save_datasets(data, 3, folder)
    assert (load_from_disk(folder)["test"].with_format("numpy")["x2"][:] == first).all()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes").write_text("mine")
    for place in ("file", "folder"):
        with pytest.raises(VlalignError, match=f"{place} exists and holds no data set: name another folder"):
            save_datasets(data, 1, tmp_path / place)
    with pytest.raises(VlalignError, match="is not a folder"):
        save_datasets(data, 1, tmp_path / "file" / "set")
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "notes").read_text() == "mine"
