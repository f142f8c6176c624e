"""Heat maps and tables of records."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from support.shown import colours

from vlalign import ScoreRecord, VlalignError, score
from vlalign.report.score import records_table, show_records, summary
from vlalign.scoring.record_figures import draw_heat_map, save_record


@pytest.fixture(scope="module")
def record() -> ScoreRecord:
    generator = torch.Generator().manual_seed(0)
    x = [torch.randn(40, 8, generator=generator) for _ in range(12)]
    y = [x[5] + 0.3 * i * torch.randn(40, 8, generator=generator) for i in range(31)]
    return score(x, y, k=4, permutations=99)


def said(thing: object) -> str:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(thing)
    return console.export_text()


@pytest.mark.parametrize("shape", [(1, 1), (12, 31), (31, 12), (40, 80)])
def test_figures_of_any_shape(shape: tuple[int, int], tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    made = score(
        [torch.randn(20, 4, generator=generator) for _ in range(shape[0])],
        [torch.randn(20, 4, generator=generator) for _ in range(shape[1])],
        k=3, permutations=0,
    )  # fmt: skip
    path = save_record(made, tmp_path / "map.png")
    with Image.open(path) as image:
        assert colours(image) > 20
        assert max(image.size) < 3000


@pytest.mark.parametrize(("x", "y"), [("vision", "text"), ("text", "vision")])
def test_vision_is_on_the_y_axis_whatever_the_lengths(record: ScoreRecord, x: str, y: str) -> None:
    sides = {side: {**getattr(record, side), "model": name, "modality": name} for side, name in (("x", x), ("y", y))}
    axes = draw_heat_map(replace(record, **sides))
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("vision", "text")
    shape = np.asarray(record.matrix).shape
    assert axes.images[0].get_array().shape == (shape if x == "vision" else shape[::-1])


@pytest.mark.parametrize(("share", "hatched"), [(0.5, False), (0.97, True)])
def test_the_few_cells_that_are_not_significant_are_hatched(record: ScoreRecord, share: float, hatched: bool) -> None:
    values = np.asarray(record.matrix)
    threshold = float(np.quantile(values, 1 - share))
    axes = draw_heat_map(replace(record, null={**record.null, "threshold": threshold}))
    cells = [patch for patch in axes.patches if patch.get_hatch()]
    assert len(cells) == hatched * np.sum(values <= threshold)
    assert ("hatched: not above" if hatched else "outlined: above") in axes.get_title(loc="left")


def test_summary_says_what_was_found(record: ScoreRecord) -> None:
    text = said(summary(record))
    best = record.best
    found = [f"{record.score:.4f}", best["x"]["name"], best["y"]["name"], f"{4 / 39:.4f}"]
    for word in [*found, "12 × 31", "99", "≤ 0.01", "N = 40"]:
        assert word in text
    table = said(records_table([record, record]))
    assert table.count(f"{record.score:.4f}") == 2


def test_files_are_written_and_named(record: ScoreRecord, tmp_path: Path) -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    show_records([record], tmp_path / "out", console)
    names = {path.suffix for path in (tmp_path / "out").iterdir()}
    assert names == {".json", ".png", ".parquet"}  # of samples
    text = console.export_text().replace("\n", "")
    assert all(path.name in text for path in (tmp_path / "out").iterdir())


def test_a_figure_that_cannot_be_written(record: ScoreRecord, tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match="cannot write"):
        save_record(record, tmp_path / "no" / "map.png")
