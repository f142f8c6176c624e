"""Scores of samples: by id, beside the record, and never those of another record."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from vlalign.errors import VlalignError
from vlalign.metrics import knn
from vlalign.report.score import show_records
from vlalign.scoring import ScoreRecord, score

N, K = 40, 3


@pytest.fixture(scope="module")
def sides() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(N, 4, generator=torch.Generator().manual_seed(0))
    return x, x + 0.7 * torch.randn(N, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def record(sides: tuple[torch.Tensor, torch.Tensor]) -> ScoreRecord:
    """Sides with ids, y in another order; the second layer of y is the best one."""
    x, y = sides
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    ids = [[f"s{i}" for i in range(N)], [f"s{i}" for i in order.tolist()]]
    layers = torch.stack([y.flip(0), y], 1)[order]
    return score(x, layers, k=K, ids=ids, preset="cosine", permutations=0, half_samples=0)


def test_samples_of_a_score(sides: tuple[torch.Tensor, torch.Tensor], record: ScoreRecord) -> None:
    assert record.best["y"]["position"] == 1
    lists = [knn(torch.nn.functional.normalize(side), K).tolist() for side in sides]
    expected = {f"s{i}": len(set(a) & set(b)) / K for i, (a, b) in enumerate(zip(*lists, strict=True))}
    samples = record.samples()
    assert dict(zip(samples["id"], samples["score"], strict=True)) == pytest.approx(expected)
    assert samples["score"].mean() == pytest.approx(record.score, abs=1e-12)
    plain = score(*sides, k=K, metric="cycle_knn", permutations=0, half_samples=0)
    assert plain.samples()["id"].tolist() == list(range(N))
    assert plain.samples()["score"].mean() == pytest.approx(plain.score, abs=1e-12)
    with pytest.raises(VlalignError, match="cka is no mean over samples"):
        score(*sides, metric="cka", permutations=0, half_samples=0).samples()


def test_the_file_beside_the_record(record: ScoreRecord, tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=300)
    show_records([record], tmp_path, console, figures=None)
    path = tmp_path / record.filename
    file = path.with_suffix(".samples.parquet")
    assert f"samples   {file}" in console.file.getvalue()  # type: ignore[attr-defined]
    loaded = ScoreRecord.load(path)
    assert loaded == record
    assert loaded.samples().equals(record.samples())
    record.save(other := tmp_path / "other.json")
    with pytest.raises(VlalignError, match=r"there is no file .*other\.samples\.parquet"):
        ScoreRecord.load(other).samples()
    samples = record.samples()
    samples.assign(score=samples["score"] + 0.1).to_parquet(file)
    with pytest.raises(VlalignError, match="is of another record"):
        loaded.samples()
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(VlalignError, match="cannot read") as caught:
        loaded.samples()
    assert "\n" not in str(caught.value)
    show_records([dataclasses.replace(record, n=N + 1)], tmp_path, console, figures=None)  # without samples
    assert not file.exists()
