"""The list of runs of a store."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from vlalign.report.extraction import runs_table


def stand_in(model: str, **more: Any) -> Any:
    """Return what the table reads of a run."""
    data = {"data": {"name": "builtin:emoji"}, "dtype": "float32", "pooling": "mean"} | more
    key = SimpleNamespace(model=model, short="0d043ea7d1ffc658", modality="text", data=data, edits="", title=model)
    return SimpleNamespace(
        key=key, layers=[0] * 31, n=1024, truncated=0, extras={}, recorded_bits_per_byte=2.365,
        bits_per_byte=lambda check=True: 2.365,
    )  # fmt: skip


def lines(runs: list[Any], width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(runs_table(runs, []))
    return [line.rstrip() for line in console.export_text().splitlines() if line.strip()]


def test_80_columns_hold_every_run_in_one_line() -> None:
    head, names, rule, *rows = lines([stand_in("demo-smollm2-135m"), stand_in("llama-7b")])
    assert head == "  all runs: data builtin:emoji, precision float32, samples 1024"
    assert names.split() == ["model", "key", "modality", "pool", "layers", "bits/byte"]
    assert set(rule.strip()) == {"─"}
    assert [row.split() for row in rows] == [
        [model, "0d043ea7", "text", "mean", "31", "2.365"] for model in ("demo-smollm2-135m", "llama-7b")
    ]


def test_what_differs_between_runs_has_a_column() -> None:
    head, names, _, *rows = lines([stand_in("a"), stand_in("b", dtype="bfloat16")])
    assert "precision" not in head
    assert names.split()[3] == "precision"
    assert [row.split()[3] for row in rows] == ["float32", "bfloat16"]


def test_runs_of_one_model_are_told_apart() -> None:
    data = {"name": "builtin:emoji", "n": 1024}
    runs = [stand_in("a", data=data | {"text_column": name}) for name in ("text_fr", "text_de")]
    _, names, _, *rows = lines([*runs, stand_in("b", data=data | {"text_column": "text"})])
    assert names.split()[-2:] == ["differs", "in"]
    assert [row.split()[6:] for row in rows] == [["text_fr"], ["text_de"], []]


def test_a_store_without_complete_runs_has_no_line_in_common() -> None:
    assert not any("all runs" in line for line in lines([]))


@pytest.mark.parametrize("width", [80, 120])
def test_long_names_stay_on_one_line(width: int) -> None:
    names = ["vit_small_patch14_reg4_dinov2.lvd142m", "open-llama-3b-v2-easylm"]
    runs = [stand_in(name, dtype=f"bfloat{i}", data={"name": f"org/captions-{i}"}) for i, name in enumerate(names)]
    text = lines(runs, width)
    for name in [*names, "0d043ea7"]:
        assert any(name in line for line in text)
