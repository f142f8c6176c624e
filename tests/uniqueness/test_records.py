"""Records of a study: found by the runs that were scored, never by another metric, made again where damaged."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.study import point
from torch import Tensor

from vlalign.metrics import get_metric
from vlalign.scoring import ScoreRecord, score
from vlalign.uniqueness.records import Records, load_of

records_module: Any = sys.modules["vlalign.uniqueness.records"]
IDS = [f"sample-{i}" for i in range(60)]
METRIC = get_metric("mutual_knn", k=5)


@pytest.fixture
def record(pair: tuple[list[Tensor], list[Tensor]], make_run: Callable[..., Any]) -> ScoreRecord:
    return score(make_run("dino", pair[0], IDS), make_run("llama", pair[1], IDS), k=5, permutations=0, half_samples=0)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is warned of."""
    found: list[str] = []
    monkeypatch.setattr(records_module.log, "warning", lambda text, *rest: found.append(text % rest))
    return found


def hashes(record: ScoreRecord) -> tuple[str, str]:
    return record.x["run"]["hash"], record.y["run"]["hash"]


def test_found_again(tmp_path: Path, record: ScoreRecord, warnings: list[str]) -> None:
    x, y = hashes(record)
    assert Records(tmp_path, METRIC).get(x, y) is None
    assert list(tmp_path.iterdir()) == []  # looking makes nothing
    path = Records(tmp_path, METRIC).put(record)
    assert path == f"records/{record.filename}"
    assert (tmp_path / path).is_file()
    found = Records(tmp_path, METRIC)
    assert found.get(x, y) == (path, record)
    assert found.get(y, x) is None
    assert found.get(x, "0" * 64) is None
    assert warnings == []


@pytest.mark.parametrize("spec", [("mutual_knn", {"k": 6}), ("cka", {}), ("cycle_knn", {"k": 5})])
def test_other_metrics_are_not_found(tmp_path: Path, record: ScoreRecord, spec: tuple[str, dict[str, Any]]) -> None:
    Records(tmp_path, METRIC).put(record)
    name, params = spec
    assert Records(tmp_path, get_metric(name, **params)).get(*hashes(record)) is None
    assert Records(tmp_path, get_metric("mutual_knn", k=5)).get(*hashes(record)) is not None


DAMAGE: list[tuple[str, Callable[[str], str], str]] = [
    ("cut", lambda text: text[: len(text) // 2], "not valid JSON"),
    ("nothing", lambda text: "", "not valid JSON"),
    ("format", lambda text: text.replace('"format": 2', '"format": 1'), "record format 1"),
    ("field", lambda text: text.replace('"matrix":', '"matrlx":'), "is not a score record"),
    ("less", lambda text: text.replace('"checks":', '"check":'), "lacks checks"),
    ("sides", lambda text: '{"x": null, "y": 3, ' + text.lstrip("{").replace('"x":', '"z":', 1), "of which runs"),
]


@pytest.mark.parametrize(("kind", "damage", "message"), DAMAGE, ids=[kind for kind, _, _ in DAMAGE])
def test_a_damaged_record_is_told_and_made_again(
    tmp_path: Path, record: ScoreRecord, warnings: list[str], kind: str, damage: Callable[[str], str], message: str
) -> None:
    path = tmp_path / Records(tmp_path, METRIC).put(record)
    whole = path.read_text(encoding="utf-8")
    path.write_text(damage(whole), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != whole
    found = Records(tmp_path, METRIC)
    assert found.get(*hashes(record)) is None
    assert found.get(*hashes(record)) is None
    assert len(warnings) == 1  # once, not at every look
    assert path.name in warnings[0]
    assert message in warnings[0]
    assert found.put(record) == f"records/{path.name}"  # in its place
    assert path.read_text(encoding="utf-8") == whole
    assert Records(tmp_path, METRIC).get(*hashes(record)) is not None
    assert len(warnings) == 1


def test_scores_of_plain_features_are_no_ones_record(
    tmp_path: Path, pair: tuple[list[Tensor], list[Tensor]], warnings: list[str], record: ScoreRecord
) -> None:
    Records(tmp_path, METRIC).put(score(*pair, k=5, permutations=0, half_samples=0))
    Records(tmp_path, METRIC).put(record)
    assert Records(tmp_path, METRIC).get(*hashes(record)) is not None
    assert warnings == []


def test_parameters_that_json_has_no_type_for(tmp_path: Path, record: ScoreRecord) -> None:
    """A tuple in a metric's parameters comes back as a list."""

    class Tuples:
        name = "tuples"
        params: Any = {"sizes": (1, 2), "k": 5}  # noqa: RUF012

    stored = replace(record, metric={"name": "tuples", "params": {"sizes": [1, 2], "k": 5}})
    metric: Any = Tuples()
    Records(tmp_path, metric).put(stored)
    assert Records(tmp_path, metric).get(*hashes(record)) is not None


def test_the_record_of_a_point(tmp_path: Path, record: ScoreRecord) -> None:
    path = Records(tmp_path, METRIC).put(record)
    assert load_of(tmp_path, point(0.1, record=path)) == record
    assert load_of(tmp_path, point(None)) is None
    assert load_of(tmp_path, point(0.1, record="records/gone.json")) is None
