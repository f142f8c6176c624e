"""Several MultiBench studies in one table, beside what is published."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from rich.console import Console
from support.html import Page
from support.multibench_results import AFFECT, made_up_multibench
from support.shown import text_of

from vlalign.errors import VlalignError
from vlalign.multibench.report.table1 import save_table1, show_table1


def row_with(text: str, start: str) -> list[str]:
    """The cells of the only Markdown row that begins like this."""
    (found,) = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_table1_of_several_studies(tmp_path: Path) -> None:
    affect = made_up_multibench(-0.3, name="mosi", task="sentiment", modalities=AFFECT, depths=(1, 2, 3, 4, 5, 6))
    own = made_up_multibench(0.5, name="mine", depths=(1, 2))
    runs = [made_up_multibench(), affect, own]
    files = save_table1(runs, tmp_path / "new")
    assert [path.name for path in files] == ["table1.md", "table1.csv", "table1.html"]
    text = files[0].read_text(encoding="utf-8")
    assert row_with(text, "AVMNIST | audio with image")[2:6] == ["0.900", "0.974", "0.723", "≤ 0.001<br>0.80 to 0.95"]
    assert row_with(text, "MOSI | text with audio")[2:5] == ["−0.300", "−0.374", "−0.386"]
    assert row_with(text, "mine | image with audio")[2:5] == ["0.500", "–", "–"]
    assert row_with(text, "mine | image with audio")[6] == "–"  # two depths are too few to count
    assert "- MOSI, not as in the paper: depths 1–6 (1–10 in the paper)" in text
    with files[1].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["data"] for row in rows] == ["avmnist"] * 2 + ["mosi"] * 6 + ["mine"] * 2
    assert [float(row["r"]) for row in rows] == pytest.approx([0.9] * 2 + [-0.3] * 6 + [0.5] * 2)
    assert (rows[0]["published"], rows[0]["later"]) == ("0.944", "0.887")
    assert rows[-1]["published"] == rows[-1]["r_depths_p"] == ""
    assert "depths 1–6" in rows[2]["notes"]
    found = Page(files[2].read_text(encoding="utf-8"))
    assert len(found.all("tr")) == 1 + 10
    assert found.texts["td"][:4] == ["image with audio", "0.900", "0.944", "0.887"]
    shown = text_of(lambda console: show_table1(runs, console))
    assert max(map(len, shown.splitlines())) <= 80
    assert "0.944   0.887" in shown
    assert "−0.374  −0.386" in shown


def test_studies_of_one_data_set_are_told_apart() -> None:
    runs = [made_up_multibench(depths=(1, 2), out=out) for out in ("runs/one", "runs/two")]
    shown = text_of(lambda console: show_table1(runs, console), 120)
    assert "AVMNIST (one)" in shown
    assert "AVMNIST (two)" in shown
    runs = [made_up_multibench(depths=(1, 2), out=out) for out in ("a/run", "b/run")]
    assert "AVMNIST (b/run)" in text_of(lambda console: show_table1(runs, console), 120)


def test_what_cannot_be_done(tmp_path: Path) -> None:
    result = made_up_multibench(depths=(1, 2))
    (tmp_path / "file").write_text("")
    with pytest.raises(VlalignError, match="file"):
        save_table1([result], tmp_path / "file")
    with pytest.raises(VlalignError, match="no metric cka: the study has unbiased_cka"):
        show_table1([result], Console(), "cka")
