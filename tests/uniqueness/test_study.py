"""A study on tiny models: its points, what it reuses, how it grows, and what it refuses."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.counts import counted_loads, counted_scores
from support.hub import HubServer
from support.studies import FAST, X, Y, config_in, rate_of, run, runs_by
from support.tiny import TinyModels

from vlalign.data import DataSpec
from vlalign.errors import VlalignError
from vlalign.extraction import extract
from vlalign.scoring import score
from vlalign.uniqueness import Point, UniquenessResult, UniquenessStudy
from vlalign.uniqueness.records import Records, load_of
from vlalign.uniqueness.study import _pair_seconds


@pytest.fixture(scope="module")
def whole(hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study with two models a side and edits of 0, 50 and 90 %."""
    folder = tmp_path_factory.mktemp("whole")
    run(config_in(folder, x=X, y=Y, rates=(50, 90)))
    return folder


@pytest.fixture
def finished(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to go on from."""
    shutil.copytree(whole, tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[list[str], int]]:
    """Models whose weights were loaded, and how many scores were computed, since it was last asked."""
    loads, scores = counted_loads(monkeypatch), counted_scores(monkeypatch)

    def since() -> tuple[list[str], int]:
        found = [alias for alias, _ in loads], len(scores)
        del loads[:], scores[:]
        return found

    return since


def files_of(folder: Path, pattern: str) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob(pattern)}


def places(points: list[Point]) -> set[tuple[str, str, float]]:
    return {(point.x, point.y, point.rate) for point in points}


def test_a_point_for_every_pair_and_rate(whole: Path) -> None:
    result = UniquenessResult.load(whole / "out")
    assert len(result.points) == 12
    assert places(result.points) == {(x, y, rate) for x in X for y in Y for rate in (0, 50, 90)}
    stored = runs_by(whole)
    assert {name: [rate_of(one) for one in runs] for name, runs in stored.items()} == {
        **{name: [0.0] for name in X},  # the unedited side once
        **{name: [0.0, 50.0, 90.0] for name in Y},
    }
    for point in result.points:
        x, y = stored[point.x][0], stored[point.y][[0, 50, 90].index(int(point.rate))]
        record = load_of(whole / "out", point)
        assert record is not None
        assert (record.x["run"]["hash"], record.y["run"]["hash"]) == (x.key.hash, y.key.hash)
        assert point.score == record.score
        assert (point.p_value, point.calibrated) == (record.p_value, record.calibrated)
        assert record.interval is not None
        assert (point.low, point.high) == (record.interval["low"], record.interval["high"])
        assert (point.n, point.x_family, point.performance_of) == (24, "dinov2", "y")
        assert point.performance == -(y.bits_per_byte() or 0)
        assert point.performance_unedited == -(stored[point.y][0].bits_per_byte() or 0)
    some = next(p for p in result.points if (p.x, p.y, p.rate) == (X[1], Y[1], 50))
    alone = score(stored[X[1]][0], stored[Y[1]][1], k=5, permutations=19, half_samples=4)
    assert (some.score, some.p_value, some.threshold) == (alone.score, alone.p_value, alone.null["threshold"])
    assert len(list((whole / "out" / "records").iterdir())) == 12
    assert [curve.family for curve in result.curves] == ["dinov2"]
    assert result.curves[0].rates == [0, 50, 90]
    assert result.findings
    assert result.data == {
        "name": "minhuh/prh", "n": 24, "reads": {"x": "vision", "y": "text"}, "edited": "y",
    }  # fmt: skip


def test_features_of_the_preset_robust_are_scored(hub: HubServer, tmp_path: Path) -> None:
    result = run(config_in(tmp_path, preset="robust"))
    assert len([point for point in result.points if point.score is not None]) == 2
    record = load_of(tmp_path / "out", result.points[0])
    assert record is not None
    assert record.preprocessing["preset"] == "platonic"
    (alone,) = (one for one in runs_by(tmp_path)[Y[0]] if rate_of(one) == 0)
    assert "mean-nosink" in str(alone.key.data)


def test_ordinary_extractions_share_the_features(finished: Path, costs: Callable[[], tuple[list[str], int]]) -> None:
    settings: dict[str, Any] = {"store": finished / "store", "cpu": True, "shard_rows": FAST["shard_rows"]}
    plain = extract([X[0], Y[0]], **settings)
    edited = extract(Y[0], perturb=("char_delete:90",), **settings)
    assert costs() == ([], 0)
    assert [one.path for one in plain + edited] == [
        runs_by(finished)[name][i].path for name, i in ((X[0], 0), (Y[0], 0), (Y[0], 2))
    ]


def test_once_more_computes_nothing(finished: Path, costs: Callable[[], tuple[list[str], int]]) -> None:
    before = UniquenessResult.load(finished / "out")
    files = files_of(finished, "*.safetensors") | files_of(finished, "*__*.json")
    table = (finished / "out" / "points.csv").read_bytes()
    config = config_in(finished, x=X, y=Y, rates=(50, 90))
    result = run(config)
    assert costs() == ([], 0)
    assert result.points == before.points
    assert (result.curves, result.fits, result.findings) == (before.curves, before.fits, before.findings)
    assert files_of(finished, "*.safetensors") | files_of(finished, "*__*.json") == files
    assert len(files) == 8 * 3 * 2 + 12  # shards with their token norms, records
    assert (finished / "out" / "points.csv").read_bytes() == table


def test_it_grows_by_rates_and_models(finished: Path, costs: Callable[[], tuple[list[str], int]]) -> None:
    before = UniquenessResult.load(finished / "out")
    more = run(config_in(finished, x=X, y=Y[0], rates=(50, 70, 90)))
    assert costs() == ([Y[0]], 2)  # at 70 %, with two vision models
    old = [point for point in more.points if point.rate != 70]
    assert old == [point for point in before.points if point.y == Y[0]]
    wider = run(config_in(finished, x=X[:1], y=(*Y, "open-llama-3b"), rates=(90,)))
    assert costs() == (["open-llama-3b"], 2)  # at 0 and 90 %
    assert places(wider.points) == {(X[0], y, rate) for y in (*Y, "open-llama-3b") for rate in (0, 90)}
    assert [point for point in wider.points if point.y in Y] == [
        point for point in before.points if point.x == X[0] and point.rate != 50
    ]
    assert run(config_in(finished, x=X, y=Y, rates=(50, 90))).points == before.points  # nothing is forgotten
    assert costs() == ([], 0)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"seed": 1}, "seed was 0, is now 1"),
        ({"metric": "cka"}, "metric was 'mutual_knn', is now 'cka'"),
        ({"op": "word_delete"}, "op was 'char_delete', is now"),
        ({"permutations": 29}, "permutations was 19, is now"),
        ({"data": DataSpec("minhuh/prh", max_samples=20)}, "data.max_samples was null, is now 20"),
    ],
)
def test_another_study_in_the_folder(
    whole: Path, costs: Callable[[], tuple[list[str], int]], values: dict[str, Any], field: str
) -> None:
    files = files_of(whole, "*")
    with pytest.raises(VlalignError) as caught:
        run(config_in(whole, x=X, y=Y, rates=(50, 90), **values))
    message = str(caught.value)
    assert field in message
    assert message.endswith("name another folder with --out")
    assert "\n" not in message
    assert costs() == ([], 0)
    assert files_of(whole, "*") == files


def test_damaged_and_missing_records_are_made_again(
    finished: Path, costs: Callable[[], tuple[list[str], int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = sys.modules["vlalign.uniqueness.records"]
    said: list[str] = []
    monkeypatch.setattr(module.log, "warning", lambda text, *rest: said.append(text % rest))
    records = sorted((finished / "out" / "records").iterdir())
    contents = {path: path.read_text() for path in records}
    records[3].write_text("{")
    records[7].unlink()
    before = UniquenessResult.load(finished / "out")
    logged: list[dict[str, float]] = []
    tracker: Any = SimpleNamespace(
        start=lambda: None, store_init_configuration=len, log=logged.append, finish=lambda: None
    )
    result = UniquenessStudy(config_in(finished, x=X, y=Y, rates=(50, 90))).run(report=False, tracker=tracker)
    assert result is not None
    assert costs() == ([], 2)
    assert result.points == before.points
    scores = [value for entry in logged for name, value in entry.items() if name.endswith("/score")]
    assert len(scores) == 2
    assert set(scores) <= {point.score for point in before.points}
    assert len(said) == 1
    assert records[3].name in said[0]
    assert {path for path in records if path.read_text() == contents[path]} >= set(records) - {records[3], records[7]}


def test_an_interrupted_study_keeps_what_was_scored(
    finished: Path, costs: Callable[[], tuple[list[str], int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = UniquenessResult.load(finished / "out")
    shutil.rmtree(finished / "out" / "records")
    (finished / "out" / "points.csv").unlink()
    records: Any = sys.modules["vlalign.uniqueness.records"].Records
    original, config = records.put, config_in(finished, x=X, y=Y, rates=(50, 90))

    def put(self: Any, record: Any) -> str:
        if len(files_of(finished, "*__*.json")) == 5:
            raise KeyboardInterrupt
        return str(original(self, record))

    with monkeypatch.context() as patch:
        patch.setattr(records, "put", put)
        with pytest.raises(KeyboardInterrupt):
            run(config)
    assert not (finished / "out" / "points.csv").exists()
    assert costs() == ([], 6)
    assert run(config).points == before.points
    assert costs() == ([], 12 - 5)


def test_a_score_that_fails_is_a_note(
    finished: Path, costs: Callable[[], tuple[list[str], int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = UniquenessResult.load(finished / "out")
    gone = before.points[4:7]
    for point in gone:
        (finished / "out" / str(point.record)).unlink()
    scorer: Any = sys.modules["vlalign.scoring.scorer"].Scorer
    original, failing = scorer.pair, [True, False, False]

    def pair(self: Any, *rest: Any) -> Any:
        if failing.pop(0):
            raise VlalignError("no such luck")
        return original(self, *rest)

    config = config_in(finished, x=X, y=Y, rates=(50, 90))
    with monkeypatch.context() as patch:
        patch.setattr(scorer, "pair", pair)
        points = run(config).points
    assert failing == []
    assert (points[4].score, points[4].record, points[4].note) == (None, None, "no such luck")
    assert points[4].performance == before.points[4].performance
    assert points[:4] + points[5:] == before.points[:4] + before.points[5:]
    assert costs() == ([], 2)
    assert run(config).points == before.points  # tried again
    assert costs() == ([], 1)


def test_everything_is_checked_before_weights_load(
    tiny: TinyModels, hub: HubServer, tmp_path: Path, costs: Callable[[], tuple[list[str], int]]
) -> None:
    for values, message in (
        ({"metric": "mutual_nn"}, "mutual_knn"),
        ({"k": 24}, "N=24"),
        ({"preset": "cosin"}, "cosin"),
        ({"rates": (100,)}, "empty"),
        ({"y": (Y[0], "nobody/nothing")}, "nobody/nothing"),
        ({"op": "pixel_noise", "side": "y"}, "--side y"),
        ({"data": DataSpec(str(tiny.path("prh")), text_column="title")}, "title"),
    ):
        with pytest.raises(VlalignError, match=message) as caught:
            UniquenessStudy(config_in(tmp_path, **values)).run()
        assert "\n" not in str(caught.value)
    assert costs() == ([], 0)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "store").exists()


def test_the_time_left_counts_what_is_missing_only(finished: Path) -> None:
    def works(**values: Any) -> dict[str, Any]:
        study = UniquenessStudy(config_in(finished, x=X, y=Y, **values))
        plan = study.plan()
        found = study._works(plan, Records(study.config.out, plan.metric))
        return {getattr(name, "alias", name): work for name, work in found.items()}

    done = works(rates=(50, 90))
    assert set(done) == {*X, *Y, "score"}
    assert {work.amount for work in done.values()} == {0}
    assert {work.expected for work in done.values()} == {0}
    more = works(rates=(50, 70, 90))
    layers = {name: len(runs[0].layers) for name, runs in runs_by(finished).items()}
    n = runs_by(finished).popitem()[1][0].n
    assert more["score"].amount == sum(_pair_seconds(layers[x], layers[y], n) for x in X for y in Y)
    assert [more[name].amount for name in X] == [0, 0]
    assert all(more[name].amount > 0 < more[name].expected for name in (*Y, "score"))
    assert (more[X[0]].kind, more[Y[0]].kind) == ("vision", "text")


def test_folders_of_one_name_are_models_apart(tiny: TinyModels, tmp_path: Path) -> None:
    folders = [tmp_path / step / "hf" for step in ("step100", "step900")]
    for folder, model in zip(folders, ("timm_dinov2_small", "timm_dinov2_giant"), strict=True):
        shutil.copytree(tiny.path(model), folder)
    config = config_in(
        tmp_path, x=tuple(map(str, folders)), y=str(tiny.path("llama")), data=DataSpec(str(tiny.path("prh")))
    )
    result = run(config)
    assert {point.x for point in result.points} == {"step100/hf", "step900/hf"}
    assert [(fit.x, fit.rate, len(fit.y)) for fit in result.fits] == [
        (x, rate, 1) for x in ("step100/hf", "step900/hf") for rate in (0, 50)
    ]
    for point in result.points:
        record = load_of(tmp_path / "out", point)
        assert record is not None
        assert record.score == point.score
