"""Records recomputed from the features that they name: from a store, and from a data set of the Hub."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.features import make_key, make_run

from vlalign import cli
from vlalign.hub import push, push_results
from vlalign.scoring import score
from vlalign.scoring.record import ScoreRecord
from vlalign.store import FeatureStore

pytestmark = pytest.mark.usefixtures("owner")
METRICS = ("mutual_knn", "cycle_knn", "cknna", "unbiased_cka", "svcca", "rsa")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, ``features``, and one record for each metric of its runs, in ``records``."""
    folder = tmp_path_factory.mktemp("made")
    make_run(folder / "features", make_key("dinov2-small", "vision"), n=200, widths=(7, 9))
    make_run(folder / "features", make_key("llama-7b"), n=200)
    runs = FeatureStore(folder / "features").runs()
    for i, metric in enumerate(METRICS):
        record = score(*runs, metric=metric, k=5, permutations=99, half_samples=6, seed=i, concat=i == 1)
        record.save(folder / "records" / f"{metric}.json")
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "features", tmp_path / "features")


@pytest.fixture
def results(store: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One record, in the folder ``results`` of the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    shutil.copy(made / "records" / "unbiased_cka.json", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Return status and output of `vlalign leaderboard check`."""

    def run(*words: str) -> tuple[int, str]:
        status = cli.main(["leaderboard", "check", *words, "-q"])
        out = capsys.readouterr()
        return status, out.out + out.err

    return run


def altered(record: ScoreRecord, what: str) -> ScoreRecord:
    """A valid record that claims more than was computed."""
    null, interval = dict(record.null or {}), dict(record.interval or {})
    if what == "matrix":  # not the best pair
        matrix = [list(row) for row in record.matrix]
        x, y = (record.best[side]["position"] for side in "xy")
        matrix[x - 1][y] = (record.score + matrix[x - 1][y]) / 2
        return replace(record, matrix=matrix)
    if what == "score":
        position = [record.best[side]["position"] for side in "xy"]
        matrix = [list(row) for row in record.matrix]
        matrix[position[0]][position[1]] += 0.05
        interval["observed"] = record.score + 0.05
        return replace(record, matrix=matrix, best={**record.best, "score": record.score + 0.05}, interval=interval)
    if what == "null":
        return replace(record, null={**null, "mean": null["mean"] - 0.1})
    if what == "interval":
        return replace(record, interval={**interval, "low": 0.9 * record.score + 0.1 * interval["low"]})
    return replace(record, performance={**record.performance, "y": {"bits_per_byte": 0.5}})


def test_records_are_verified_from_the_store(check: Any, made: Path, results: Path) -> None:
    shutil.copytree(made / "records", results, dirs_exist_ok=True)
    status, out = check("results", "--features", "features", "--sample", "10")
    assert status == 0, out
    assert "6 verified, 0 differs, 0 not checked" in out
    status, out = check("results", "--features", "features", "--sample", "2", "--seed", "1")
    assert (status, out.count("verified ")) == (0, 2)
    assert "4 not drawn" in out
    other = {check("results", "--features", "features", "--sample", "1", "--seed", str(i))[1] for i in range(6)}
    assert len(other) > 1


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_records_are_verified_from_the_hub(check: Any, made: Path, store: Path, results: Path, dtype: str) -> None:
    shutil.copytree(made / "records", results, dirs_exist_ok=True)
    push(store, f"owner/features-{dtype}", dtype=dtype)
    push_results([str(results)], f"owner/board-{dtype}")
    shutil.rmtree(store)
    name = "unbiased_cka.json"
    altered(ScoreRecord.load(results / name), "score").save(results / name)
    status, out = check(f"owner/board-{dtype}", "--features", f"owner/features-{dtype}", "--sample", "10")
    assert status == 0, out
    assert "6 verified" in out
    status, out = check("results", "--features", f"owner/features-{dtype}@main", "--sample", "10")
    assert status == 1
    assert "5 verified, 1 differs" in out


@pytest.mark.parametrize("what", ["matrix", "score", "null", "interval", "performance"])
@pytest.mark.parametrize("metric", ["mutual_knn", "unbiased_cka"])
def test_an_altered_record_differs(check: Any, made: Path, results: Path, what: str, metric: str) -> None:
    path = Path(shutil.copy(made / "records" / f"{metric}.json", results))
    record = ScoreRecord.load(path)
    changed = altered(record, what)
    changed.save(path)
    status, out = check(f"results/{metric}.json", "--features", "features")
    assert status == 1, out
    (line,) = [line for line in out.splitlines() if line.startswith("differs")]
    named = {"matrix": "matrix at ", "null": "null, mean", "interval": "interval, low", "performance": "bits per byte"}
    assert named.get(what, "score ") in line
    if what == "score":
        assert f"score {changed.score:.6g} recorded, {record.score:.6g} recomputed" in line


def test_a_record_under_the_name_of_another_model_differs(check: Any, results: Path) -> None:
    record = ScoreRecord.load(results / "unbiased_cka.json")
    replace(record, x={**record.x, "model": "better-model"}).save(results / "unbiased_cka.json")
    status, out = check("results/unbiased_cka.json", "--features", "features")
    assert (status, "better-model recorded" in out) == (1, True), out


def test_records_that_cannot_be_checked_are_listed_with_the_reason(check: Any, results: Path, tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    arrays = [torch.randn(40, 6, generator=random) for _ in range(2)]
    score(*arrays, names=("a", "b"), permutations=0, half_samples=0).save(results / "arrays.json")
    runs = FeatureStore(tmp_path / "features").runs()
    alone = make_run(tmp_path / "other", make_key("bloom-560m"), n=200)
    score(alone, runs[0], permutations=0, half_samples=0).save(results / "stranger.json")
    groups = {sample: i // 2 for i, sample in enumerate(runs[0].ids)}
    score(*runs, groups=groups, permutations=9, half_samples=0).save(results / "groups.json")
    (results / "broken.json").write_text("{")
    status, out = check("results", "--features", "features", "--sample", "10")
    assert status == 0, out
    assert "1 verified, 0 differs, 4 not checked" in out
    for path in Path("results").glob("*.json"):
        if check(str(path), "--features", "features")[1].count("1 verified"):
            path.unlink()
    status, out = check("results", "--features", "features", "--sample", "10")
    assert (status, "0 verified, 0 differs" in out) == (1, True), out  # a check of nothing is no success
    for reason in ("a is an array", "the features have no run bloom-560m@", "groups (given by id)", "not valid JSON"):
        assert reason in out
    assert check("results/arrays.json", "--features", "nowhere")[0] == 1


def test_a_folder_named_check_is_still_built(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results.rename("check")
    assert cli.main(["leaderboard", "./check", "--out", "site", "-q"]) == 0
    assert Path("site/index.html").is_file()
