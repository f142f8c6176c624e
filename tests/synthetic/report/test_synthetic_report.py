"""Tables, figures and page of a synthetic study."""

from __future__ import annotations

import html
import shlex
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from support.commands import options_of
from support.html import Page
from support.shown import text_of
from support.synthetic_results import made_up_result

from vlalign.errors import VlalignError
from vlalign.report.page import markdown
from vlalign.synthetic import Task, information
from vlalign.synthetic import published as paper
from vlalign.synthetic.report import describe_table, show_result, write_report
from vlalign.synthetic.report.page import synthetic_page
from vlalign.synthetic.report.text import findings

FIGURES = {name: Path("results") / f"{name}.png" for name in ("alignment", "heatmaps", "correlations", "performance")}


def page_of(metric: str = "unbiased_cka", **settings: object) -> str:
    return markdown(synthetic_page(made_up_result(**settings), metric, FIGURES), Path())


def row_of(page: str, start: str) -> list[str]:
    """The cells of the only table row that begins like this."""
    (found,) = [line for line in page.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_the_table_of_a_task() -> None:
    text = text_of(describe_table([information(Task(modalities=3, unique_bits=2), u) for u in (0, 3)]), 160)
    for word in ("I(X3;Y)", "from x3", "5 shared, 1 + 1 + 1 unique", "p(y) from 0.2"):
        assert word in text


def test_80_columns_hold_the_table_of_a_task() -> None:
    text = text_of(describe_table([information(Task(), 3)]), 80)
    assert all(word in text for word in ("I(X1;Y)", "interaction", "5 shared, 1 + 2 unique"))
    assert "…" not in text


def test_console_tells_maxima_and_medians() -> None:
    text = text_of(lambda console: show_result(made_up_result(), console), 160)
    assert "U = 8" in text
    assert "−1.00 (−1.00 to" in text
    assert "falls with U: Spearman's ρ from −1.00 to −1.00 over 2 D_φ" in text
    assert "median ρ 1.00 at U = 0, 0.05 at U = 8, over 2 values each" in text


def test_findings_claim_no_fall_that_the_interval_does_not_show() -> None:
    result = made_up_result()
    table = result.table
    table.loc[table["uniqueness"] > 4, "unbiased_cka"] += 0.4  # falls, rises, falls
    (first, *_) = findings(result, "unbiased_cka")
    assert "falls with U" not in first
    assert "against U" in first


def test_files_and_figures(tmp_path: Path) -> None:
    files = write_report(made_up_result(), tmp_path / "new" / "folder")
    figures = [f"{name}.{kind}" for name in FIGURES for kind in ("png", "pdf")]
    assert [path.name for path in files] == ["alignment.csv", "maxima.csv", *figures, "RESULTS.md", "report.html"]
    assert all(path.read_bytes().startswith(b"%PDF") for path in files if path.suffix == ".pdf")
    for path in (path for path in files if path.suffix == ".png"):
        with Image.open(path) as image:
            colours = image.convert("RGB").getcolors(maxcolors=2**24)
            assert len(colours or []) > 50  # something is drawn
    rows = pd.read_csv(files[0])
    assert len(rows) == 9 * 2 * 5  # U × φ × depths, of the shallowest reference
    assert set(rows["reference_depth"]) == {1}
    most = pd.read_csv(files[1])
    assert most.columns.tolist() == [
        "modality", "reference_depth", "phi_depth", "uniqueness", "unbiased_cka", "mutual_knn:k=100"
    ]  # fmt: skip
    assert len(most) == 5 * 2 * 9  # depths of modality 1 × φ × U
    expected = made_up_result().table.query("reference_depth == 4 and phi_depth == 3 and uniqueness == 7")
    (one,) = most.query("reference_depth == 4 and phi_depth == 3 and uniqueness == 7").to_dict("records")
    for metric in ("unbiased_cka", "mutual_knn:k=100"):
        assert one[metric] == pytest.approx(expected[metric].max(), abs=1e-4)


def test_the_page_shows_ours_beside_the_published() -> None:
    page = page_of(depths=tuple(range(1, 11)))
    (phi,) = [line for line in page.splitlines() if line.startswith("| 1 | −1.00 (")]
    assert phi.endswith("| −0.950 | −0.050 |")
    assert row_of(page, "D_φ = 1")[1] == "0.90"
    assert row_of(page, "published, D_φ = 1, from a figure")[1:3] == [
        f"{paper.MAXIMA[0]:.2f}",
        f"{paper.MAXIMA[1]:.2f}",
    ]
    u = [line for line in page.splitlines() if line.startswith("| 0 | 1.00")]
    assert u == ["| 0 | 1.00 | 0.68 | 1.00 | 0.53 to 0.76 | 1.00 | 0.93 | 0.511 to 0.603 | 0.78 to 0.91 |"]
    assert "settings | those of the paper" in page
    for name in ("alignment", "heatmaps", "correlations", "performance"):
        assert f"](results/{name}.png)" in page


def test_every_published_correlation_stands_beside_ours() -> None:
    full, metrics = tuple(range(1, 11)), ("svcca", "cka:kernel=rbf", "unbiased_cka", "mutual_knn:k=10")
    result = made_up_result(depths=full, phi_depths=full, metrics=metrics)
    table = result.table
    table.loc[table["phi_depth"] == 3, "svcca"] = 1 - table["svcca"]  # one D_φ rises with U
    deep = table["reference_depth"] == 2
    table.loc[deep, "unbiased_cka"] += 0.01 * table["phi_depth"]  # one reference rises with D_φ
    page = markdown(synthetic_page(result, "svcca", FIGURES), Path())
    section = page.split("## Correlations beside the published ones")[1].split("\n## ")[0]
    of_u, of_phi = section.split("Spearman's correlation of")[1:]

    def rows(part: str) -> dict[str, list[str]]:
        lines = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")]
        return {line[0]: line[1:] for line in lines[2:]}

    reference = "encoder of modality 1 of depth"
    names = ["SVCCA", "CKA, kernel = rbf", "unbiased CKA", *(f"unbiased CKA, {reference} {depth}" for depth in (2, 3))]
    assert list(rows(of_u)) == [f"{name}: {whose}" for name in names for whose in ("ours", "published")]
    assert [cell.split(" ")[0] for cell in rows(of_u)["SVCCA: ours"]] == ["−1.00", "1.00", "−1.00", "−1.00", "−1.00"]
    assert rows(of_u)["SVCCA: published"] == ["−1.000", "−1.000", "−0.983", "−1.000", "−0.950"]
    assert rows(of_u)[f"unbiased CKA, {reference} 2: published"] == ["−0.983", "−0.850", "−0.983", "−0.983", "−0.983"]
    assert list(rows(of_phi)) == ["SVCCA: ours", "SVCCA: published", "unbiased CKA: ours", "unbiased CKA: published"]
    assert rows(of_phi)["unbiased CKA: published"] == ["−0.915", "−0.709", "−0.442", "−0.770"]
    assert "beside the published" not in page_of(metrics=metrics, depths=full, epochs=(5, 10))


def test_the_published_values_are_of_the_figures() -> None:
    assert {tuple(values) for values in paper.RHO.values()} == {(1, 3, 5, 7, 9)}
    assert {tuple(values) for values in paper.RHO_OF_PHI.values()} == {(0, 2, 4, 6)}
    assert set(paper.RHO) == {("unbiased_cka", 1), ("unbiased_cka", 2), ("unbiased_cka", 3)} | {
        (metric, 1) for metric in ("svcca", "mutual_knn:k=100", "unbiased_cka:kernel=rbf")
    }
    assert set(paper.RHO_OF_PHI) < set(paper.RHO)
    assert all(
        -1 <= value < 0 for table in (paper.RHO, paper.RHO_OF_PHI) for row in table.values() for value in row.values()
    )
    assert all(metric == paper.published_metric(metric) for metric, _ in paper.RHO)
    for other in ("cka", "svcca:dim=9", "unbiased_cka:kernel=rbf,bandwidth=2", "rsa"):
        assert paper.published_metric(other) is None


@pytest.mark.parametrize("settings", [{"temperature": 0.1}, {"epochs": (5, 10)}, {"widths": (6, 24)}])
def test_nothing_published_stands_beside_other_settings(settings: dict[str, object]) -> None:
    page = page_of(**settings)
    assert "published" not in page
    assert f"as in the paper, except {next(iter(settings))} " in page


def test_nothing_published_stands_beside_a_part_of_the_grid() -> None:
    assert "published" not in page_of(depths=(1, 2, 3, 4, 5))
    assert "published" not in page_of(depths=tuple(range(1, 11)), uniqueness=(0, 1, 2, 3, 4))


def test_the_command_on_the_page_makes_the_same_settings() -> None:
    settings = {"clip": 2, "metrics": ("cka:kernel=rbf", "rsa"), "out": "a b", "cpu": True, "unique_split": (3, 1)}
    result = made_up_result(**settings, uniqueness=(0, 4))
    page = markdown(synthetic_page(result, "rsa", FIGURES), Path())
    (line,) = [line for line in page.splitlines() if line.startswith("vlalign synthetic run ")]
    words = shlex.split(line)
    assert words[:3] == ["vlalign", "synthetic", "run"]
    assert options_of(words[1:]).resolved() == result.config


def test_another_metric_than_the_first() -> None:
    page = page_of("mutual_knn:k=100")
    assert "Mutual kNN, k = 100" in page
    assert row_of(page, "D_φ = 1")[1] == "0.88"
    assert "published" not in page


@pytest.mark.usefixtures("sketched_figures")
def test_three_modalities_have_figures_of_their_own(tmp_path: Path) -> None:
    files = write_report(made_up_result(modalities=3, uniqueness=(0, 8)), tmp_path)
    names = [path.name for path in files]
    assert "alignment-modality3.png" in names
    page = files[-2].read_text(encoding="utf-8")
    assert "## Alignment against uniqueness of modality 3" in page
    assert page.count("](results/alignment.png)") == page.count("](results/alignment-modality3.png)") == 1


def test_small_grids_leave_out_correlations_and_name_them_once() -> None:
    page = page_of(uniqueness=(0, 3), depths=(1, 2), seeds=(2, 3))
    assert "Spearman's correlation of U" not in page
    assert "Medians over φ" not in page
    assert "| 3 | 0.511 to 0.523 |" in page
    assert page.count("is 0.89 at U = 0 and 0.59 at U = 3; a correlation needs at least 5 U") == 1
    assert page.count("performance are left out: 2 encoders of one φ and seed, at least 5 are needed") == 1


@pytest.mark.usefixtures("sketched_figures")
def test_no_figure_of_correlations_is_drawn_where_none_is_defined(tmp_path: Path) -> None:
    files = write_report(made_up_result(uniqueness=(0, 3), depths=(1, 2), phi_depths=(1,)), tmp_path)
    names = [path.name for path in files]
    assert "heatmaps.png" in names
    assert {"performance.png", "correlations.png"}.isdisjoint(names)
    assert not (tmp_path / "results" / "correlations.pdf").exists()
    assert "correlations.png" not in files[-2].read_text(encoding="utf-8")


@pytest.mark.usefixtures("sketched_figures")
def test_both_pages_have_the_same_contents(tmp_path: Path) -> None:
    *_, text, page = write_report(made_up_result(), tmp_path)
    found = Page(page.read_text(encoding="utf-8"))
    shown = "".join(found.texts["main"]).replace("\u00a0", " ")
    lines = text.read_text(encoding="utf-8").splitlines()
    cells = [cell for line in lines if line.startswith("| ") for cell in line.strip("| ").split(" | ")]
    unescaped = [html.unescape(cell.replace("<br>", "")) for cell in cells]
    assert all(cell in shown for cell in unescaped if set(cell) != {"-"})
    assert [line[3:] for line in lines if line.startswith("## ")] == found.texts["h2"]
    for finding in findings(made_up_result(), "unbiased_cka"):
        assert shown.count(finding[1:]) == 1
    assert len(found.all("img")) == len(FIGURES) == sum(line.startswith("![") for line in lines)
    assert "Does alignment predict performance?" in found.texts["h2"]
    assert {tag for tag, _ in found.elements}.isdisjoint({"script", "link", "iframe"})
    assert "://" not in page.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VlalignError, match="file"):
        write_report(made_up_result(), tmp_path / "file")
