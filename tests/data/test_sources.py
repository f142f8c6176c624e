"""Files, folders and the built-in set, each read by its usual convention."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlalign.data import DataSpec, open_data
from vlalign.errors import VlalignError

BOTH = {"text", "vision"}
RED, GREEN = (255, 0, 0), (0, 128, 0)


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_parquet_without_metadata(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    data = open_data(DataSpec(str(write_parquet(tmp_path / "set.parquet", rows))), BOTH)
    assert data.ids == ["s0", "s1", "s2", "s3", "s4", "s5"]
    assert (data.id_source, data.name, data.revision, data.n, len(data)) == ("column", "set.parquet", None, 6, 6)
    assert data.captions is not None
    assert data.captions[0] == "a red square"
    assert data.has_images
    assert data.image(1).mode == "RGB"
    assert data.image(1).getpixel((0, 0)) == GREEN


def test_parquet_and_arrow_with_metadata(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    from datasets import Dataset, Features, Image, List, Value

    features = Features({"key": Value("int64"), "photo": Image(), "captions": List(Value("string"))})
    table = {
        "key": list(range(6)),
        "photo": [row["image"] for row in rows],
        "captions": [row["text"] for row in rows],
    }
    made = Dataset.from_dict(table, features=features)
    made.to_parquet(tmp_path / "set.parquet")
    made.save_to_disk(tmp_path / "saved")
    arrow = next((tmp_path / "saved").glob("*.arrow"))
    contents = set()
    for source in (tmp_path / "set.parquet", arrow, tmp_path / "saved"):
        data = open_data(DataSpec(str(source), id_column="key", caption=1), BOTH)
        assert data.ids == list("012345")
        assert data.captions is not None
        assert data.captions[5] == "something white"
        assert data.image(0).getpixel((0, 0)) == RED
        contents.add((data.identity("text")["content"], data.identity("vision")["content"]))
    assert len(contents) == 1


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "tsv"])
def test_text_files_with_file_names(tmp_path: Path, pictures: Path, ending: str) -> None:
    rows = [
        {"id": f"00{index}", "caption": caption, "image": f"pictures/{colour}.png"}
        for index, (colour, caption) in enumerate([("red", "NA"), ("green", "None"), ("blue", 'say "x", y')])
    ]
    path = tmp_path / f"set.{ending}"
    if ending == "jsonl":
        write_jsonl(path, rows)
    elif ending == "json":
        path.write_text(json.dumps(rows))
    else:
        import pandas as pd

        pd.DataFrame(rows).to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    data = open_data(DataSpec(str(path)), BOTH)
    assert data.ids == ["000", "001", "002"]  # in a CSV too, ids are no numbers
    assert data.captions == ["NA", "None", 'say "x", y']  # nor captions missing values
    assert data.image(1).getpixel((0, 0)) == GREEN


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_image_folder_with_metadata(pictures: Path, kind: str) -> None:
    (pictures / "sub").mkdir()
    (pictures / "red.png").rename(pictures / "sub" / "test_red.png")  # the name must not make it another split
    rows = [{"file_name": "green.png", "text": "grass"}, {"file_name": "sub/test_red.png", "text": "fire"}]
    if kind == "jsonl":
        write_jsonl(pictures / "metadata.jsonl", rows)
    else:
        (pictures / "metadata.csv").write_text("file_name,text\ngreen.png,grass\nsub/test_red.png,fire\n")
    data = open_data(DataSpec(str(pictures)), BOTH)
    assert (data.ids, data.id_source) == (["green.png", "sub/test_red.png"], "file")
    assert data.captions == ["grass", "fire"]
    assert data.image(1).getpixel((0, 0)) == RED
    assert open_data(DataSpec(str(pictures)), {"text"}).ids == data.ids  # the same ids without images


def test_image_folder_alone(pictures: Path) -> None:
    data = open_data(DataSpec(str(pictures)), {"vision"})
    assert data.ids == sorted(f"{colour}.png" for colour in ["red", "green", "blue", "yellow", "black", "white"])
    assert data.captions is None
    with pytest.raises(
        VlalignError, match=r"images without captions: write metadata.csv in it, .* columns file_name,text$"
    ):
        open_data(DataSpec(str(pictures)), BOTH)


def test_folders_named_after_splits(pictures: Path) -> None:
    for split, colour in (("train", "red"), ("test", "green")):
        (pictures / split).mkdir()
        (pictures / f"{colour}.png").rename(pictures / split / f"{colour}.png")
    for rest in pictures.glob("*.png"):
        rest.unlink()
    assert open_data(DataSpec(str(pictures), split="test"), {"vision"}).ids == ["test/green.png"]
    with pytest.raises(VlalignError, match="has no split 'val': it has train, test; choose with --split"):
        open_data(DataSpec(str(pictures), split="val"), {"vision"})


def test_folder_of_data_files(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    (tmp_path / "folder").mkdir()
    write_parquet(tmp_path / "folder" / "train-00000-of-00001.parquet", rows[:4])
    write_parquet(tmp_path / "folder" / "test-00000-of-00001.parquet", rows[4:])
    assert open_data(DataSpec(str(tmp_path / "folder"), split="test"), BOTH).ids == ["s4", "s5"]


def test_text_only_set_has_row_ids(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "texts.jsonl", [{"sentence": f"number {index}"} for index in range(3)])
    data = open_data(DataSpec(str(path)), {"text"})
    assert (data.ids, data.id_source) == (["row-000000", "row-000001", "row-000002"], "row")
    assert not data.has_images
    with pytest.raises(VlalignError, match="opened without images"):
        data.image(0)
    with pytest.raises(VlalignError, match="opened for text, not for vision"):
        data.identity("vision")
    with pytest.raises(VlalignError, match="has no column of images: name it with --image-column"):
        open_data(DataSpec(str(path)), BOTH)


def test_max_samples_takes_the_first_rows(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = str(write_parquet(tmp_path / "set.parquet", rows))
    assert open_data(DataSpec(path, max_samples=2), BOTH).ids == ["s0", "s1"]
    assert open_data(DataSpec(path, max_samples=99), BOTH).n == 6


def test_a_changed_file_is_read_anew(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = write_parquet(tmp_path / "set.parquet", rows)
    first = open_data(DataSpec(str(path)), BOTH).identity("text")
    rows[0]["text"][0] = "another caption"
    second = open_data(DataSpec(str(write_parquet(path, rows))), BOTH).identity("text")
    assert first["content"] != second["content"]
    assert first["ids"] == second["ids"]


def test_moving_a_file_changes_no_identity(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    (tmp_path / "elsewhere").mkdir()
    first = open_data(DataSpec(str(write_parquet(tmp_path / "set.parquet", rows))), BOTH)
    second = open_data(DataSpec(str(write_parquet(tmp_path / "elsewhere" / "set.parquet", rows))), BOTH)
    for modality in BOTH:
        assert first.identity(modality) == second.identity(modality)
        assert json.loads(json.dumps(first.identity(modality))) == first.identity(modality)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("./nowhere", r"no such file or folder: \./nowhere"),
        ("nowhere.parquet", r"no such file or folder: nowhere\.parquet"),
        ("a/b/c", "no such file or folder"),
        ("builtin:smiley", "unknown built-in data set 'builtin:smiley': available is builtin:emoji"),
        ("  ", "the data source is empty"),
        ("~nobody-of-that-name/x.csv", "there is no user of that name"),
        ("x" * 300 + ".csv", "File name too long"),
        ("*.csv", r"no such file or folder: \*\.csv"),
    ],
)
def test_missing_source(source: str, message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        open_data(DataSpec(source), BOTH)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.parquet", b"nonsense", r"cannot read .*x\.parquet: Arrow"),
        ("x.jsonl", b"{nonsense", r"x\.jsonl is no JSON: .* line 1 column 2"),
        ("x.csv", b"", "holds no samples: the file has 0 bytes"),
        ("x.csv", b"id,text\n", "holds no samples"),
        ("x.jsonl", b"\n", "holds no samples"),
        ("x.xlsx", b"x", r"files ending in \.xlsx are not read; give one of \.parquet, \.arrow"),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VlalignError, match=message) as caught:
        open_data(DataSpec(str(tmp_path / name)), {"text"})
    assert "\n" not in str(caught.value)


def test_folder_without_data(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(VlalignError, match="holds no samples: it has no image and no data file"):
        open_data(DataSpec(str(tmp_path)), {"vision"})


@pytest.mark.parametrize("ending", ["parquet", "arrow", "saved", "csv", "tsv", "jsonl", "json"])
def test_image_names_of_tables(tmp_path: Path, pictures: Path, ending: str) -> None:
    """Only text tables, which their reader can read, name files outside."""
    from datasets import Dataset

    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "in.png").write_bytes((pictures / "red.png").read_bytes())
    path = tmp_path / "set" / f"d.{ending}"

    def read(image: Any) -> None:
        row = {"id": "a", "image": image}
        if ending == "parquet":
            write_parquet(path, [row])
        elif ending in ("arrow", "saved"):
            Dataset.from_list([row]).save_to_disk(tmp_path / "made")
            (tmp_path / "made").rename(tmp_path / "set" / "saved")
        elif ending in ("csv", "tsv"):
            path.write_text("\t,"[ending == "csv"].join(row) + "\n" + "\t,"[ending == "csv"].join(row.values()) + "\n")
        else:
            write_jsonl(path, [row])
        if ending == "arrow":
            next((tmp_path / "set" / "saved").glob("*.arrow")).rename(path)
        try:
            data = open_data(DataSpec(str(tmp_path / "set" / "saved" if ending == "saved" else path)), {"vision"})
            assert data.image(0).getpixel((0, 0)) == RED
        finally:
            shutil.rmtree(tmp_path / "set" / "saved", ignore_errors=True)

    if ending != "saved":
        read("in.png")
    for outside in ("../pictures/red.png", str(pictures / "red.png")):
        if ending in ("parquet", "arrow", "saved"):
            with pytest.raises(VlalignError, match=r"lies outside the data set; only a CSV, TSV or JSON file may name"):
                read(outside)
        else:
            read(outside)
    for wrong in ("/dev/zero", f"file://{pictures}/red.png", "https://example.org/a.png", "s3://b/a.png"):
        with pytest.raises(VlalignError, match=r"is no ordinary file|lies outside|is a URL"):
            read(wrong)


def test_a_saved_data_set_that_names_a_file_outside(tmp_path: Path) -> None:
    from datasets import Dataset

    Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "saved")
    state = json.loads((tmp_path / "saved" / "state.json").read_text())
    state["_data_files"] = [{"filename": "../other.arrow"}]
    (tmp_path / "saved" / "state.json").write_text(json.dumps(state))
    with pytest.raises(VlalignError, match=r"state.json names '\.\./other\.arrow', a file outside the folder"):
        open_data(DataSpec(str(tmp_path / "saved")), {"text"})


def test_split_revision_and_config_of_a_file(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = str(write_parquet(tmp_path / "set.parquet", rows))
    with pytest.raises(VlalignError, match="has no split 'test': its one split is train"):
        open_data(DataSpec(path, split="test"), BOTH)
    with pytest.raises(VlalignError, match="has no revisions: leave --data-revision out"):
        open_data(DataSpec(path, revision="main"), BOTH)
    with pytest.raises(VlalignError, match="name the folder or file of configuration 'a'"):
        open_data(DataSpec(path, config="a"), BOTH)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"caption": -1}, "caption: expected a whole number of at least 0, got -1"),
        ({"max_samples": 0}, "max_samples: expected a whole number of at least 1 or null, got 0"),
        ({"on_bad_sample": "ignore"}, "on_bad_sample: expected error or skip, got 'ignore'"),
        ({"alpha": "pink"}, "alpha: expected white or drop, got 'pink'"),
        ({"split": ""}, "the split is empty"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        DataSpec("builtin:emoji", **options)


@pytest.mark.parametrize("modalities", [set(), {"audio"}, {"text", "image"}])
def test_wrong_modalities(modalities: set[str]) -> None:
    with pytest.raises(VlalignError, match="ask for text, vision or both"):
        open_data(DataSpec("builtin:emoji"), modalities)


def test_a_caption_with_an_unquoted_comma_is_refused(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text("id,caption\na,one dog\nb,a cat, asleep\n")
    with pytest.raises(VlalignError, match=r"line 3 has 3 values.*quotes"):
        open_data(DataSpec(str(path)), {"text"})
    path.write_text('id,caption\na,one dog\nb,"a cat, asleep"\n')
    assert open_data(DataSpec(str(path)), {"text"}).captions == ["one dog", "a cat, asleep"]


def test_row_numbers_are_tied_to_the_very_file(tmp_path):
    for folder, word in (("a", "dog"), ("b", "cat")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "c.csv").write_text(f"caption\none {word}\ntwo {word}s\n")
    a, b = (open_data(DataSpec(str(tmp_path / f / "c.csv")), {"text"}).identity("text") for f in "ab")
    assert a["file"] != b["file"]
    (tmp_path / "moved.csv").write_bytes((tmp_path / "a" / "c.csv").read_bytes())
    moved = open_data(DataSpec(str(tmp_path / "moved.csv")), {"text"}).identity("text")
    assert moved["file"] == a["file"]
