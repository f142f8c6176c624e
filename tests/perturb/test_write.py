"""Perturbed data as a file: the same as in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Image as ImageFeature
from datasets import load_dataset
from support.perturb import small_set

from vlalign.data import DataSpec, PairedData, open_data
from vlalign.errors import VlalignError
from vlalign.perturb import parse_perturbation, perturb_data, write
from vlalign.perturb.write import write_perturbed

STEPS = ("char_delete:30", "word_shuffle:60", "pixel_noise:40", "patch_delete:20,grid=5")


def edited(data: PairedData, *texts: str) -> PairedData:
    return perturb_data(data, [parse_perturbation(text) for text in texts or STEPS])


def assert_same(one: PairedData, other: PairedData) -> None:
    assert one.ids == other.ids
    assert one.captions == other.captions
    assert one.has_images == other.has_images
    for i in range(one.n if one.has_images else 0):
        np.testing.assert_array_equal(np.asarray(one.image(i)), np.asarray(other.image(i)))


def test_the_file_is_what_is_in_memory(tmp_path: Path) -> None:
    made = edited(small_set())
    path = write_perturbed(made, tmp_path / "made.parquet")
    assert path == tmp_path / "made.parquet"
    again = open_data(DataSpec(str(path)), {"text", "vision"})
    assert_same(again, made)
    assert [file.name for file in tmp_path.iterdir()] == ["made.parquet"]
    # the columns are what other programs expect
    loaded = load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert list(loaded.features) == ["id", "text", "image"]
    assert isinstance(loaded.features["image"], ImageFeature)
    np.testing.assert_array_equal(np.asarray(loaded[2]["image"]), np.asarray(made.image(2)))


def test_one_modality(tmp_path: Path) -> None:
    texts = edited(small_set(images=False), "char_delete:20")
    path = write_perturbed(texts, tmp_path / "texts.parquet")
    assert pq.read_schema(path).names == ["id", "text"]
    assert_same(open_data(DataSpec(str(path)), {"text"}), texts)
    images = edited(small_set(None), "pixel_delete:20")
    path = write_perturbed(images, tmp_path / "images.parquet")
    assert pq.read_schema(path).names == ["id", "image"]
    assert_same(open_data(DataSpec(str(path)), {"vision"}), images)


def test_unedited_data_and_those_of_the_built_in_set(tmp_path: Path) -> None:
    data = open_data(DataSpec("builtin:emoji", max_samples=5), {"text", "vision"})
    for name, made in (("plain", data), ("edited", edited(data))):
        path = write_perturbed(made, tmp_path / f"{name}.parquet")
        assert_same(open_data(DataSpec(str(path)), {"text", "vision"}), made)


@pytest.mark.parametrize(("rows", "size", "groups"), [(3, 1 << 30, [3, 3, 2]), (100, 1, [1] * 8), (100, 1 << 30, [8])])
def test_groups_of_rows(
    rows: int, size: int, groups: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "GROUP_ROWS", rows)
    monkeypatch.setattr(write, "GROUP_BYTES", size)
    made = edited(small_set())
    path = write_perturbed(made, tmp_path / "made.parquet")
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == groups
    assert_same(open_data(DataSpec(str(path)), {"text", "vision"}), made)


def test_empty_captions_are_written(tmp_path: Path) -> None:
    made = perturb_data(small_set(images=False), [parse_perturbation("char_delete:100")], allow_empty=True)
    path = write_perturbed(made, tmp_path / "made.parquet")
    assert pq.read_table(path)["text"].to_pylist() == [""] * 8


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_perturbed(edited(small_set()), tmp_path / "made.parquet")
    before = path.read_bytes()
    monkeypatch.setattr(write, "GROUP_ROWS", 2)
    broken = small_set()

    def image(self: PairedData, i: int) -> object:
        if i == 5:
            raise VlalignError("image of sample 's5' is gone")
        return original(self, i)

    original = PairedData.image
    monkeypatch.setattr(PairedData, "image", image)
    with pytest.raises(VlalignError, match="s5"):
        write_perturbed(edited(broken), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["made.parquet"]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    made = edited(small_set(images=False), "char_delete:20")
    (tmp_path / "folder.parquet").mkdir()
    for path, words in (
        (tmp_path / "made.csv", "ending in .parquet"),
        (tmp_path / "no" / "made.parquet", "no folder"),
        (tmp_path / "folder.parquet", "is no file"),
    ):
        with pytest.raises(VlalignError, match=words):
            write_perturbed(made, path)


def test_the_unedited_file_is_not_overwritten(tmp_path: Path) -> None:
    path = write_perturbed(small_set(), tmp_path / "data.parquet")
    before = path.read_bytes()
    data = open_data(DataSpec(str(path)), {"text"})
    with pytest.raises(VlalignError, match="holds the unedited data"):
        write_perturbed(edited(data, "char_delete:20"), path)
    assert path.read_bytes() == before
