"""Records: JSON that any program reads, written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from vlalign.errors import VlalignError
from vlalign.scoring import ScoreRecord, score


@pytest.fixture
def record() -> ScoreRecord:
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    return score(x, [x, -x], k=3, permutations=19)


def test_round_trip(record: ScoreRecord, tmp_path: Path) -> None:
    path = record.save(tmp_path / "deep" / "er" / record.filename)
    assert ScoreRecord.load(path) == record
    assert [file.name for file in path.parent.iterdir()] == [record.filename]


def test_readable_without_vlalign(record: ScoreRecord, tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in the JSON")

    text = record.save(tmp_path / "r.json").read_text()
    data = json.loads(text, parse_constant=refuse)
    assert data == dataclasses.asdict(record)
    assert data["format"] == 2
    assert data["metric"] == {"name": "mutual_knn", "params": {"k": 3}}
    assert data["chance"] == 3 / 19
    assert max(map(max, data["matrix"])) == data["best"]["score"]
    i, j = (data["best"][side]["position"] for side in "xy")
    assert data["matrix"][i][j] == data["best"]["score"]
    assert {"python", "packages", "platform", "git"} <= set(data["environment"])
    assert len(text.splitlines()) < 200


def test_not_a_number_is_refused(record: ScoreRecord, tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match="not finite"):
        dataclasses.replace(record, matrix=[[float("nan")]]).save(tmp_path / "r.json")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_record(
    record: ScoreRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record.save(tmp_path / "r.json")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(VlalignError, match="No space left"):
        dataclasses.replace(record, n=99).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["r.json"]


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "not valid JSON"), ("[]", "not a score record"), ('{"matrix": [], "format": 1}', "format 1"),
     ('{"matrix": [], "format": 2}', "lacks")],
)  # fmt: skip
def test_other_files_are_refused(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(VlalignError, match=says) as error:
        ScoreRecord.load(tmp_path / "r.json")
    assert "\n" not in str(error.value)


def test_missing_file_and_unwritable_folder(record: ScoreRecord, tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match="cannot read"):
        ScoreRecord.load(tmp_path / "none.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(VlalignError, match="cannot write"):
        record.save(tmp_path / "file" / "r.json")


def test_variants_have_files_of_their_own(record: ScoreRecord) -> None:
    whole = {**record.axes["x"][0], "index": -1, "name": "all"}
    variants = [
        record,
        dataclasses.replace(record, axes={**record.axes, "x": [*record.axes["x"], whole]}),
        dataclasses.replace(record, pairing={**record.pairing, "groups": {"source": "a file"}}),
        dataclasses.replace(record, pairing={**record.pairing, "groups": {"source": "another file"}}),
        dataclasses.replace(record, metric={"name": "mutual_knn", "params": {"k": 4}}),
    ]
    assert len({one.filename for one in variants}) == len(variants)


def test_long_names_fit_the_file_system(record: ScoreRecord, tmp_path: Path) -> None:
    found = [
        dataclasses.replace(record, x={**record.x, "model": "owner/" + "long-" * 80 + end}).filename for end in "ab"
    ]
    assert len(set(found)) == 2
    assert all(len(name) == 205 and name.startswith("owner--long-") for name in found)
    record.save(tmp_path / found[0])


def test_times_chance_needs_a_chance_level(record: ScoreRecord) -> None:
    assert dataclasses.replace(record, chance=record.score / 4).times_chance == 4
    for chance in (None, 0.0, -1e-18):
        assert dataclasses.replace(record, chance=chance).times_chance is None
