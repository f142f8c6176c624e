"""Folders: images beside data files, metadata, splits, README files, and names with any characters."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlalign.data import DataSpec, open_data
from vlalign.errors import VlalignError

ODD = ["[x]", "a*b", "what?", "{a,b}", "**", "[!a]", "100% é #", "a::b", "~x", "-x", "file:x", "x\\y"]


def ids(path: Path, modalities: set[str] | None = None, **options: Any) -> list[str]:
    return open_data(DataSpec(str(path), **options), modalities or {"text"}).ids


def refuses(message: str, path: Path, modalities: set[str] | None = None, **options: Any) -> None:
    with pytest.raises(VlalignError, match=message) as caught:
        ids(path, modalities, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("beside", ["info.json", "captions.csv", "notes.tsv", "x.parquet", "sub/more.jsonl"])
def test_images_beside_a_data_file(pictures: Path, beside: str, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copy(pictures / "red.png", pictures / "a train.png")
    shutil.copy(pictures / "red.png", pictures / "test tube.png")
    (pictures / beside).parent.mkdir(exist_ok=True)
    (pictures / beside).write_text('{"author": "nobody"}')
    names = ["a train", "black", "blue", "green", "red", "test tube", "white", "yellow"]
    assert ids(pictures, {"vision"}) == [f"{name}.png" for name in names]
    assert f"is read as a folder of 8 images; not read: '{beside}'" in caplog.text


@pytest.mark.parametrize("name", ODD)
def test_names_are_no_patterns(tmp_path: Path, pictures: Path, name: str) -> None:
    from datasets import Dataset

    folder = tmp_path / name
    folder.mkdir()
    (tmp_path / "x").mkdir()  # what the pattern [x] would match
    table = pa.table({"id": ["a", "b"], "text": ["one", "two"]})
    pq.write_table(table, folder / f"{name}.parquet")
    (folder / f"{name}.csv").write_text("id,text\na,one\nb,two\n")
    (folder / f"{name}.jsonl").write_text('{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n')
    with pa.ipc.new_stream(folder / f"{name}.arrow", table.schema) as writer:
        writer.write_table(table)
    for ending in ("parquet", "arrow", "csv", "jsonl"):
        assert ids(folder / f"{name}.{ending}") == ["a", "b"]
        alone = tmp_path / f"{name}-{ending}"
        alone.mkdir()
        shutil.copy(folder / f"{name}.{ending}", alone)
        assert ids(alone) == ["a", "b"]
    Dataset(table).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved").rename(folder / "saved")
    if "::" in name:
        refuses("cannot be read from a path with '::': rename the folder", folder / "saved")
    else:
        assert ids(folder / "saved") == ["a", "b"]
    shutil.copytree(pictures, folder / "p")
    shutil.copy(pictures / "red.png", folder / "p" / f"{name}.png")
    (folder / "p" / "metadata.csv").write_text(f'file_name,text\n"{name}.png",red\n')
    assert ids(folder / "p", {"text", "vision"}) == [f"{name}.png"]


def test_metadata_keeps_its_text(pictures: Path) -> None:
    rows = [("red.png", "007", "NA"), ("green.png", "1.0", "None"), ("blue.png", "1e5", "2020-01-01")]
    (pictures / "metadata.csv").write_text(
        "".join(",".join(row) + "\n" for row in [("file_name", "id", "text"), *rows])
    )
    data = open_data(DataSpec(str(pictures)), {"text", "vision"})
    assert (data.ids, data.captions) == (["007", "1.0", "1e5"], ["NA", "None", "2020-01-01"])
    assert data.image(1).getpixel((0, 0)) == (0, 128, 0)
    (pictures / "metadata.csv").unlink()
    named = [{"file_name": file, "id": name, "text": text} for file, name, text in rows]
    (pictures / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in named))
    assert ids(pictures) == data.ids
    (pictures / "metadata.jsonl").unlink()
    pq.write_table(pa.Table.from_pylist(named), pictures / "metadata.parquet")
    assert ids(pictures) == data.ids


def test_metadata_with_numbers_beside_its_text(pictures: Path) -> None:
    (pictures / "metadata.csv").write_text("file_name,width,words\nred.png,5,fire\ngreen.png,6,grass\n")
    data = open_data(DataSpec(str(pictures)), {"text", "vision"})
    assert data.captions == ["fire", "grass"]
    assert open_data(DataSpec(str(pictures), text_column="width"), {"text"}).captions == ["5", "6"]


def test_images_without_a_row(pictures: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("blue", "yellow", "black"):
        (pictures / f"{name}.png").unlink()
    (pictures / "metadata.csv").write_text("file_name,text\nred.png,fire\ngreen.png,grass\n")
    assert ids(pictures, {"vision"}) == ["red.png", "green.png"]
    assert "1 of 3 images has no row in metadata.csv: 'white.png' (left out)" in caplog.text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../red.png", "row 1 names '../red.png': a file_name is relative and stays in this folder"),
        ("/etc/hostname", "row 1 names '/etc/hostname'"),
        ("file:///etc/hostname", "row 1 names 'file:"),
        ("a/../../red.png", "row 1 names"),
        ("", r"row 1 \(counted from 0\) has no file_name"),
    ],
)
def test_metadata_that_names_no_file_of_its_folder(pictures: Path, name: str, message: str) -> None:
    (pictures / "metadata.csv").write_text(f"file_name,text\nred.png,a\n{name},b\n")
    refuses(message, pictures, {"vision"})


def test_metadata_without_file_names(pictures: Path) -> None:
    (pictures / "metadata.csv").write_text("image,text\nred.png,a\n")
    refuses("metadata.csv has no column file_name; its columns: 'image', 'text'", pictures)


def test_metadata_above_the_folders_of_splits(pictures: Path) -> None:
    for split, colour in (("train", "red"), ("test", "green")):
        (pictures / split).mkdir()
        (pictures / f"{colour}.png").rename(pictures / split / f"{colour}.png")
    (pictures / "metadata.csv").write_text("file_name,id,text\ntest/green.png,7,grass\ntrain/red.png,07,fire\n")
    for split, name, text in (("train", "07", "fire"), ("test", "7", "grass")):
        data = open_data(DataSpec(str(pictures), split=split), {"text", "vision"})
        assert (data.ids, data.captions) == ([name], [text])


def test_images_outside_the_splits(pictures: Path, caplog: pytest.LogCaptureFixture) -> None:
    (pictures / "test").mkdir()
    (pictures / "red.png").rename(pictures / "test" / "red.png")
    assert ids(pictures, {"vision"}, split="test") == ["test/red.png"]
    assert "5 images lie outside its splits (test) and are left out" in caplog.text
    refuses("has no split 'train': its one split is test", pictures, {"vision"})


def test_data_files_by_split(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.csv").write_text("id,text\n007,NA\n")
    (folder / "test-1.csv").write_text("id;text\na;one\n")
    (folder / "test-2.tsv").write_text("text\tid\ntwo\tb\n")
    assert ids(folder) == ["007"]
    assert ids(folder, split="test") == ["a", "b"]
    assert ids(folder, split="train+test[:1]") == ["007", "a"]
    refuses("has no split 'validation': it has train, test", folder, split="validation")


def test_data_files_of_two_formats(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.csv").write_text("id,text\na,one\n")
    (tmp_path / "b.csv").write_text("id,text\nb,two\n")
    (tmp_path / "c.jsonl").write_text('{"id": "c", "text": "three"}\n')
    assert ids(tmp_path) == ["a", "b"]
    assert "those of format csv are read, not 'c.jsonl'" in caplog.text


def readme(folder: Path, files: Any, **options: Any) -> None:
    import yaml

    config = {"config_name": "default", "data_files": files, **options}
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': [config]})}---\n# A set\n")


def test_data_files_that_a_readme_declares(tmp_path: Path, pictures: Path) -> None:
    (pictures / "d").mkdir()
    (pictures / "d" / "one.csv").write_text("id|text\na|one, 1\n")
    (pictures / "d" / "two.csv").write_text("id|text\nb|two\n")
    readme(pictures, [{"split": "train", "path": "d/o*.csv"}, {"split": "rest", "path": ["d/two.csv"]}], sep="|")
    assert ids(pictures) == ["a"]
    assert ids(pictures, split="rest") == ["b"]
    readme(pictures, "two.csv", data_dir="d")
    assert ids(pictures) == ["b"]
    readme(pictures, "three.csv")
    refuses(r"README\.md names 'three\.csv' as data: no data file matches", pictures)


@pytest.mark.parametrize(
    "files",
    [
        "../secret.csv",
        "d/../../secret.csv",
        ["a.csv", "/etc/hostname"],
        "https://example.org/a.csv",
        [{"split": "train", "path": "file:///etc/hostname"}],
        "hf://datasets/a/b/c.csv",
        "zip://a.csv::b.zip",
        "~/secret.csv",
    ],
)
def test_a_readme_that_names_data_outside(tmp_path: Path, files: Any) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (tmp_path / "secret.csv").write_text("id,text\na,one\n")
    (folder / "a.csv").write_text("id,text\na,one\n")
    readme(folder, files)
    refuses("its README.md names .* as data: only files inside the folder are read", folder)


def test_a_readme_that_is_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\na,one\n")
    (tmp_path / "README.md").write_text("---\nconfigs: [\n---\n")
    refuses(r"cannot read .*README\.md: ", tmp_path)


def test_a_readme_that_repeats_itself_without_end(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\na,one\n")
    bomb = "".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}' if i else 'x'] * 9)}]\n" for i in range(9))
    (tmp_path / "README.md").write_text(f"---\n{bomb}configs:\n- config_name: default\n  data_files: *b8\n---\n")
    refuses(r"its README\.md declares more than 100,000 values", tmp_path)


def test_links_within_image_folders(tmp_path: Path, pictures: Path) -> None:
    folder = tmp_path / "links"
    folder.mkdir()
    os.symlink(pictures / "red.png", folder / "r.png")
    os.symlink(pictures, folder / "more")
    os.symlink(folder, folder / "loop")
    os.symlink("nowhere", folder / "gone.png")
    os.symlink("/dev/zero", folder / "zero.png")
    os.mkfifo(folder / "pipe.png")
    assert ids(folder, {"vision"})[-1] == "r.png"
    assert len(ids(folder, {"vision"})) == 7


@pytest.mark.parametrize("split", ["test", "validation", "all+test"])
def test_split_of_a_saved_data_set(tmp_path: Path, split: str) -> None:
    from datasets import Dataset, DatasetDict

    rows = Dataset.from_dict({"id": ["a", "b", "c"], "text": ["one", "two", "three"]})
    rows.save_to_disk(tmp_path / "saved")
    refuses("saved has no split '.*': its one split is train; choose with --split", tmp_path / "saved", split=split)
    assert ids(tmp_path / "saved", split="train[1:]") == ["b", "c"]
    DatasetDict({"train": rows, "other": rows.select([2])}).save_to_disk(tmp_path / "both")
    refuses("both has no split '.*': it has train, other", tmp_path / "both", split=split)
    assert ids(tmp_path / "both", split="other") == ["c"]
    assert ids(tmp_path / "both", split="train[:1]+other") == ["a", "c"]


def test_samples_without_a_partner_are_counted(pictures: Path) -> None:
    rows = ["file_name,text", "red.png,fire", "green.png,", "nowhere.png,gone", "lost.png,gone", "blue.png,sea"]
    (pictures / "metadata.csv").write_text("\n".join(rows))
    data = open_data(DataSpec(str(pictures), on_bad_sample="skip"), {"text", "vision"})
    assert data.captions == ["fire", "sea"]
    assert (data.without_caption, data.without_image) == (4, 2)  # one of them empty, three that no row names
    assert data.typical_size() is not None
    assert open_data(DataSpec(str(pictures), on_bad_sample="skip"), {"text"}).typical_size() is None
