"""Scores from approximate neighbours: close to the exact ones, recorded as what they are, never mixed with them."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import Any

import pytest
import torch

import vlalign
from vlalign.errors import VlalignError
from vlalign.scoring.collect import read_record
from vlalign.scoring.conditions import conditions
from vlalign.scoring.options import ScoreOptions, recorded_settings
from vlalign.scoring.summary import recall_notes, score_facts


def test_the_record_is_that_of_another_search(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    shared = torch.randn(300, 6, generator=draw)
    x, y = ([shared + torch.randn(300, 6, generator=draw) for _ in range(2)] for _ in range(2))
    options: dict[str, Any] = {"permutations": 50, "half_samples": 4, "full": True}
    exact, record = (vlalign.score(x, y, neighbours=search, **options) for search in ("exact", "faiss"))
    search = record.preprocessing["neighbours"]
    assert (search["method"], search["rows"]) == ("faiss", 300)
    assert min(search["recall"].values()) >= 0.99
    assert record.score == pytest.approx(exact.score, abs=0.005)
    assert record.interval is not None
    assert exact.interval is not None
    assert record.interval["low"] == pytest.approx(exact.interval["low"], abs=0.02)
    assert record.curves is not None
    assert record.curves["k"]["points"][-1]["at"] <= 75
    assert "faiss" not in str(vars(exact))
    path = record.save(tmp_path / record.filename)
    assert record.filename != exact.filename
    assert read_record(path) == record
    assert recorded_settings(record) == recorded_settings(exact) | {"neighbours": "faiss"}
    assert conditions(record, "a").id != conditions(exact, "a").id
    assert "approximate neighbours (faiss)" in conditions(record, "a").title
    assert "approximate (faiss): " in score_facts(record)["neighbours"]
    requests = [one.environment["request"] for one in (record, exact)]
    assert requests[0] == requests[1] | {"neighbours": "faiss"}


def test_low_recall_is_noted() -> None:
    low, high = ({"neighbours": {"recall": {"x": 1.0, "y": recall}}} for recall in (0.98, 0.99))
    assert recall_notes(high) == recall_notes({}) == []
    assert recall_notes(low)[0].startswith("the approximate neighbours of a side hold 98.0% of the exact ones")


def test_it_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(40, 3)
    with pytest.raises(
        VlalignError, match="neighbours: faiss is for metrics that compare neighbour lists, not for cka"
    ):
        vlalign.score(x, x, metric="cka", neighbours="faiss")
    mixed = ScoreOptions(metric=("cka", "mutual_knn"), neighbours="faiss")
    mixed.check_neighbours()
    assert [mixed.is_approximate(metric) for metric in mixed.metrics] == [False, True]
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(VlalignError, match=r"neighbours: faiss needs its library: pip install 'vlalign\[faiss\]'"):
        vlalign.score(x, x, neighbours="faiss")
