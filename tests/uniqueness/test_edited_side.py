"""Which side of a study is edited, and a side that edits leave without any difference between samples."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from support.hub import HubServer
from support.studies import X, Y, config_in, rate_of, run, runs_by

from vlalign.errors import VlalignError
from vlalign.metrics import parse_metric
from vlalign.uniqueness import Point, UniquenessResult, UniquenessStudy
from vlalign.uniqueness.records import Records


def test_a_side_that_tells_nothing_apart_is_a_point_without_score(hub: HubServer, tmp_path: Path) -> None:
    config = config_in(tmp_path, y=Y[1], rates=(50, 100), allow_empty=True)
    result = run(config)
    low, middle, high = result.points
    assert [point.rate for point in result.points] == [0, 50, 100]
    assert low.score is not None
    assert middle.score is not None
    for entry in fields(Point):
        if entry.name in ("score", "x_layer", "y_layer", "chance", "p_value", "low", "high", "threshold", "record"):
            assert getattr(high, entry.name) is None, entry.name
    # the features differ by rounding, as batches of one shard are larger than those of another: no score of that
    assert high.note == "all captions are the same to bloomz-560m at 100 %: nothing to compare"
    study = UniquenessStudy(config)
    assert study._works(study.plan(), Records(config.out, parse_metric("mutual_knn", k=5)))["score"].amount == 0
    assert high.performance is None
    assert high.performance_unedited == low.performance
    assert result.curves[0].rates == [0, 50]
    assert result.curves[0].missing == [100]
    assert UniquenessResult.load(tmp_path / "out").points == result.points
    assert run(config).points == result.points
    with pytest.raises(VlalignError, match=r"leaves 24 of 24 captions empty.*--allow-empty"):
        run(replace(config, allow_empty=False, out=str(tmp_path / "other")))


def test_two_language_models_edit_the_second(hub: HubServer, tmp_path: Path) -> None:
    result = run(config_in(tmp_path, x=Y[0], y=Y[1]))
    stored = runs_by(tmp_path)
    assert {name: [rate_of(one) for one in runs] for name, runs in stored.items()} == {Y[0]: [0.0], Y[1]: [0.0, 50.0]}
    assert result.data["edited"] == "y"
    assert [point.performance for point in result.points] == [-(one.bits_per_byte() or 0) for one in stored[Y[1]]]
    first = run(config_in(tmp_path, x=Y[0], y=Y[1], side="x", out=str(tmp_path / "first")))
    assert {name: len(runs) for name, runs in runs_by(tmp_path).items()} == {Y[0]: 2, Y[1]: 2}
    assert first.points[0] == result.points[0]
    assert first.points[1].score != result.points[1].score
    assert first.points[1].performance == first.points[0].performance  # that of y, whose captions are whole


def test_image_operations_edit_the_vision_side(hub: HubServer, tmp_path: Path) -> None:
    result = run(config_in(tmp_path, op="patch_delete:grid=4", rates=(60,), seed=2))
    stored = runs_by(tmp_path)
    assert {name: [rate_of(one) for one in runs] for name, runs in stored.items()} == {X[0]: [0.0, 60.0], Y[0]: [0.0]}
    assert stored[X[0]][1].key.data["perturbations"] == [
        {"operation": "patch_delete", "rate": 60, "seed": 2, "version": 1, "grid": 4}
    ]
    assert result.data["edited"] == "x"
    bits = stored[Y[0]][0].bits_per_byte()
    assert [(p.performance, p.performance_unedited) for p in result.points] == [(-(bits or 0), -(bits or 0))] * 2
