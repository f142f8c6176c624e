"""What a record says beside its matrix: several metrics, moments, interval, curves, notes; and what is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics import MutualKnn, get_metric
from vlalign.metrics.engine.neighbour_lists import NeighbourMetric
from vlalign.scoring import ScoreRecord, score
from vlalign.scoring.batch import score_pairs

Pair = tuple[list[Tensor], list[Tensor]]
IDS = [f"sample-{i}" for i in range(60)]
QUICK: dict[str, Any] = {"k": 5, "permutations": 19, "half_samples": 0}


@pytest.fixture
def small() -> tuple[Tensor, Tensor]:
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    return x, torch.cat([x[:, :2], torch.randn(30, 3, generator=torch.Generator().manual_seed(1))], 1)


def test_several_metrics(pair: Pair) -> None:
    wanted = ["mutual_knn", MutualKnn(7), "cka", "cka:kernel=linear", "mutual_knn:k=5"]
    records = list(score_pairs([pair, (pair[1], pair[0])], metric=wanted, **QUICK))
    assert [(r.metric["name"], r.metric["params"].get("k")) for r in records[::2]] == [
        ("mutual_knn", 5), ("mutual_knn", 7), ("cka", None)
    ]  # fmt: skip
    for one, metric in zip(records[::2], ("mutual_knn:k=5", "mutual_knn:k=7", get_metric("cka")), strict=True):
        alone = score(*pair, metric=metric, **QUICK)
        assert (one.matrix, one.null, one.moments) == (alone.matrix, alone.null, alone.moments)
    back = np.array([record.matrix for record in records[1:4:2]]).transpose(0, 2, 1)
    assert back.tolist() == [record.matrix for record in records[0:4:2]]
    assert len({record.filename for record in records[::2]}) == 3


def test_neighbour_lists_serve_every_metric_of_that_k(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    prepare = NeighbourMetric.prepare
    monkeypatch.setattr(NeighbourMetric, "prepare", lambda self, layer: calls.append(self.k) or prepare(self, layer))
    names = ["mutual_knn", "jaccard_knn", "cycle_knn", "lcs_knn:k=3"]
    records = list(score_pairs([pair], metric=names, **QUICK))
    assert sorted(calls) == [3] * 5 + [5] * 5
    monkeypatch.undo()
    assert [record.matrix for record in records] == [score(*pair, metric=name, **QUICK).matrix for name in names]


@pytest.mark.parametrize(
    ("metric", "says"),
    [([], "name at least one"), (["mutual_knn", "cka:kernel=poly"], "poly"), (None, "not as NoneType"), ([5], "as int"),
     ("cka:bandwidth", "name=value"), ("rnx_area:max_k=59", "N=60"), ("cmd:contraction=samples", "equal width")],
)  # fmt: skip
def test_wrong_metrics_before_reading(metric: Any, says: str, pair: Pair, make_run: Callable[..., Any]) -> None:
    x, y = make_run("x", pair[0], IDS), make_run("y", pair[1], IDS)
    with pytest.raises(VlalignError, match=says) as error:
        score_pairs([(x, y)], metric=metric, k=5)
    assert "\n" not in str(error.value)
    assert x.reads == y.reads == 0


def test_wrong_numbers(small: tuple[Tensor, Tensor]) -> None:
    for wrong, says in (
        ({"half_samples": 1}, "at least 2 half-samples"),
        ({"half_samples": -1}, "half_samples: expected a whole number from 0 to 10000000 or null, got -1"),
        ({"half_samples": 2.5}, "half_samples: expected .*, got 2.5"),
        ({"permutations": True}, "permutations: expected .*, got true"),
        ({"metric": ["cka", "rsa"]}, "takes one metric"),
    ):
        with pytest.raises(VlalignError, match=says):
            score(*small, k=3, **wrong)  # type: ignore[arg-type]


def test_z_and_p_of_the_best_pair(pair: Pair) -> None:
    for metric in ("mutual_knn", "cka"):
        record = score(*pair, metric=metric, k=5, permutations=400, half_samples=0)
        moments, null = record.moments, record.null
        assert moments is not None
        assert null is not None
        assert record.chance == moments["mean"] == pytest.approx(null["pair_mean"], abs=4 * moments["sd"] / 20)
        assert moments["z"] == pytest.approx((record.score - moments["mean"]) / moments["sd"])
        assert moments["p_value"] == pytest.approx(float(norm.sf(moments["z"])))
        assert moments["p_selected"] == pytest.approx(min(1, 6 * moments["p_value"]))
        assert record.interval is None


def test_mean_without_spread_and_chance_without_moments(small: tuple[Tensor, Tensor]) -> None:
    known = score(*small, metric="cycle_knn", **QUICK)
    assert known.moments is not None
    assert known.chance == known.moments["mean"]
    assert [known.moments[name] for name in ("sd", "z", "p_value", "p_selected")] == [None] * 4
    simulated = score(*small, metric="lcs_knn", **QUICK)
    assert simulated.moments is None
    assert simulated.null is not None
    assert simulated.chance == simulated.null["pair_mean"] == pytest.approx(np.mean(simulated.null["maxima"]))
    assert score(*small, metric="lcs_knn", **{**QUICK, "permutations": 0}).chance is None


def test_interval_of_the_best_pair(pair: Pair) -> None:
    record = score(*pair, k=5, permutations=0, half_samples=10)
    assert record.interval is not None
    assert (record.interval["count"], record.interval["observed"]) == (10, record.score)
    assert record.interval["low"] < record.score < record.interval["high"]
    assert "maximum" not in record.interval
    again = score(*pair, k=5, permutations=0, half_samples=10, seed=1)
    assert again.interval is not None
    assert again.interval["sd"] != record.interval["sd"]


def test_numbers_by_default(small: tuple[Tensor, Tensor]) -> None:
    plain = score(*small, k=3)
    assert plain.interval is not None
    assert plain.null is not None
    assert (plain.interval["count"], plain.null["asked"]) == (100, 1000)
    costly = score(*small, metric="procrustes")
    assert costly.interval is not None
    assert costly.interval["count"] == 20
    assert costly.null is costly.moments is costly.chance is None
    (note,) = [note for note in costly.checks["notes"] if "permutation" in note]
    assert "costs as much as the grid" in note
    asked = score(*small, metric="procrustes", permutations=19, half_samples=2)
    assert asked.null is not None
    assert asked.null["asked"] == 19
    assert not any("permutation" in note for note in asked.checks["notes"])


def test_too_few_samples_for_an_interval(small: tuple[Tensor, Tensor]) -> None:
    record = score(*small, k=20, permutations=9)
    assert record.interval is None
    assert any(note.startswith("no interval: an interval scores half-samples") for note in record.checks["notes"])


def test_metrics_that_do_not_depend_on_the_pairing(small: tuple[Tensor, Tensor]) -> None:
    record = score(small[0], small[1][:, :4], metric="cmd:contraction=samples", permutations=9)
    assert record.null is record.moments is record.p_value is record.calibrated is None
    assert "does not depend on which rows are paired" in record.checks["notes"][0]
    assert record.interval is not None


def test_a_null_that_stops_early() -> None:
    """Where no neighbour is shared every random pairing scores as high."""
    record = score(torch.eye(6)[[0, 0, 1, 1, 2, 2]], torch.eye(6)[[0, 1, 1, 2, 2, 0]], k=1, half_samples=0)
    assert record.score == 0
    assert record.null is not None
    assert record.null["stopped"]
    assert record.null["permutations"] == len(record.null["maxima"]) == 100
    assert record.null["asked"] == 1000
    assert (record.p_value, record.calibrated) == (1, 0)


def test_full(pair: Pair, tmp_path: Path) -> None:
    record = score(*pair, k=5, permutations=19, half_samples=4, full=True)
    assert record.interval is not None
    assert record.interval["maximum"]["observed"] == record.score
    assert record.interval["maximum"]["statistic"] != record.interval["statistic"]
    assert record.curves is not None
    assert list(record.curves) == ["n", "n_proportional", "k"]
    for name, here in (("n", 60), ("n_proportional", 60), ("k", 5)):
        (point,) = [point for point in record.curves[name]["points"] if point["at"] == here]
        assert point["largest"]["mean"] == point["fixed"]["mean"] == pytest.approx(record.score)
        assert record.curves[name]["pair"] == [record.best[side]["position"] for side in "xy"]
    assert ScoreRecord.load(record.save(tmp_path / record.filename)) == record
    assert json.loads(json.dumps(record.curves, allow_nan=False)) == record.curves


@pytest.mark.parametrize("metric", ["cka", "linear_predictivity:folds=3,alphas=0.1/1", "cknna:k=none"])
def test_full_with_other_metrics(metric: str, small: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    record = score(*small, metric=metric, permutations=9, half_samples=2, full=True)
    assert record.curves is not None
    assert list(record.curves) == (["n", "k"] if metric.startswith("cknna") else ["n"])
    assert record.interval is not None
    assert "maximum" not in record.interval  # one layer pair: nothing was picked
    assert ScoreRecord.load(record.save(tmp_path / record.filename)) == record


def test_concatenation_is_checked_too(pair: Pair) -> None:
    x = [pair[0][1][:, :4], pair[0][1][:, 4:]]
    record = score(x, pair[0][1], k=5, permutations=0, half_samples=2, concat=True, full=True, preset="cosine")
    assert record.best["x"] == {"position": 2, "index": -1, "name": "all"}
    alone = score(pair[0][1], pair[0][1], k=5, permutations=0, half_samples=2, preset="cosine")
    assert record.checks["x"] == alone.checks["x"]
    assert record.interval is not None
    assert alone.interval is not None
    assert record.interval["sd"] == alone.interval["sd"]


def test_device_changes_nothing(pair: Pair) -> None:
    for metric in ("mutual_knn", "cka"):
        found = [score(*pair, metric=metric, k=5, permutations=19, half_samples=4, device=d) for d in (None, "cpu")]
        assert found[0].matrix == found[1].matrix
        assert (found[0].null, found[0].interval) == (found[1].null, found[1].interval)


def test_memory_is_checked_before_reading(
    pair: Pair, make_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    api = sys.modules["vlalign.scoring.batch"]  # the package exports a function named score
    monkeypatch.setattr(api, "log", SimpleNamespace(info=told.append))
    kind = type(get_metric("rsa"))
    monkeypatch.setattr(kind, "holds", lambda self, n, widths: 2**29 * len(widths))
    x, y = make_run("x", pair[0], IDS), make_run("y", pair[1], IDS)
    free = [3 * 2**30]
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=free[0]))
    assert len(list(score_pairs([(x, y)], metric="rsa", **QUICK))) == 1  # 5 layers: 2.5 of 3 GiB
    assert len(told) == 1
    assert "rsa" in told[0]
    assert "keeps 2.5 GiB" in told[0]
    told.clear()
    x.reads = y.reads = 0
    with pytest.raises(VlalignError, match=r"keeps 3\.5 GiB of all layers, N = 60, and 3\.0 GiB are free") as error:
        score_pairs([(x, y), (x, y)], metric=["mutual_knn", "rsa"], concat=True, **QUICK)  # each side counts once
    assert "\n" not in str(error.value)
    assert x.reads == y.reads == 0
    list(score_pairs([(x.tensors[0], y.tensors[0])], metric="rsa", **QUICK))  # 1 GiB is worth a word already
    assert len(told) == 1
    free[0] = 0
    list(score_pairs([(x, y)], metric="mutual_knn", **QUICK))
    assert len(told) == 1
