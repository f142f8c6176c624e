"""Files of a study: round trips, and files that are none."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest
from support.study import line, point

from vlalign.errors import VlalignError
from vlalign.uniqueness import Point, UniquenessResult


@pytest.fixture
def result() -> UniquenessResult:
    points = [
        *line([0.5, 0.4, None, 0.3, 0.2, 0.1], threshold=0.15, note='é, "quoted"'),
        *(point(0.1 * i, y=f"lm-{i}", performance=-1.0 * i, low=0.0, high=0.9) for i in range(6)),
    ]
    return UniquenessResult.from_points(
        points,
        config={"op": "char_delete", "rates": [0, 10]},
        data={"name": "emoji", "n": 100},
        seconds={"extract": 1.5},
        environment={"vlalign": "0"},
    )


def test_round_trip(result: UniquenessResult, tmp_path: Path) -> None:
    path = result.save(tmp_path / "a" / "study")
    assert path == tmp_path / "a" / "study" / "study.json"
    found = UniquenessResult.load(path.parent)
    assert found == result
    assert found.curves[0].rho is not None
    assert any(fit.rho is not None for fit in found.fits)
    assert found.curves[0].best[0] == ("dino-s", "llama")
    assert json.loads(path.read_text())["format"] == 1
    assert sorted(file.name for file in path.parent.iterdir()) == ["points.csv", "points.parquet", "study.json"]


def test_older_files_lack_the_line_of_performance(result: UniquenessResult, tmp_path: Path) -> None:
    path = result.save(tmp_path)
    older = json.loads(path.read_text())
    for fit in older["fits"]:
        del fit["performance_slope"], fit["performance_intercept"]
    path.write_text(json.dumps(older))
    assert UniquenessResult.load(tmp_path) == result
    assert result.fits[0].performance_slope == pytest.approx(-10)


def test_tables(result: UniquenessResult, tmp_path: Path) -> None:
    result.save(tmp_path)
    table = result.to_frame()
    assert [name for name in table.columns if name != "q_value"] == [field.name for field in fields(Point)]
    assert len(table) == len(result.points)
    assert table.score.isna().sum() == 1
    assert table.dtypes["p_value"] == table.dtypes["score"] == "float64"  # a column without any value, too
    assert table.dtypes["n"] == "int64"
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "points.parquet"), table)
    read = pd.read_csv(tmp_path / "points.csv", keep_default_na=False, na_values={"score": [""]})
    assert read.score.tolist()[:2] == [0.5, 0.4]
    assert read.note[0] == 'é, "quoted"'


def test_an_empty_study(tmp_path: Path) -> None:
    empty = UniquenessResult.from_points([], config={}, data={}, seconds={}, environment={})
    empty.save(tmp_path)
    assert UniquenessResult.load(tmp_path) == empty
    assert len(pd.read_parquet(tmp_path / "points.parquet")) == 0


def test_nothing_half_written_stays(result: UniquenessResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result.save(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(self: Path, data: bytes) -> None:
        self.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(VlalignError, match=r"cannot write .*points\.csv: No space left on device"):
        result.save(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_values_that_are_not_finite_are_refused(result: UniquenessResult, tmp_path: Path) -> None:
    result.config["k"] = float("nan")
    with pytest.raises(VlalignError, match="not finite"):
        result.save(tmp_path)
    assert not (tmp_path / "study.json").exists()


def test_folders_that_hold_no_study(result: UniquenessResult, tmp_path: Path) -> None:
    path = result.save(tmp_path)
    whole = json.loads(path.read_text())
    for text, message in (
        ("{", "is damaged"),
        ("[1]", "is not a study of format 1"),
        (json.dumps(whole | {"format": 99}), "is not a study of format 1"),
        (json.dumps({name: value for name, value in whole.items() if name != "fits"}), "no fits"),
        (json.dumps(whole | {"points": [{"x": "a"}]}), "is damaged"),
        (json.dumps(whole | {"curves": [{}]}), "is damaged"),
    ):
        path.write_text(text)
        with pytest.raises(VlalignError, match=message) as caught:
            UniquenessResult.load(tmp_path)
        assert "\n" not in str(caught.value)
        assert "study.json" in str(caught.value)
    with pytest.raises(VlalignError, match="holds no finished study"):
        UniquenessResult.load(tmp_path / "nowhere")
