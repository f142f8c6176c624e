"""Records of a folder: kept where nothing that they depend on has changed, computed again otherwise."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from support.board import run_of
from support.runs import FakeRun
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.report.score import show_records
from vlalign.scoring import ScoreRecord
from vlalign.scoring.batch import prepare_pairs
from vlalign.scoring.options import ScoreOptions
from vlalign.scoring.resume import records_in, score_missing

IDS = [f"s{i}" for i in range(60)]
Run = Callable[..., FakeRun]


def runs(make_run: Run, pair: tuple[list[Tensor], list[Tensor]]) -> list[FakeRun]:
    found = []
    for name, modality, layers in (("v", "vision", pair[0]), ("t", "text", pair[1]), ("u", "text", pair[1][::-1])):
        run, told = make_run(name, layers, IDS), run_of(name, modality)
        run.key = SimpleNamespace(**{**vars(run.key), "data": told["key"], "hash": told["hash"]})
        found.append(run)
    return found


def score_into(folder: Path, runs: list[FakeRun], *, force: bool = False, stop: int = 99, **options: Any) -> int:
    """Score the first run with the others; returns how many scores were computed before ``stop`` of them."""
    settings: dict[str, Any] = {"k": 3, "permutations": 9, "half_samples": 4, **options}
    planned = prepare_pairs([(runs[0], other) for other in runs[1:]], ScoreOptions(**settings))
    computed = 0
    for i, one in enumerate(planned):
        compute = one._compute

        def counted(request: Any, compute: Callable[[Any], ScoreRecord] = compute) -> ScoreRecord:
            nonlocal computed
            if computed == stop:
                raise KeyboardInterrupt
            computed += 1
            return compute(request)

        object.__setattr__(planned[i], "_compute", counted)
    records = score_missing(planned, folder, force=force, progress=False)
    try:
        show_records(records, folder, Console(file=io.StringIO(), width=200), figures=None)
    except KeyboardInterrupt:
        assert computed == stop
    return computed


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "scores.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "changed",
    [{"k": 4}, {"metric": "cka"}, {"preset": "cosine"}, {"permutations": 10}, {"half_samples": 6}, {"seed": 1},
     {"concat": True}, {"full": True}, {"groups": "exact"}, {"force": True}],
    ids=str,
)  # fmt: skip
def test_only_equal_settings_keep_records(
    changed: dict[str, Any], make_run: Run, pair: tuple[list[Tensor], list[Tensor]], tmp_path: Path
) -> None:
    sides = runs(make_run, pair)
    assert score_into(tmp_path, sides) == 2
    before = {path: path.read_bytes() for path in tmp_path.glob("*.json")}
    assert score_into(tmp_path, sides) == 0
    assert {path: path.read_bytes() for path in tmp_path.glob("*.json")} == before
    assert score_into(tmp_path, sides, **changed) == 2


def test_groups_of_a_file_count_by_content(
    make_run: Run, pair: tuple[list[Tensor], list[Tensor]], tmp_path: Path
) -> None:
    sides, file = runs(make_run, pair), tmp_path / "groups.csv"
    for size, computed in ((2, 2), (2, 0), (3, 2)):
        file.write_text("id,group\n" + "".join(f"{name},{i // size}\n" for i, name in enumerate(IDS)))
        assert score_into(tmp_path / "out", sides, groups=str(file)) == computed


def test_an_interrupted_command_resumes(make_run: Run, pair: tuple[list[Tensor], list[Tensor]], tmp_path: Path) -> None:
    sides = runs(make_run, pair)
    assert score_into(tmp_path, sides, stop=1) == 1
    assert score_into(tmp_path, sides) == 1
    assert len(rows(tmp_path)) == 2
    damaged, _ = sorted(tmp_path.glob("*.json"))
    damaged.write_text(damaged.read_text()[:-200])
    assert score_into(tmp_path, sides) == 1
    older = json.loads(damaged.read_text())
    del older["environment"]["request"]
    damaged.write_text(json.dumps(older))
    assert score_into(tmp_path, sides) == 1


def test_the_table_has_all_records_of_the_folder(
    make_run: Run, pair: tuple[list[Tensor], list[Tensor]], tmp_path: Path
) -> None:
    sides = runs(make_run, pair)
    score_into(tmp_path, sides)
    score_into(tmp_path, sides[:2], metric=["cka", "mutual_knn"])
    (tmp_path / "note.json").write_text("{}")
    assert score_into(tmp_path, sides[:2], metric="rsa") == 1  # one record, and the table is complete
    found = rows(tmp_path)
    assert sorted(row["metric"].partition(":")[0] for row in found) == ["cka", "mutual_knn", "mutual_knn", "rsa"]
    assert {row["record"] for row in found} == {path.name for path in records_in(tmp_path)}


def test_missing_figures_of_kept_records_are_drawn(
    make_run: Run, pair: tuple[list[Tensor], list[Tensor]], tmp_path: Path
) -> None:
    sides = runs(make_run, pair)[:2]
    for _ in range(2):
        planned = prepare_pairs([(sides[0], sides[1])], ScoreOptions(k=3, permutations=0, half_samples=0))
        show_records(score_missing(planned, tmp_path, progress=False), tmp_path, Console(file=io.StringIO()))
        (figure,) = tmp_path.glob("*.png")
        figure.unlink()


def test_the_bar_says_which_pair_of_how_many(
    make_run: Run, pair: tuple[list[Tensor], list[Tensor]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = runs(make_run, pair)
    planned = prepare_pairs(
        [(sides[0], sides[1]), (sides[0], sides[2])], ScoreOptions(k=3, permutations=0, half_samples=0)
    )
    assert len(list(score_missing(planned, tmp_path))) == 2
    shown = capsys.readouterr().err
    assert "0/2" in shown
    assert "v × u mutual_knn" in shown


def test_kept_pairs_let_go_of_what_was_prepared(
    make_run: Run, pair: tuple[list[Tensor], list[Tensor]], tmp_path: Path
) -> None:
    sides = runs(make_run, pair)
    score_into(tmp_path, [sides[0], sides[2]])
    planned = prepare_pairs(
        [(sides[0], sides[1]), (sides[0], sides[2])], ScoreOptions(k=3, permutations=9, half_samples=4)
    )
    assert len(list(score_missing(planned, tmp_path, progress=False))) == 2
    scorer = planned[0]._compute.func.__self__  # type: ignore[attr-defined]
    assert not scorer._sides


def test_a_record_of_a_damaged_run_is_not_kept_silently(
    make_run: Run, pair: tuple[list[Tensor], list[Tensor]], tmp_path: Path
) -> None:
    made = runs(make_run, pair)
    assert score_into(tmp_path, made) == 2

    def damaged() -> None:
        raise VlalignError("cannot read shard-00000: sha256 mismatch")

    object.__setattr__(made[2], "check", damaged)
    with pytest.raises(VlalignError, match="sha256 mismatch"):
        score_into(tmp_path, made)
    assert len(records_in(tmp_path)) == 2
