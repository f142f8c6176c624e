"""What a score in depth shows: tables, notes, figures, the table of many records."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console, RenderableType
from scipy.stats import false_discovery_control
from support.shown import colours

from vlalign import ScoreRecord, score
from vlalign.metrics import get_metric
from vlalign.metrics.registry import METRICS, parse_metric
from vlalign.report.catalogue import metrics_table, parameters
from vlalign.report.full import in_depth
from vlalign.report.score import records_table, save_table, show_records, summary
from vlalign.scoring.batch import score_pairs
from vlalign.scoring.record_figures import _outline, drawable, save_curves, save_null, save_record
from vlalign.scoring.tables import false_discovery, metric_label

GENERATOR = torch.Generator().manual_seed(0)
X = [torch.randn(40, 6, generator=GENERATOR) for _ in range(2)]
Y = [X[0][:, :4] + 0.5 * i * torch.randn(40, 4, generator=GENERATOR) for i in range(3)]
NOISE = torch.randn(40, 5, generator=GENERATOR)


def said(thing: RenderableType, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(thing)
    return console.export_text()


def row(text: str, start: str) -> str:
    (found,) = [line for line in text.splitlines() if line.strip(" │").startswith(start)]
    return found


@pytest.fixture(scope="module")
def full() -> ScoreRecord:
    return score(X, Y, k=5, permutations=99, half_samples=4, full=True)


@pytest.fixture(scope="module")
def several() -> list[ScoreRecord]:
    pairs = [(X, Y), (X[0], NOISE)]
    return list(score_pairs(pairs, metric=["mutual_knn", "cka", "pwcca"], k=4, permutations=None, half_samples=2))


def test_summary_of_everything(full: ScoreRecord) -> None:
    text = said(summary(full))
    assert full.interval is not None
    assert full.moments is not None
    assert f"95% interval {full.interval['low']:.4f} – {full.interval['high']:.4f}" in row(text, "score")
    assert f"{full.moments['z']:.1f} sd above chance" in row(text, "z ")
    assert f"{full.calibrated:.4f}" in row(text, "calibrated")
    assert "99 random pairings, each" in row(text, "null")
    assert "stopped" not in text
    for note in full.checks["notes"]:
        assert note[:40] in text


def test_summary_of_groups_early_stops_and_notes() -> None:
    x = torch.eye(8)[[0, 0, 1, 1, 2, 2, 3, 3]]
    record = score(x, x[[0, 2, 3, 4, 5, 6, 7, 1]], k=1, groups=[0, 0, 1, 1, 2, 2, 3, 3])
    record = replace(record, checks={**record.checks, "notes": ["few samples.", "three effective dimensions."]})
    text = said(summary(record))
    assert record.null is not None
    assert record.null["stopped"]
    assert f"of {record.null['permutations']} random pairings of 4 groups, stopped early of 1000" in text
    assert f"{record.p_value:.2g}" in row(text, "p-value")
    assert "≤" not in row(text, "p-value")
    assert " z " not in text
    assert text.count("note ") == 2


def test_tables_in_depth(full: ScoreRecord) -> None:
    text = said(in_depth(full))
    matrix = np.array(full.matrix)
    values = [f"{value:.4f}" for value in np.sort(matrix, axis=None)[::-1][:5]]
    lines = [line.split() for line in text.splitlines() if line.strip().startswith("layer_")]
    assert [line[-1] for line in lines] == values
    assert lines[0][:3] == [full.best["x"]["name"], "×", full.best["y"]["name"]]
    assert full.null is not None
    above = (matrix > full.null["threshold"]).sum()
    assert f"{above} of 6 layer pairs lie above the null's 95% point" in " ".join(text.split())
    assert full.interval is not None
    for name, found in (("the best layer pair", full.interval), ("the maximum over", full.interval["maximum"])):
        assert row(text, name).split()[-3:] == [f"{found[part]:.4f}" for part in ("low", "high", "sd")]
    checks = full.checks["x"], full.checks["y"]
    assert row(text, "exact duplicates").split()[-2:] == [str(side["duplicates"]) for side in checks]
    assert row(text, "effective dimensions").split()[-2:] == [f"{side['effective_dimension']:.1f}" for side in checks]
    assert row(text, "values clipped").split()[-2:] == [f"{side['clipped']:.1%}" for side in checks]
    assert full.curves is not None
    for name, at in (("N", 40), ("k", 5)):
        table = text.split(f"score against {name}")[1].splitlines()
        (line,) = [line.split() for line in table[:15] if line.split()[:1] == [str(at)]]
        assert line[1] == line[3] == f"{full.score:.4f}"
        (point,) = [point for point in full.curves[name.lower()]["points"] if point["at"] == at]
        assert line[2] == f"{point['largest_corrected']['mean']:.4f}"
    for kind, ks in (("n", ["5", "5"]), ("n_proportional", ["3", "5"])):  # 2.5 is rounded up
        title = {"n": "score against N\n", "n_proportional": "score against N, k in proportion"}[kind]
        table = "\n".join(line.rstrip() for line in text.splitlines()).split(title)[1].splitlines()
        lines = [line.split() for line in table if line.split()[:1] in (["20"], ["40"])][:2]
        assert [line[-1] for line in lines] == ks
        assert [line[-2] for line in lines] == [f"{int(k) / (n - 1):.4f}" for k, n in zip(ks, (20, 40), strict=True)]
    assert "time: load" in text
    for name in ("chance", "z", "null", "p-value", "calibrated", "hubness"):
        assert re.search(rf"^  {name}: \w+", text, re.M), name


def test_depth_without_what_was_left_out() -> None:
    record = score(X[0], NOISE, metric="procrustes", preset="cosine", half_samples=0)
    text = said(in_depth(record))
    assert row(text, "values clipped").split()[-2:] == ["–", "–"]
    for absent in ("null", "interval", "against"):
        assert absent not in text


def test_figures_of_null_and_curves(full: ScoreRecord, tmp_path: Path) -> None:
    large, other = (torch.randn(80, 4, generator=GENERATOR) for _ in range(2))
    only_n = score([large, other], other, metric="procrustes", half_samples=0, full=True)
    no_k = score(large, other, metric="cknna:k=none", permutations=5, half_samples=0, full=True)
    single = score(X, Y, metric="procrustes", half_samples=0, full=True)
    assert drawable(single) == {}  # one N is no curve
    made = {
        "null": save_null(full, tmp_path / "null.png"),
        "few": save_null(no_k, tmp_path / "few.png"),
        "both": save_curves(full, tmp_path / "both.png"),
        "n": save_curves(only_n, tmp_path / "n.png"),
        "none": save_curves(no_k, tmp_path / "none.png"),
    }
    sizes = {}
    for name, path in made.items():
        with Image.open(path) as image:
            assert image.format == "PNG"
            pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
            sizes[name] = image.size
            assert colours(image) > 50
        assert 0.005 < (pixels < 250).any(axis=1).mean() < 0.5  # drawn upon, but mostly white
    assert sizes["both"][0] > sizes["none"][0] > sizes["n"][0]  # three curves, two, one


@pytest.mark.parametrize(
    ("inside", "segments"),
    [([[0, 0], [0, 0]], 0), ([[1]], 4), ([[1, 1, 1]], 8), ([[1, 0], [0, 1]], 8), ([[1, 1], [1, 1]], 8),
     ([[1, 1, 1], [1, 0, 1], [1, 1, 1]], 16)],
)  # fmt: skip
def test_the_outline_goes_round_the_cells(inside: list[list[int]], segments: int) -> None:
    found: list[Any] = []

    class Axes:
        add_collection = staticmethod(found.append)

    cells = np.array(inside, dtype=bool)
    _outline(Axes(), cells)
    assert len(found) == 2  # white on black
    for collection in found:
        lines = collection.get_segments()
        assert len(lines) == segments
        for (x0, y0), (x1, y1) in lines:
            assert abs(x1 - x0) + abs(y1 - y0) == 1
            across = (0, 0.5) if y0 == y1 else (0.5, 0)  # one side is inside, the other is not
            centre = (x0 + x1) / 2, (y0 + y1) / 2
            sides = []
            for sign in (1, -1):
                j, i = (round(c + sign * a) for c, a in zip(centre, across, strict=True))
                sides.append(0 <= i < cells.shape[0] and 0 <= j < cells.shape[1] and bool(cells[i, j]))
            assert sides[0] != sides[1]


def test_a_score_below_chance_is_drawn(tmp_path: Path) -> None:
    record = score(torch.eye(6)[[0, 0, 1, 1, 2, 2]], torch.eye(6)[[0, 1, 1, 2, 2, 0]], k=1, half_samples=0)
    assert record.chance is not None
    assert record.score < record.chance
    assert save_record(record, tmp_path / "map.png").stat().st_size > 3000


def test_q_values(several: list[ScoreRecord]) -> None:
    q = false_discovery(several)
    known = [record.p_value for record in several if record.p_value is not None]
    assert len(known) == 4
    assert [value for value in q if value is not None] == pytest.approx(false_discovery_control(known))
    assert q[4:] == [None, None]


def test_table_of_several_metrics(several: list[ScoreRecord]) -> None:
    text = said(records_table(several))
    names = [metric_label(record, short=True) for record in several]
    lines = [line.split() for line in text.splitlines() if line.split() and line.split()[0] in names]
    assert [line[0] for line in lines] == names
    assert [line[1] for line in lines] == [f"{record.score:.4f}" for record in several]
    assert [line[2] == "–" for line in lines] == [record.interval is None for record in several]
    assert "x × y" in text  # the pair is the title where all rows are of one
    assert "metric" not in said(records_table(several[:2]))


def test_short_labels_leave_defaults_out(several: list[ScoreRecord]) -> None:
    for record in several:
        assert parse_metric(metric_label(record, short=True)) == parse_metric(metric_label(record))


def test_csv(several: list[ScoreRecord], tmp_path: Path) -> None:
    q = false_discovery(several)
    path = save_table(several[::-1], tmp_path / "scores.csv")
    with path.open() as file:
        lines = list(csv.DictReader(file))
    expected = sorted(zip(several, q, strict=True), key=lambda one: (metric_label(one[0]), -one[0].score))
    assert len(lines) == 6
    for line, (record, value) in zip(lines, expected, strict=True):
        assert (line["metric"], line["record"]) == (metric_label(record), record.filename)
        assert (line["x"], line["y"], line["layer_x"]) == ("x", "y", record.best["x"]["name"])
        numbers = {"score": record.score, "p_value": record.p_value, "q_value": value, "chance": record.chance}
        numbers |= {"n": record.n, "calibrated": record.calibrated}
        numbers |= {"low": record.interval["low"], "high": record.interval["high"]} if record.interval else {}
        for name, number in numbers.items():
            assert line[name] == "" if number is None else float(line[name]) == pytest.approx(number)


def test_full_files(full: ScoreRecord, tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200, record=True)
    show_records([full], tmp_path, console, full=True)
    stem = full.filename.removesuffix(".json")
    names = {f"{stem}{end}" for end in (".json", ".samples.parquet", ".png", ".null.png", ".curves.png")}
    assert {path.name for path in tmp_path.iterdir()} == names
    text = console.export_text()
    assert all(name in text for name in names)
    assert text.count("best layer pairs") == 1
    assert text.count("│ calibrated") == 1


def test_metrics_as_text() -> None:
    assert parameters(METRICS["linear_predictivity"])[-1] == "alphas=0.01/0.1/1.0/10.0"
    for name in METRICS:
        assert parse_metric(get_metric(name).label) == get_metric(name)
    record = score(X[0], NOISE, metric="linear_predictivity:alphas=0.1/1", half_samples=0)
    assert record.metric["params"]["alphas"] == [0.1, 1.0]
    assert parse_metric(metric_label(record)) == parse_metric("linear_predictivity:alphas=0.1/1")
    assert "alphas = 0.1/1.0" in said(summary(record))
    text = said(metrics_table([METRICS["mutual_knn"], METRICS["cycle_knn"]]), width=500)
    assert text.count("not symmetric") == 1
    assert text.count("k=10") == 2
    narrow = said(metrics_table([METRICS["svcca"]]), width=80)
    assert "…" not in narrow
    assert "source: Raghu et al. 2017 (arXiv 1706.05806)" in narrow
