"""Page, files and console output of a uniqueness study."""

from __future__ import annotations

import base64
import dataclasses
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console
from scipy.stats import spearmanr
from support.html import Page
from support.shown import drawn
from support.study import made_up_points, made_up_record, made_up_study, study_of

from vlalign.errors import VlalignError
from vlalign.report.page import Page as Parts
from vlalign.report.page import Table, dark_png, html
from vlalign.uniqueness import Point, UniquenessResult
from vlalign.uniqueness import published as paper
from vlalign.uniqueness.report import show_uniqueness, uniqueness_table, write_report
from vlalign.uniqueness.report.comparison import published_table
from vlalign.uniqueness.report.page import uniqueness_page
from vlalign.uniqueness.report.text import p_value_text

COMMAND = "vlalign study uniqueness --config 'my study/config.yaml'"


def said(thing: Any) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    show_uniqueness(thing, console) if isinstance(thing, UniquenessResult) else console.print(thing)
    return console.export_text()


@pytest.fixture(scope="module")
def usual() -> UniquenessResult:
    return made_up_study(2, 2, languages=5, config={"out": "my study"})


@pytest.fixture(scope="module")
def files(usual: UniquenessResult, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files of the usual study."""
    return write_report(usual, tmp_path_factory.mktemp("files") / "new" / "study", load=made_up_record)


def test_files_and_page(usual: UniquenessResult, files: list[Path]) -> None:
    made = files
    figures = ("alignment", "performance", "layers-vision-a", "layers-vision-b")
    names = [f"{name}.{kind}" for name in figures for kind in ("png", "pdf")] + ["report.html"]
    assert [path.name for path in made] == names
    assert sorted(path.name for path in made[0].parent.iterdir()) == sorted(names)
    found = Page(made[-1].read_text(encoding="utf-8"))
    inside = [base64.b64decode(str(image["src"]).removeprefix("data:image/png;base64,")) for image in found.all("img")]
    assert inside == [path.read_bytes() for path in made if path.suffix == ".png"]
    assert [source["media"] for source in found.all("source")] == ["screen and (prefers-color-scheme: dark)"] * len(
        inside
    )
    assert all(path.read_bytes().startswith(b"%PDF") for path in made if path.suffix == ".pdf")
    assert all(image["alt"] for image in found.all("img"))
    assert len(found.all("h1")) == 1
    assert len(found.all("h2")) >= 6
    assert COMMAND in found.texts["code"]
    text = "".join(found.texts["main"]).replace("\u00a0", " ")
    for finding in usual.findings:
        assert text.count(finding) == 1
    for curve in usual.curves:
        assert all(f"{value:.4f}" in text for value in curve.maxima)


def test_the_page_needs_nothing_but_itself(files: list[Path]) -> None:
    text = files[-1].read_text(encoding="utf-8")
    found = Page(text)
    assert {tag for tag, _ in found.elements}.isdisjoint({"script", "link", "iframe", "object", "embed"})
    assert "://" not in text
    assert "url(" not in text
    assert "@import" not in text
    addresses = [
        value for _, attributes in found.elements for name, value in attributes.items() if name in ("src", "href")
    ]
    assert addresses
    assert all(str(address).startswith("data:image/png;base64,") for address in addresses)
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    assert "prefers-color-scheme: dark" in text


def test_tables_say_what_their_cells_belong_to(usual: UniquenessResult) -> None:
    found = Page(html(uniqueness_page(usual, {})))
    assert len(found.all("table")) == len(found.all("caption")) == 2
    assert {heading.get("scope") for heading in found.all("th")} == {"col", "row"}
    assert len(found.all("tr")) == 1 + 10 + 1 + len(usual.points)


@pytest.mark.usefixtures("sketched_figures")
def test_too_few_language_models_are_one_line(tmp_path: Path) -> None:
    found = Page(write_report(made_up_study(1, 2, (0, 50)), tmp_path, load=made_up_record)[-1].read_text("utf-8"))
    text = "".join(found.texts["main"])
    assert text.count("alignment against performance is left out: 2 language models") == 1
    assert not any("performance" in heading for heading in found.texts["h2"])
    assert text.count("ρ of U") == 1
    assert "no ρ" not in text


def test_figures_of_dark_pages_invert_greys_and_keep_colours() -> None:
    picture = Image.new("RGB", (3, 1))
    for x, colour in enumerate([(255, 255, 255), (0, 0, 0), (68, 1, 84)]):  # paper, ink, the lowest of viridis
        picture.putpixel((x, 0), colour)
    file = io.BytesIO()
    picture.save(file, "PNG")
    dark = Image.open(io.BytesIO(dark_png(file.getvalue()))).convert("RGB")
    assert [dark.getpixel((x, 0)) for x in range(3)] == [(27, 27, 27), (228, 228, 228), (68, 1, 84)]


def test_findings_of_many_models_stand_below_their_figure() -> None:
    few, many = made_up_study(1, 4, (0, 50), 6), made_up_study(1, 5, (0, 50), 6)
    for result, apart in ((few, 0), (many, 5)):
        found = Page(html(uniqueness_page(result, {})))
        assert found.texts["section"][2].count("against performance") == (0 if apart else 4)
        assert len(found.texts["li"]) == len(result.findings) - 1  # the first one leads the page
        assert any("Findings of all 5 models" in text for text in found.texts["summary"]) == bool(apart)


def test_names_are_escaped(tmp_path: Path) -> None:
    result = made_up_study(2, 1, (0, 50), 5, name=lambda name: f"<script>{name}</script>&\"'$x_{{$")
    made = write_report(replace(result, config=result.config | {"out": "<i>x</i>"}), tmp_path, load=made_up_record)
    assert len(made) == 9
    found = Page(made[-1].read_text(encoding="utf-8"))
    assert not found.all("script")
    assert not found.all("i")
    assert result.points[0].title in "".join(found.texts["th"])
    assert "<i>x</i>" in found.texts["code"][0]
    assert result.points[0].x in said(result)


@pytest.mark.usefixtures("sketched_figures")
def test_families_with_the_same_file_name(tmp_path: Path) -> None:
    points = [
        dataclasses.replace(point, x_family={"vision-a": "a/b", "vision-b": "A b"}.get(point.x_family, "…"))
        for point in made_up_points(3, 1, (0, 50), 1)
    ]
    names = [path.name for path in write_report(study_of(points), tmp_path, load=made_up_record)]
    assert sorted(name for name in names[2:-1] if name.endswith(".png")) == [
        "layers-A-b.png",
        "layers-a-b-2.png",
        "layers-family.png",
    ]


def test_no_language_model_no_records(tmp_path: Path) -> None:
    result = made_up_study(1, 2, performances=False, nulls=False, intervals=False)
    made = write_report(result, tmp_path)
    assert [path.name for path in made] == ["alignment.png", "alignment.pdf", "report.html"]
    assert drawn(made[0])
    text = made[-1].read_text(encoding="utf-8")
    assert "No pair has both a score and a performance" in text
    assert len(Page(text).all("img")) == 1
    assert "None" not in text
    assert "–" in said(uniqueness_table(result))


def test_no_score_at_all(tmp_path: Path) -> None:
    points = [dataclasses.replace(p, score=None, note="weights [b]missing[/b]") for p in made_up_points(1, 1, (0, 50))]
    made = write_report(study_of(points), tmp_path, load=made_up_record)
    assert [path.name for path in made] == ["report.html"]
    assert "so there is no figure" in made[0].read_text(encoding="utf-8")
    assert "weights [b]missing[/b] (4 points)" in said(study_of(points))


def test_single_scores_may_be_missing(tmp_path: Path) -> None:
    points = [
        dataclasses.replace(point, score=None, low=None, high=None, threshold=None) if point.rate == 50 else point
        for point in made_up_points(1, 1, (0, 25, 50, 75), 1)
    ]
    result = study_of(points)
    assert result.curves[0].rates == [0, 25, 75]
    made = write_report(result, tmp_path, load=made_up_record)
    assert all(drawn(path) for path in made if path.suffix == ".png")


def test_the_table_has_every_family_and_rate(usual: UniquenessResult) -> None:
    text = said(usual)
    for curve in usual.curves:
        for value in curve.maxima:
            assert f"{value:.4f}" in text
    assert text.count("≤ 0.001") == 20
    assert "characters deleted from captions: largest mutual kNN" in text
    for finding in usual.findings:
        assert finding in " ".join(text.split())


def test_p_values_at_the_least_possible() -> None:
    settings = {"known": {"permutations": 99}, "default": {"permutations": None}, "none": {"permutations": 0}}
    known, default, none = (made_up_study(1, 1, (0,), config=config) for config in settings.values())
    assert p_value_text(0.01, known) == "≤ 0.01"
    assert p_value_text(0.02, known) == "0.02"
    assert p_value_text(1 / 1001, default) == "≤ 0.001"
    assert p_value_text(0.01, none) == "0.01"
    assert p_value_text(None, known) == "–"


def test_a_folder_that_cannot_be_written(usual: UniquenessResult, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VlalignError, match="file"):
        write_report(usual, tmp_path / "file", load=made_up_record)


def test_parts_of_pages() -> None:
    text = html(Parts("a < b", [Table("<c>", ["d", "e"], [["f\ng", "90 %"]], left=["e"]), None]))
    found = Page(text)
    assert found.texts["title"] == found.texts["h1"] == ["a < b"]
    assert found.texts["caption"] == ["<c>"]
    assert found.texts["small"] == ["g"]
    assert found.texts["td"] == ["90\u00a0%"]
    assert found.all("td") == [{"class": "word"}]


def test_published_slopes_stand_beside_those_of_the_published_models() -> None:
    names = {
        "vision-a": "dinov2", "vision-a-1": "dinov2-small", "vision-a-2": "dinov2-base", "vision-b": "augreg",
        "vision-b-1": "vit-small-augreg", "vision-b-2": "vit-base-augreg", "llm-1b": "bloomz-560m",
        "llm-2b": "bloomz-3b", "llm-3b": "llama-7b", "llm-4b": "llama-13b", "llm-5b": "llama-65b",
    }  # fmt: skip
    result = made_up_study(2, 2, (0, 10, 50, 90), 5, name=lambda name: names.get(name, name))
    table = published_table(result)
    assert table is not None
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == [
        "dinov2: ours", "dinov2: published", "dinov2, largest: ours", "dinov2, largest: published", "augreg: ours",
        "augreg: published",
    ]  # fmt: skip
    for family in ("augreg", "dinov2"):
        fits = [fit for fit in result.fits if fit.rate == 50 and family in fit.x]
        assert len(fits) == 2
        slope, rho = (sum(values) / 2 for values in zip(*((fit.slope, fit.rho.r) for fit in fits), strict=True))
        assert rows[f"{family}: ours"][3] == f"{slope:.3f} / {rho:.3f}".replace("-", "−")
        assert rows[f"{family}: ours"][2] == "–"  # no 30 %
    assert rows["dinov2: published"] == [
        "−0.950", "0.112 / 0.852", "0.108 / 0.951", "0.071 / 0.900", "0.065 / 0.800", "0.024 / 0.612"
    ]  # fmt: skip
    assert rows["dinov2, largest: published"] == ["–", "0.159", "–", "0.111", "–", "0.080"]
    (curve,) = (curve for curve in result.curves if curve.family == "dinov2")
    assert rows["dinov2, largest: ours"][1] == f"{curve.maxima[1]:.3f}"
    assert "0.112 / 0.852" in html(uniqueness_page(result, {}))
    others = (
        replace(result, config={**result.config, "metric": "unbiased_cka"}),
        replace(result, config={**result.config, "k": 5}),
    )
    assert not any(published_table(other) for other in (*others, made_up_study(2, 2, languages=5)))


def test_only_published_models_and_rates_count_beside_the_published_values() -> None:
    """Not the unedited captions, other rates, nor a model of the family that the paper does not have."""
    languages = ("bloomz-560m", "bloomz-3b", "llama-7b", "llama-13b", "llama-65b", "gpt2")

    def point(x: str, y: str, rate: float) -> Point:
        one, at = made_up_points(1, 1, (rate,))[0], languages.index(y)
        score = 0.99 if "gpt2" in (x, y) or "own" in x else 0.5 + 0.01 * at - (rate - 40) ** 2 * 1e-4
        return replace(one, x=x, x_family="dinov2", y=y, score=score, performance=-1.5 + 0.01 * at)

    rates = (0, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    points = [point(x, y, rate) for x in ("dinov2-small", "own/dinov2-base") for y in languages for rate in rates]
    table = published_table(study_of(points))
    assert table is not None
    rows = {row[0]: row[1:] for row in table.rows}
    score = [0.54 - (rate - 40) ** 2 * 1e-4 for rate in range(10, 101, 10)]
    assert rows["dinov2, largest: ours"][1] == f"{score[0]:.3f}"
    assert rows["dinov2, largest: ours"][5] == f"{score[8]:.3f}"
    assert rows["dinov2: ours"][0].startswith(f"{spearmanr(range(10), score).statistic:.2f}".replace("-", "−"))
    assert rows["dinov2: ours"][1] == "1.000 / 1.000"
    assert "1 of 17 vision models and 5 of 12 language models" in table.caption


def test_published_slopes_of_the_paper_page_are_those_of_the_report() -> None:
    page = (Path(__file__).parents[3] / "docs" / "paper.md").read_text(encoding="utf-8")
    titles = {
        "dinov2": "DINOv2", "augreg": "ImageNet-21k ViT", "clip": "CLIP",
        "clip-ft-in12k": "CLIP, fine-tuned on ImageNet-12k", "mae": "MAE",
    }  # fmt: skip
    assert list(titles) == list(paper.RHO) == list(paper.PERFORMANCE)
    for family, title in titles.items():
        cells = " | ".join(f"{slope:.3f} / {rho:.3f}" for slope, rho in paper.PERFORMANCE[family])
        assert f"| {title} | {cells} |" in page
        assert f"| {title} | −{-paper.RHO[family]:.3f} |" in page
