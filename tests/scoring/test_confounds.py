"""Checks of confounds in a full report: trivial features of the store, near-duplicates, and how they are shown."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from support.features import make_key, make_run

from vlalign.metrics import MutualKnn
from vlalign.report.full import in_depth
from vlalign.scoring import ScoreRecord, score
from vlalign.scoring.confounds import hints, parts_of, rows_of
from vlalign.scoring.inputs import Side
from vlalign.scoring.validation import validate_record
from vlalign.stats.explained import explained_by_duplicates
from vlalign.store import Run

IDS = [f"sample-{i}" for i in range(60)]
QUICK: dict[str, Any] = {"k": 5, "permutations": 29, "half_samples": 0, "full": True}


def of_data(name: str, modality: str, content: str = "a", **changes: Any) -> Any:
    return make_key(name, modality, data={"name": "made-up", "content": content}, **changes)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Two runs whose store also holds baselines of the same samples in another order, and of other captions."""
    root = tmp_path_factory.mktemp("store")
    pair = [make_run(root, of_data(name, kind), ids=IDS) for name, kind in (("m", "vision"), ("n", "text"))]
    for name, modality, content in (
        ("caption length", "text", "a"), ("mean colour", "vision", "b"), ("TF-IDF", "text", "a")
    ):  # fmt: skip
        make_run(root, of_data(name, modality, content, kind="baseline"), ids=IDS[::-1], widths=(2, 3))
    make_run(root, of_data("mean colour", "vision", "a"), ids=IDS)  # a model of that name
    return pair[0], pair[1]


@pytest.fixture(scope="module")
def record(runs: tuple[Run, Run]) -> ScoreRecord:
    return score(*runs, within=[i % 3 for i in range(60)], **QUICK)


def test_features_of_the_very_samples_are_checked(runs: tuple[Run, Run], record: ScoreRecord) -> None:
    from vlalign.scoring.confounds import stored_features
    from vlalign.stats.explained import strata

    (found,) = stored_features(Side(runs[0], "x"), Side(runs[1], "y"), IDS)
    assert (found.name, found.cut) == ("caption length", True)
    stored = Run(next((runs[0].path.parent.parent / "caption-length").iterdir()))
    assert record.environment["request"]["features"] == [stored.key.hash]
    assert found.labels.tolist() == strata(stored.load(0).double().numpy()[::-1]).tolist()
    validate_record(record)
    names = [entry["name"] for entry in record.checks["confounds"]]
    assert names == ["caption length", "near-duplicates"]
    assert [part["name"] for part in parts_of(record)] == ["category", *names]
    assert all(part["share"] is not None for part in parts_of(record))
    compact = score(*runs, **(QUICK | {"full": False}))
    assert "confounds" not in compact.checks
    assert not {"features", "within"} & set(compact.environment["request"])
    grouped = score(*runs, groups=[i // 2 for i in range(60)], **QUICK)
    assert "confounds" not in grouped.checks


def test_parts_as_rows_frame_and_table(record: ScoreRecord) -> None:
    rows = rows_of(record)
    assert [row[1] for row in rows] == ["3 categories", "4 strata", "0 samples left out"]
    assert rows[2][3:] == ["0 %", "–"]
    frame = record.explained()
    assert frame["share"].tolist() == [part["share"] for part in parts_of(record)]
    assert frame.columns.tolist() == ["name", "groups", "score", "share", "low", "high"]
    assert "not checked: mean colour; for runs of a store, `vlalign baselines` makes them" in hints(record)
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(in_depth(record))
    text = console.export_text()
    assert "what explains the score above chance" in text
    for row in rows:
        assert any(line.split() == " ".join(row).split() for line in text.splitlines()), row
    without = replace(record, checks={"x": {}, "y": {}, "notes": []}, null=None)
    assert rows_of(without) == []
    assert without.explained().empty


def test_near_duplicates_are_left_out_and_compared_with_as_many_samples() -> None:
    draw = torch.Generator().manual_seed(0)
    metric = MutualKnn(3)

    def sides(noise: float) -> list[torch.Tensor]:
        x, y = torch.randn(80, 8, generator=draw), torch.randn(80, 8, generator=draw)
        layers = [torch.cat([side, side[:20] + noise * torch.randn(20, 8, generator=draw)]) for side in (x, y)]
        return [torch.nn.functional.normalize(layer) for layer in layers]

    samples, result = explained_by_duplicates(metric, *sides(1e-4))  # only duplicates are shared
    assert samples == 40
    assert result is not None
    assert result.share > 0.6
    assert (result.low, result.high) == (None, None)
    x, y = sides(3.0)
    y = torch.nn.functional.normalize(x @ torch.randn(8, 8, generator=draw))
    samples, result = explained_by_duplicates(metric, x, y)
    assert samples == 0
    assert result is not None
    assert result.share == 0
    assert result.score == metric.evaluate(x, y)
    assert explained_by_duplicates(metric, torch.ones(9, 2), torch.ones(9, 2)) == (9, None)
    y = x[np.roll(np.arange(100), 1)]
    assert explained_by_duplicates(metric, x, y)[0] == 0


def test_a_score_at_chance_and_arrays(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(3)
    found = score(torch.randn(60, 4, generator=draw), torch.randn(60, 4, generator=draw), **QUICK)
    assert found.p_value is not None
    assert found.p_value > 0.05
    assert [part["share"] for part in parts_of(found)] == [None]
    assert rows_of(found) == [["near-duplicates", "0 samples left out", "–", "–", "–"]]
    again = ScoreRecord.load(found.save(tmp_path / "record.json"))
    assert rows_of(again) == rows_of(found)
