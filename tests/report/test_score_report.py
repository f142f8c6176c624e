"""What is shown of scores: summary, table of many, stages, heat map."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console, RenderableType

from vlalign.errors import VlalignError
from vlalign.report.score import grouped_notes, records_table, show_records, stages_table, summary
from vlalign.scoring import ScoreRecord
from vlalign.scoring.record_figures import save_record

CHECKED = {
    "n": 1024, "duplicates": 0, "largest_group": 1, "near": 0.999, "near_duplicates": 2, "near_pairs": 1, "k": 10,
    "hub_skewness": 1.5, "largest_hub": 70, "unlisted": 0.01, "effective_dimension": 23.4, "clipped": 0.05,
}  # fmt: skip


def make_record(rows: int = 12, columns: int = 31, **changes: Any) -> ScoreRecord:
    matrix = np.random.default_rng(0).uniform(0.01, 0.1, (rows, columns))
    matrix[rows // 2, columns // 3] = 0.1594
    axes = {
        side: [{"index": i, "name": f"block_{i}", "width": 8, "convention": ""} for i in range(count)]
        for side, count in (("x", rows), ("y", columns))
    }
    best = {
        side: {"position": i, "index": i, "name": f"block_{i}"} for side, i in (("x", rows // 2), ("y", columns // 3))
    }
    null = {"permutations": 1000, "seed": 0, "mean": 0.0137, "sd": 0.0005, "q5": 0.013, "q50": 0.0137, "q95": 0.0146}
    null |= {"asked": 1000, "stopped": False, "blocks": None, "alpha": 0.05, "threshold": 0.0146, "calibrated": 0.147}
    null |= {"pair_mean": 0.0098, "maxima": np.random.default_rng(1).normal(0.0137, 0.0005, 1000).tolist()}
    record = ScoreRecord(
        x={"model": "dinov2-small", "modality": "vision", "run": None, "tensor": None},
        y={"model": "org/language-model", "modality": "text", "run": None, "tensor": None},
        metric={"name": "mutual_knn", "params": {"k": 10}},
        preprocessing={"preset": "platonic"},
        pairing={"by": "id", "reordered": False},
        n=1024,
        axes=axes,
        matrix=matrix.tolist(),
        best={**best, "score": 0.1594},
        chance=10 / 1023,
        moments={"mean": 10 / 1023, "sd": 0.00125, "z": 119.7, "p_value": 0.0, "p_selected": 0.0},
        null={**null, "q99": 0.0151, "max": 0.0162, "p_value": 1 / 1001},
        interval={"low": 0.151, "high": 0.168, "level": 0.95, "sd": 0.0042, "count": 100},
        curves=None,
        checks={"x": CHECKED, "y": CHECKED, "notes": []},
        performance={"x": None, "y": {"bits_per_byte": 1.234}},
        environment={},
        seconds={"grid": 0.1},
    )
    return dataclasses.replace(record, **changes)


def shown(renderable: RenderableType, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_summary_says_what_matters() -> None:
    text = shown(summary(make_record()))
    for part in ("dinov2-small × org/language-model", "0.1594", "12 × 31", "block_6", "block_10", "0.0098", "16.3"):
        assert part in text
    for part in ("0.0137", "0.0162", "1000", "≤ 0.001", "k = 10", "N = 1024", "platonic", "1.234 bits per byte"):
        assert part in text


def test_summary_says_how_many_captions_were_truncated() -> None:
    """Records of earlier versions counted bytes that truncation cut off: their bits per byte are not shown."""
    y = {"model": "m", "modality": "text", "run": {"hash": "0" * 64, "key": {}, "facts": {"truncated": 3}}}
    new = make_record(y=y, performance={"x": None, "y": {"bits_per_byte": 1.5, "truncated": 3}})
    assert "m: 1.500 bits per byte (3 captions truncated)" in shown(summary(new))
    assert new.measured("y") == {"bits_per_byte": 1.5, "truncated": 3}
    old = make_record(y=y, performance={"x": None, "y": {"bits_per_byte": 1.5}})
    assert "bits per byte" not in shown(summary(old))
    assert old.measured("y") == old.measured("x") == {}


def test_summary_without_null_chance_or_performance() -> None:
    text = shown(summary(make_record(null=None, chance=None, moments=None, performance={"x": None, "y": None})))
    assert "0.1594" in text
    assert "p-value" not in text
    assert "│ chance" not in text
    assert "verdict   not tested" in text


def test_table_of_many_is_sorted_and_stages_are_summed() -> None:
    low = make_record(best={**make_record().best, "score": 0.05})
    text = shown(records_table([low, make_record()]))
    assert text.index("0.1594") < text.index("0.0500")
    stages = shown(stages_table([("load", 1.5), ("grid", 2.0)]))
    assert "3.5 s" in stages


def test_heat_map_of_equal_values_and_without_chance(tmp_path: Path) -> None:
    record = make_record(3, 4, matrix=[[0.0] * 4] * 3, chance=None, moments=None, null=None, interval=None)
    assert save_record(record, tmp_path / "map.png").stat().st_size > 1000


def test_heat_map_leaves_no_figure_behind(tmp_path: Path) -> None:
    import matplotlib.pyplot

    save_record(make_record(2, 3), tmp_path / "map.png")
    assert matplotlib.pyplot.get_fignums() == []


def test_heat_map_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match="cannot write"):
        save_record(make_record(2, 3), tmp_path / "none" / "map.png")


@pytest.mark.parametrize("count", [1, 2])
def test_records_and_figures_are_written_and_named(count: int, tmp_path: Path) -> None:
    records = [make_record(), make_record(x={**make_record().x, "model": "other"})][:count]
    console = Console(file=io.StringIO(), width=200)
    show_records(records, tmp_path / "out", console)
    assert isinstance(console.file, io.StringIO)
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    table = ["scores.csv"] if count > 1 else []
    figure = ["scores.png"] if count > 1 else []
    assert [name for name in written if name.endswith(".csv")] == table
    assert len(written) == 2 * count + len(table) + len(figure)
    assert {Path(name).suffix for name in written} >= {".json", ".png"}
    assert str(tmp_path / "out") in console.file.getvalue().replace("\n", "")
    assert ScoreRecord.load(tmp_path / "out" / records[0].filename) == records[0]


def test_figures_of_an_earlier_record_do_not_stay(tmp_path: Path) -> None:
    console, names = Console(file=io.StringIO(), width=200), (".png", ".null.png", ".curves.png")
    show_records([make_record()], tmp_path, console)
    path = tmp_path / make_record().filename
    for name in names:
        path.with_suffix(name).touch()
    show_records([dataclasses.replace(make_record(), n=1023)], tmp_path, console, figures=None)
    assert [name for name in names if path.with_suffix(name).exists()] == []


def test_the_table_follows_records_that_were_deleted(tmp_path: Path) -> None:
    records = [make_record(), make_record(x={**make_record().x, "model": "other"})]
    console = Console(file=io.StringIO(), width=200)
    show_records(records, tmp_path, console, figures=None)
    (tmp_path / records[1].filename).unlink()
    show_records(records[:1], tmp_path, console, figures=None)
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 2


def test_q_values_do_not_depend_on_what_else_the_folder_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_record(3, 4)

    def with_p(model: str, p_value: float, **changes: Any) -> ScoreRecord:
        assert first.null is not None
        return make_record(3, 4, x={**first.x, "model": model}, null={**first.null, "p_value": p_value}, **changes)

    def printed(records: list[ScoreRecord]) -> list[float]:
        show_records(records, tmp_path, Console(file=io.StringIO()), figures=None, form="json")
        return [row["q_value"] for row in json.loads(capsys.readouterr().out)]

    pairs = [with_p("a", 0.01), with_p("b", 0.03)]
    assert printed(pairs) == pytest.approx([0.02, 0.03])
    other = {"name": "cka", "params": {"kernel": "linear"}}
    assert printed([with_p(str(i), 0.9, metric=other) for i in range(6)]) == pytest.approx([0.9] * 6)
    assert printed(pairs) == pytest.approx([0.02, 0.03])
    with (tmp_path / "scores.csv").open() as file:
        q_values = {row["x"]: float(row["q_value"]) for row in csv.DictReader(file)}
    assert [q_values["a"], q_values["b"]] == pytest.approx([0.08, 0.12])  # of eight rows


def test_notes_stand_once_below_a_table_of_many(tmp_path: Path) -> None:
    def noted(model: str, notes: list[str]) -> ScoreRecord:
        return make_record(
            3, 4, x={**make_record().x, "model": model}, checks={"x": CHECKED, "y": CHECKED, "notes": notes}
        )

    console = Console(file=io.StringIO(), width=200)
    many = [f"remark {i}." for i in range(10)]
    show_records([noted("one", ["hubs here", *many]), noted("two", ["hubs here"])], tmp_path, console, figures=None)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.count("hubs here") == 1
    assert "remark 6." in text
    assert "remark 7." not in text
    assert "and 3 more notes" in text


@pytest.mark.parametrize("width", [80, 120])
def test_names_of_a_table_of_many_are_whole(width: int) -> None:
    vision, text = "vit_small_patch14_reg4_dinov2.lvd142m", "open-llama-3b-v2-easylm"
    sides: dict[str, Any] = {"x": {**make_record().x, "model": vision}, "y": {**make_record().y, "model": text}}
    other = make_record(metric={"name": "unbiased_cka", "params": {}}, y=sides["y"])
    lines = shown(records_table([make_record(**sides), other]), width).splitlines()
    assert max(map(len, lines)) <= width
    for name in (vision, text, "dinov2-small", "mutual_knn", "unbiased_cka", "0.1594", "0.151 – 0.168", "≤ 0.001"):
        assert any(name in line for line in lines)
    assert any("left out for the width: N, chance" in line for line in lines) == (width == 80)


def test_notes_of_one_kind_are_counted() -> None:
    def noted(model: str, *notes: str) -> ScoreRecord:
        return make_record(x={**make_record().x, "model": model}, checks={"x": {}, "y": {}, "notes": list(notes)})

    hubs = "block_{} of {}: a few samples are neighbours of many (one of {})"
    records = [
        noted("one", hubs.format(3, "one", 70), hubs.format(1, "org/language-model", 71), "only here"),
        noted("two", hubs.format(4, "two", 80), "no interval: too few samples"),
        noted("three", "no interval: too few samples"),
    ]
    assert grouped_notes(records) == [
        "2 pairs: for example, block_3 of one: a few samples are neighbours of many (one of 70)",
        "only here",
        "2 pairs: no interval: too few samples",
    ]
