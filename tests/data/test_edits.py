"""Files of captions that someone else edited."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from vlalign.data import DataSpec, open_data
from vlalign.data.edits import is_edits, read_edits, row_id
from vlalign.errors import VlalignError
from vlalign.perturb import parse_perturbation, perturb_data

ROWS = [("a", 0, "a red kite"), ("a", 50, "a kite"), ("007", 0, "NA"), ("007", 12.5, 'so, "quoted"')]


def released(n: int = 4, rates: tuple[int, ...] = (0, 10, 20)) -> list[Any]:
    """Captions in the released format; those of rate p end in ``-p``."""
    return [{f"Index - {i}": {"sentences": {f"Caption {i} - {p}%": f"c{i}-{p}" for p in rates}}} for i in range(n)]


def write_released(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def write_table(path: Path, rows: list[tuple[Any, ...]]) -> Path:
    import pandas as pd

    table = pd.DataFrame(rows, columns=["id", "rate", "text"])
    if path.suffix == ".parquet":
        table.to_parquet(path)
    elif path.suffix == ".jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    return path


def test_the_released_format(tmp_path: Path) -> None:
    edits = read_edits(write_released(tmp_path / "edits.json", released()))
    assert edits.name == "edits.json"
    assert edits.rates == [0, 10, 20]
    assert edits.texts[10] == {f"row-00000{i}": f"c{i}-10" for i in range(4)}
    assert row_id(1023) == "row-001023"


def test_the_released_similarities(tmp_path: Path) -> None:
    value = released(2)
    value[1]["Index - 1"]["similarities"] = [0.5, -0.25]
    read = read_edits(write_released(tmp_path / "edits.json", value))
    assert read.similarities == {10: {"row-000001": 0.5}, 20: {"row-000001": -0.25}}
    for wrong in ([0.5], [0.5, "a"], [0.5, 2.0], "a"):
        value[1]["Index - 1"]["similarities"] = wrong
        with pytest.raises(VlalignError, match="entry 1: similarities are not 2 cosines"):
            read_edits(write_released(tmp_path / "edits.json", value))


def test_the_index_counts_and_not_the_place(tmp_path: Path) -> None:
    edits = read_edits(write_released(tmp_path / "edits.json", released()[::-1]))
    assert edits.texts[20]["row-000003"] == "c3-20"


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".tsv", ".jsonl"])
def test_tables(tmp_path: Path, ending: str) -> None:
    edits = read_edits(write_table(tmp_path / f"edits{ending}", ROWS))
    assert edits.texts == {0: {"a": "a red kite", "007": "NA"}, 50: {"a": "a kite"}, 12.5: {"007": 'so, "quoted"'}}


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = write_table(tmp_path / "edits.csv", [("a", 10, "old")])
    assert read_edits(path).texts[10]["a"] == "old"
    write_table(path, [("a", 10, "new")])
    os.utime(path, ns=(1, 1))
    assert read_edits(path).texts[10]["a"] == "new"


def test_end_to_end_with_a_data_set_of_rows(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("text\n" + "".join(f"c{i}-0\n" for i in range(4)))
    path = write_released(tmp_path / "edits.json", released())
    data = open_data(DataSpec(str(tmp_path / "data.csv")), {"text"})
    made = perturb_data(data, [parse_perturbation(f"captions_file:20,file={path}")])
    assert made.captions == [f"c{i}-20" for i in range(4)]
    same = open_data(DataSpec(str(path)), {"text"})  # the file is a data set itself: its unedited captions
    assert (same.ids, same.captions) == (data.ids, data.captions)
    (tmp_path / "other.csv").write_text("text\n" + "".join(f"something else {i}\n" for i in range(4)))
    other = open_data(DataSpec(str(tmp_path / "other.csv")), {"text"})
    with pytest.raises(VlalignError, match="edits other captions"):
        perturb_data(other, [parse_perturbation(f"captions_file:20,file={path}")])
    with pytest.raises(VlalignError, match="no captions at 30 %: it has 0, 10, 20"):
        perturb_data(data, [parse_perturbation(f"captions_file:30,file={path}")])


def test_a_released_file_without_unedited_captions_is_no_data_set(tmp_path: Path) -> None:
    path = write_released(tmp_path / "edits.json", released(rates=(10,)))
    assert read_edits(path).rates == [10]
    with pytest.raises(VlalignError, match="no captions at 0 %"):
        open_data(DataSpec(str(path)), {"text"})


def test_what_the_released_format_looks_like() -> None:
    assert is_edits(released())
    for other in ([], {}, [{}], [{"text": "a"}], [{"Index - 0": "a"}], [{"Index - x": {"sentences": {}}}], ["a"]):
        assert not is_edits(other)


def damaged(**changes: Any) -> list[Any]:
    return [*released(2), *([{"Index - 2": {"sentences": changes}}] if changes else [])]


WRONG: dict[str, tuple[str, Any, str]] = {
    "no json": ("a.json", "{", "cannot read the captions file"),
    "other json": ("a.json", '[{"text": "a"}]', "is no file of edited captions"),
    "no list": ("a.json", "{}", "is no file of edited captions"),
    "a label": ("a.json", json.dumps(damaged(**{"Caption 2 - ten%": "a"})), "entry 2: 'Caption 2 - ten%' is not"),
    "no text": ("a.json", json.dumps(damaged(**{"Caption 2 - 10%": None})), "entry 2"),
    "an entry": ("a.json", json.dumps([*released(1), {"Index 1": {}}]), "entry 1 is not"),
    "no object": ("a.json", json.dumps([*released(1), "a"]), "entry 1 is not"),
    "two": ("a.json", json.dumps([*released(1), {"Index - 0": {"sentences": {"Caption 0 - 10%": "b"}}}]), "two texts"),
    "long index": ("a.json", '[{"Index - %s": {"sentences": {}}}]' % ("9" * 5000), "is no file of edited captions"),
    "ending": ("a.txt", "a", ".json, .parquet, .csv, .tsv, .jsonl"),
    "column": ("a.csv", "id,text\na,b\n", "lacks the column rate"),
    "columns": ("a.tsv", "name\tfoo\na\tb\n", "lacks the column id, rate, text"),
    "rate": ("a.csv", "id,rate,text\na,ten,b\n", "row 0: the rate is in percent, 0 to 100, not 'ten'"),
    "high": ("a.csv", "id,rate,text\na,10,b\na,101,b\n", "row 1: the rate is in percent"),
    "twice": ("a.csv", "id,rate,text\na,10,b\na,10,c\n", "two texts of 'a' at 10 %"),
    "comma": ("a.csv", "id,rate,text\na,10,20, things\n", "line 2 has 4 values, the header 3"),
    "id": ("a.csv", "id,rate,text\n,10,b\n", "row 0 has no id"),
    "null id": ("a.jsonl", '{"id": null, "rate": 10, "text": "b"}\n', "row 0 has no id"),
    "null": ("a.jsonl", '{"id": "a", "rate": 10, "text": null}\n', "row 0 (id 'a', 10 %) has no text"),
    "none": ("a.csv", "id,rate,text\n", "holds no captions"),
    "empty": ("a.csv", "", "cannot read the captions file"),
    "parquet": ("a.parquet", "no parquet", "cannot read the captions file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files(case: str, tmp_path: Path) -> None:
    name, content, words = WRONG[case]
    (tmp_path / name).write_text(content)
    with pytest.raises(VlalignError) as error:
        read_edits(tmp_path / name)
    assert words in str(error.value)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match=r"cannot read the captions file .*none.json: No such file"):
        read_edits(tmp_path / "none.json")
