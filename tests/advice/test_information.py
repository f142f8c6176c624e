"""Information about the label behind the verdicts: estimated once, refused with a reason, told in the verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.advice import arrays, data

from vlalign.advice.data import make_data
from vlalign.advice.information import FILE, estimate
from vlalign.errors import VlalignError


class Result:
    """Stand-in for the result of an estimate."""

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.as_dict()))

    def as_dict(self) -> dict[str, Any]:
        return {"estimates": {"R": {"value": 0.5}}}


@pytest.mark.parametrize("classes", [True, False])
def test_it_is_estimated_once_on_the_same_samples(
    classes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr("vlalign.decomposition.information", lambda *x: calls.append(x) or Result(), raising=False)
    pairs = data(60) if classes else make_data(*arrays()[:2], np.linspace(0, 1, 60))
    first = estimate(pairs, tmp_path)
    assert estimate(pairs, tmp_path) == first == Result().as_dict()
    ((x1, x2, y),) = calls
    rows = [int((pairs.x[0] == row).all(1).nonzero()) for row in x1]
    assert sorted(rows) == list(range(60))
    assert (pairs.x[1][rows] == x2).all()
    assert torch.allclose(pairs.target[rows], y.to(pairs.target.dtype))
    (tmp_path / FILE).write_text("damaged")
    estimate(pairs, tmp_path)
    assert len(calls) == 2


def test_a_regression_of_whole_numbers_is_divided_into_parts(tmp_path: Path) -> None:
    from vlalign.decomposition.samples import check_samples

    given: list[Any] = []
    ratings = make_data(*arrays()[:2], np.arange(60) % 6 + 1.0, regression=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vlalign.decomposition.information", lambda *x: given.append(x) or Result(), raising=False)
        estimate(ratings, tmp_path)
    x1, x2, y = given[0]
    samples = check_samples([x1, x2], y, 2, 3)
    assert samples.target is not None
    assert samples.classes == ["up to 2", "2 to 4", "above 4"]


def test_what_it_cannot_estimate_has_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise VlalignError("too few samples")

    monkeypatch.setattr("vlalign.decomposition.information", refuse, raising=False)
    assert estimate(data(60), tmp_path) == {"refused": "too few samples"}
    assert not (tmp_path / FILE).exists()
