"""Records of several folders: what is sound is read, what is not is told with its reason, nothing is dropped."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vlalign.errors import VlalignError
from vlalign.score import ScoreRecord, score
from vlalign.score.collect import collect, find_flaw


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
    "words": (lambda data: json.dumps(data | {"matrix": [["a", "b"]]}), "else than numbers"),
    "n": (lambda data: json.dumps(data | {"n": "20"}), "n is a text, not a number"),
    "truth": (lambda data: json.dumps(data | {"n": True}), "n is a truth value"),
    "side": (lambda data: json.dumps(data | {"x": {"model": None}}), "x.model is missing"),
    "run": (lambda data: json.dumps(data | {"x": data["x"] | {"run": {"key": {}}}}), "x.run has no hash"),
    "best": (lambda data: json.dumps(data | {"best": data["best"] | {"y": {"position": 7}}}), "best.y names no layer"),
    "null": (lambda data: json.dumps(data | {"null": {}}), "null lacks p_value"),
    "interval": (lambda data: json.dumps(data | {"interval": {"low": 1}}), "interval lacks"),
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


def test_a_sound_record_has_no_flaw(record: ScoreRecord) -> None:
    assert find_flaw(record) is None
