"""Records of several folders: what is sound is read, what is not is told with its reason, nothing is dropped."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.board import made_up, real_record

from vlalign.errors import VlalignError
from vlalign.scoring import ScoreRecord, score
from vlalign.scoring.collect import collect
from vlalign.scoring.validation import validate_record


@pytest.fixture(scope="module")
def record() -> ScoreRecord:
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    return score(x, [x, -x], k=3, permutations=19, half_samples=20)


def test_files_and_folders(record: ScoreRecord, tmp_path: Path) -> None:
    record.save(tmp_path / "a" / "deep" / "one.json")
    record.save(tmp_path / "b.json")
    record.save(tmp_path / "a" / ".cache" / "hidden.json")
    found = collect([tmp_path / "a", str(tmp_path / "b.json"), tmp_path / "a" / "deep"])
    assert not found.invalid
    assert [(one.source, one.path) for one in found.records] == [
        (str(tmp_path / "a"), "deep/one.json"),
        (str(tmp_path / "b.json"), str(tmp_path / "b.json")),
    ]
    assert all(one.record == record for one in found.records)


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], str], str]] = {
    "cut": (lambda data: json.dumps(data)[:100], "not valid JSON"),
    "study": (lambda data: json.dumps({"format": 1, "rows": 3}), "is not a score record: write one"),
    "older": (lambda data: json.dumps(data | {"format": 1}), "has record format 1, this vlalign reads 2"),
    "newer": (lambda data: json.dumps(data | {"format": "3"}), "has record format '3'"),
    "lacking": (lambda data: json.dumps({k: v for k, v in data.items() if k != "axes"}), "lacks axes"),
    "list": (lambda data: "[1, 2]", "is not a score record"),
    "deep": (lambda data: "[" * 100_000, "nested too deeply|not valid JSON"),
    "nan": (lambda data: json.dumps(data | {"chance": float("nan")}), "not finite"),
    "matrix": (lambda data: json.dumps(data | {"matrix": [[0.5]]}), "matrix is not 1 × 2"),
    "words": (
        lambda data: json.dumps(data | {"matrix": [["a", "b"]]}),
        "matrix.0.0 is 'a', but it should be a valid num",
    ),
    "n": (lambda data: json.dumps(data | {"n": "20"}), "n is '20', but it should be a valid integer"),
    "truth": (lambda data: json.dumps(data | {"n": True}), "n is True, but it should be a valid integer"),
    "side": (
        lambda data: json.dumps(data | {"x": {"model": None}}),
        "x.model is None, but it should be a valid string",
    ),
    "run": (lambda data: json.dumps(data | {"x": data["x"] | {"run": {"key": {}}}}), "it lacks x.run.hash"),
    "best": (lambda data: json.dumps(data | {"best": data["best"] | {"y": {"position": 7}}}), "best.y names no layer"),
    "null": (lambda data: json.dumps(data | {"null": {}}), "it lacks null.p_value"),
    "interval": (lambda data: json.dumps(data | {"interval": {"low": 1}}), "it lacks interval.high"),
    "turned": (
        lambda data: json.dumps(data | {"interval": data["interval"] | {"low": 0.9, "high": 0.1}}),
        "interval is from 0.9 to 0.1: its low end lies above",
    ),
    "p": (
        lambda data: json.dumps(data | {"null": data["null"] | {"p_value": 1.5}}),
        "null.p_value is 1.5, but it should be less than or equal to 1",
    ),
    "asked": (
        lambda data: json.dumps(data | {"null": data["null"] | {"asked": "x"}}),
        "null.asked is 'x', but it should be a valid integer",
    ),
    "loss": (
        lambda data: json.dumps(data | {"performance": data["performance"] | {"y": 2.3}}),
        "performance.y is 2.3, but it should be a JSON object",
    ),
    "huge": (lambda data: json.dumps(data | {"seconds": {"grid": 10**400}}), "not finite or too large"),
    "curve": (
        lambda data: json.dumps(data | {"curves": {"n": {"points": [{"at": 0}]}}}),
        "curves.n.points.0.at is 0, but it should be greater than 0",
    ),
    "score": (
        lambda data: json.dumps(data | {"best": data["best"] | {"score": 0.99}}),
        r"best.score is 0.99, but its matrix has 1.0 at that position",
    ),
    "name": (
        lambda data: json.dumps(data | {"best": data["best"] | {"x": data["best"]["x"] | {"name": "layer_7"}}}),
        "best.x has another name than axes.x at its position, layer_0",
    ),
    "another": (
        lambda data: json.dumps(data | {"matrix": [[1.0, 1.25]]}),
        "best.score is 1.0, but its matrix has 1.25",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_told(record: ScoreRecord, tmp_path: Path, name: str) -> None:
    write, reason = BROKEN[name]
    (tmp_path / f"{name}.json").write_text(write(dataclasses.asdict(record)))
    record.save(tmp_path / "zz.json")
    found = collect([tmp_path])
    assert [one.path for one in found.records] == ["zz.json"]
    (bad,) = found.invalid
    assert bad.path == f"{name}.json"
    assert bad.source == str(tmp_path)
    assert "\n" not in bad.reason
    assert str(tmp_path) not in bad.reason
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(bad.reason)


def test_bytes_that_are_no_text(record: ScoreRecord, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00{}")
    assert "not valid JSON" in collect([tmp_path]).invalid[0].reason


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match="no results at"):
        collect([tmp_path / "missing"])
    with pytest.raises(VlalignError, match="no score records in"):
        collect([tmp_path])


def test_a_sound_record_is_valid(record: ScoreRecord) -> None:
    validate_record(record)
    validate_record(real_record())
    validate_record(made_up())


def test_a_layer_that_tells_no_samples_apart_is_never_the_best() -> None:
    draw = torch.Generator().manual_seed(2)
    x, y = torch.randn(20, 3, generator=draw), torch.randn(20, 2, 3, generator=draw)
    y[:, 1] = 1.0
    found = score(x, y, metric="unbiased_cka", permutations=0, half_samples=0)
    assert found.matrix == [[found.score, 0.0]]
    assert found.score < 0
    validate_record(found)


def test_a_key_that_was_changed_is_no_longer_that_of_its_hash() -> None:
    record = made_up()
    key = record.y["run"]["key"]
    validate_record(record)
    for changed, reason in (
        (key | {"dtype": "float16"}, "y.run: the hash is not that of the key"),
        (key | {"model": {}}, "y.run: the run key lacks model.name"),
    ):
        run = record.y["run"] | {"key": changed}
        with pytest.raises(VlalignError, match=f"^{re.escape(reason)}"):
            validate_record(dataclasses.replace(record, y=record.y | {"run": run}))


def test_folders_are_followed_through_links_but_once(record: ScoreRecord, tmp_path: Path) -> None:
    record.save(tmp_path / "elsewhere" / "deep" / "a.json")
    record.save(tmp_path / "results" / "own" / "b.json")
    (tmp_path / "results" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "results" / "again").symlink_to(tmp_path / "elsewhere" / "deep")
    (tmp_path / "results" / "a-link").symlink_to(tmp_path / "results" / "own")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "results")
    (tmp_path / "results" / "file.json").symlink_to(tmp_path / "elsewhere" / "deep" / "a.json")
    found = collect([tmp_path / "results"])
    assert [one.path for one in found.records] == ["again/a.json", "file.json", "own/b.json"]
    assert not found.invalid
    (tmp_path / "results" / ".hidden").symlink_to(tmp_path)
    assert len(collect([tmp_path / "results"]).records) == 3


def test_what_is_no_file_is_told_and_never_waited_for(record: ScoreRecord, tmp_path: Path) -> None:
    record.save(tmp_path / "sound.json")
    (tmp_path / "gone.json").symlink_to("nowhere.json")
    (tmp_path / "missing").symlink_to(tmp_path / "unmounted")
    (tmp_path / "round.json").symlink_to("round.json")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    found = collect([tmp_path])
    assert [one.path for one in found.records] == ["sound.json"]
    assert {one.path: one.reason for one in found.invalid} == {
        "gone.json": "is a link to nowhere.json, which does not exist",
        "missing": f"is a link to {tmp_path / 'unmounted'}, which does not exist",
        "round.json": "is a link to round.json, which does not exist",
        "pipe.json": "is neither a file nor a folder",
    }


def test_a_folder_that_cannot_be_listed_is_told(
    record: ScoreRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.save(tmp_path / "sound.json")
    record.save(tmp_path / "closed" / "a.json")
    real = os.scandir

    def scandir(path: str) -> Any:  # permissions do not bind everyone who runs tests
        if Path(path).name == closed:
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    closed = "closed"
    found = collect([tmp_path])
    assert [one.path for one in found.records] == ["sound.json"]
    assert [(one.path, one.reason) for one in found.invalid] == [("closed", "is a folder that cannot be listed")]
    closed = tmp_path.name
    with pytest.raises(VlalignError, match=f"cannot list {tmp_path}: Permission denied"):
        collect([tmp_path])
