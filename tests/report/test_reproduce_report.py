"""What is shown of a reproduction."""

from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console

from vlalign.report.reproduce import show_reproduction
from vlalign.reproduce.compare import Reproduction, reproduce


@pytest.fixture
def found() -> Reproduction:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 3, 8, generator=generator)
    return reproduce(x, x[:, :2] + 0.5 * torch.randn(30, 2, 8, generator=generator), k=4, quantile="mean")


def shown(found: Reproduction) -> str:
    console = Console(file=io.StringIO(), width=160)
    show_reproduction(found, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_both_columns_and_every_reason(found: Reproduction) -> None:
    said = shown(found)
    y, x = found.reference["indices"]
    for part in (repr(found.reference["score"]), repr(found.ours["score"]), f"({y}, {x})  = (y, x)", "2 × 3", "3 × 2"):
        assert part in said
    for side in "xy":
        assert f"{found.reference['clip'][side]:.8g}" in said
        assert f"{found.ours['clip'][side]:.8g}" in said
    assert "mutual_knn, k = 4, N = 30" in said
    assert len(found.differences) >= 3
    together = " ".join(said.split())
    for difference in found.differences:
        assert difference.what in said
        assert " ".join(difference.reason.split()[:8]) in together


def test_no_layers_where_nothing_is_above_zero() -> None:
    x = torch.eye(6)[[0, 0, 1, 1, 2, 2]]
    said = shown(reproduce(x, torch.eye(6)[[0, 1, 1, 2, 2, 0]], k=1))
    assert "nothing above 0" in said
    assert "none" in said
