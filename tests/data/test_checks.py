"""Every sample is checked before anything is loaded: columns, ids, captions, images."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlalign.data import DataSpec, PairedData, open_data
from vlalign.errors import VlalignError

BOTH = {"text", "vision"}
Save = Callable[[list[dict[str, Any]]], str]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write rows as a parquet file; returns its name."""

    def write(rows: list[dict[str, Any]]) -> str:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set.parquet")
        return str(tmp_path / "set.parquet")

    return write


def fails(message: str, spec: DataSpec, modalities: set[str] = BOTH) -> None:
    with pytest.raises(VlalignError, match=message) as caught:
        open_data(spec, modalities)
    assert "\n" not in str(caught.value)


def test_unknown_columns(save: Save, rows: list[dict[str, Any]]) -> None:
    path = save(rows)
    listed = r"its columns: id \(string\), image \(image\), text \(list of string\)$"
    fails(rf"no column 'txt' for --text-column \(did you mean text\?\); {listed}", DataSpec(path, text_column="txt"))
    fails("no column 'Image' for --image-column .did you mean image", DataSpec(path, image_column="Image"), {"text"})
    fails("no column 'zzz' for --id-column; its", DataSpec(path, id_column="zzz"))
    fails(r"column 'text' of .* holds list of string, not images or file names", DataSpec(path, image_column="text"))
    fails("column 'image' of .* holds image, not text", DataSpec(path, text_column="image"))


def test_several_columns_could_be_the_one(save: Save, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row["left"] = row["right"] = row.pop("image")
        row["de"], row["fr"] = row.pop("text")
    path = save(rows)
    fails(
        r"several columns that could hold the image \(left, right\): name it with --image", DataSpec(path), {"vision"}
    )
    fails(r"several columns that could hold the text \(de, fr\): name it with --text", DataSpec(path), {"text"})
    assert open_data(DataSpec(path, text_column="fr", image_column="left"), BOTH).n == 6


def test_ids(save: Save, rows: list[dict[str, Any]]) -> None:
    rows[3]["id"] = rows[0]["id"]
    fails("1 ids of .* occur more than once in its column 'id', such as 's0': make", DataSpec(save(rows)), {"text"})
    rows[3]["id"] = None
    fails(r"1 of 6 samples of .* have no id in column 'id' \(rows 3, counted from 0\)", DataSpec(save(rows)), {"text"})
    for index, row in enumerate(rows):
        row["id"] = 10 * index
    assert open_data(DataSpec(save(rows)), {"text"}).ids == ["0", "10", "20", "30", "40", "50"]


def test_ids_below_a_header_with_spaces(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(" id , text\n007, a dog\n008, a cat\n")
    assert open_data(DataSpec(str(tmp_path / "d.csv")), {"text"}).ids == ["007", "008"]


def test_repeated_file_of_an_image_folder(pictures: Path) -> None:
    (pictures / "metadata.csv").write_text("file_name,text\nred.png,a\nred.png,b\n")
    fails("occur more than once in its file names, such as 'red.png'", DataSpec(str(pictures)), {"text"})


def test_caption_index(save: Save, rows: list[dict[str, Any]]) -> None:
    rows[2]["text"] = ["only one"]
    fails(
        r"1 of 6 samples .*: 's2' \(has 1 caption\(s\) in column 'text', so no caption 1",
        DataSpec(save(rows), caption=1),
    )
    for row in rows:
        row["text"] = "a string"
    fails("column 'text' .* one caption per sample: caption 0, not 1", DataSpec(save(rows), caption=1))


def test_captions_that_say_nothing(save: Save, rows: list[dict[str, Any]]) -> None:
    rows[0]["text"], rows[1]["text"], rows[2]["text"], rows[3]["text"] = [" \n"], None, [], [None, "x"]
    path = save(rows)
    fails(
        r"4 of 6 samples of .*set\.parquet cannot be used: 's0' \(the caption in column 'text' is empty\), 's1' \(the "
        r"caption in column 'text' is missing\), 's2' \(.*\) and 1 more; correct them, or .* --on-bad-sample skip",
        DataSpec(path),
        {"text"},
    )
    assert open_data(DataSpec(path), {"vision"}).n == 6  # captions are not read
    data = open_data(DataSpec(path, on_bad_sample="skip"), BOTH)
    assert data.ids == ["s4", "s5"]
    assert [entry["id"] for entry in data.skipped] == ["s0", "s1", "s2", "s3"]
    assert data.image(0).getpixel((0, 0)) == (0, 0, 0)  # still the picture of s4
    for row in rows:
        row["text"] = [""]
    fails("no sample of .* is left: all 6 are bad", DataSpec(save(rows), on_bad_sample="skip"))


def test_captions_that_are_no_strings(save: Save, rows: list[dict[str, Any]]) -> None:
    for index, row in enumerate(rows):
        row["number"], row["numbers"] = 1.5 * index, [index, 7]
    path = save(rows)
    assert open_data(DataSpec(path, text_column="number"), {"text"}).captions == [
        "0.0",
        "1.5",
        "3.0",
        "4.5",
        "6.0",
        "7.5",
    ]
    assert open_data(DataSpec(path, text_column="numbers"), {"text"}).captions == list("012345")


def test_broken_images(save: Save, rows: list[dict[str, Any]]) -> None:
    whole = rows[1]["image"]["bytes"]
    for index, content in {0: b"no image", 1: whole[: len(whole) - 20], 2: b"", 3: None}.items():
        rows[index]["image"] = {"bytes": content, "path": None}
    path = save(rows)
    fails(
        r"4 of 6 samples .*: 's0' \(image: not an image that PIL can read\), 's1' \(image: cannot be dec",
        DataSpec(path),
    )
    assert open_data(DataSpec(path), {"text"}).n == 6  # images are not read
    data = open_data(DataSpec(path, on_bad_sample="skip"), BOTH)
    assert data.ids == ["s4", "s5"]
    assert data.captions == ["a black square", "a white square"]
    reasons = [entry["reason"] for entry in data.skipped]
    assert reasons[0] == "image: not an image that PIL can read"
    assert reasons[2:] == ["image: the image has 0 bytes", "image: there is no image"]


def test_missing_files(pictures: Path) -> None:
    (pictures / "metadata.csv").write_text("file_name,text\nred.png,a\ngone.png,b\n")
    fails(r"1 of 2 samples .* 'gone\.png' \(image: .*gone\.png': No such file or directory\)", DataSpec(str(pictures)))
    data = open_data(DataSpec(str(pictures), on_bad_sample="skip"), BOTH)
    (pictures / "red.png").unlink()
    with pytest.raises(VlalignError, match=r"image of sample 'red\.png' of pictures: .*No such file"):
        data.image(0)


def test_decompression_bomb(save: Save, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9)
    fails(r"'s0' \(image: too many pixels \(decompression bomb\)\)", DataSpec(save(rows)))


def test_identity_tells_data_apart(save: Save, rows: list[dict[str, Any]]) -> None:
    path = save(rows)

    def of(modality: str, **options: Any) -> Any:
        return open_data(DataSpec(path, **options), {modality}).identity(modality)

    assert of("text") == open_data(DataSpec(path), BOTH).identity("text")
    assert of("vision") == open_data(DataSpec(path), BOTH).identity("vision")
    assert len({str(of("text", **options)) for options in ({}, {"caption": 1}, {"max_samples": 3})}) == 3
    assert len({str(of("vision", **options)) for options in ({}, {"alpha": "drop"}, {"max_samples": 3})}) == 3
    before = of("vision")
    rows[0]["image"], rows[1]["image"] = rows[1]["image"], rows[0]["image"]
    save(rows)
    assert of("vision")["content"] != before["content"]
    assert of("vision")["ids"] == before["ids"]


def _pixel(data: PairedData, i: int) -> Any:
    return data.image(i).getpixel((0, 0))


@pytest.mark.parametrize("builtin", [True, False])
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_survives_worker_processes(method: str, builtin: bool, save: Save, rows: list[dict[str, Any]]) -> None:
    spec = DataSpec("builtin:emoji", max_samples=6) if builtin else DataSpec(save(rows))
    data = open_data(spec, BOTH)
    again = pickle.loads(pickle.dumps(data))
    assert (again.ids, again.captions, again.identity("vision")) == (data.ids, data.captions, data.identity("vision"))
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.starmap(_pixel, [(data, i) for i in range(6)]) == [_pixel(data, i) for i in range(6)]


def test_import_is_light() -> None:
    code = (
        "import sys, vlalign.data; "
        "print([m for m in ('torch', 'datasets', 'pyarrow', 'PIL', 'pandas', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
