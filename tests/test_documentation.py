"""README.md and the pages of the site: size, plain English, blocks, values of tables, commands outside of blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from runpy import run_path

import numpy as np
import pandas as pd
import pytest
import yaml
from end_to_end.conftest import ROOT
from end_to_end.test_documented_commands import OTHER_BLOCKS, blocks, documented_commands, pages
from test_plain_english import BANNED_PATTERN, QUOTED

import vlalign
from vlalign.cli.app import VERBS
from vlalign.display.format import metric_title
from vlalign.multibench import published as multibench
from vlalign.stats import correlation
from vlalign.stats.correlations import rho_short
from vlalign.synthetic import published as synthetic

PAGES = [path for path in pages() if path.name != "RESULTS.md"]  # which a command writes


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def cells(name: str, start: str) -> list[str]:
    """Return the further cells of the only row of a page's tables that begins with a text."""
    (line,) = (line for line in text_of(name).splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_the_readme_is_short() -> None:
    text = text_of("README.md")
    assert len(text.splitlines()) <= 150
    assert len(text.encode()) <= 9 * 1024


def test_blocks_are_commands_or_of_another_language() -> None:
    languages = {language for path in PAGES for language, _ in blocks(path)}
    assert languages == {"bash", "python", *OTHER_BLOCKS}


def test_commands_of_tables_are_those_of_blocks() -> None:
    commands = documented_commands()
    table = [line for line in text_of("README.md").splitlines() if line.startswith("| ")]
    named = [command for line in table for command in re.findall(r"`((?:vlalign|accelerate) \w[^`]*)`", line)]
    assert len(named) >= 6
    assert set(named) <= set(commands)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_are_plain_english(path: Path) -> None:
    text = QUOTED.sub("…", path.read_text(encoding="utf-8"))
    matches = [text[max(0, match.start() - 40) : match.end() + 20] for match in BANNED_PATTERN.finditer(text)]
    assert not matches


def ours(values: Iterable[float], digits: int) -> list[str]:
    return [f"{value:.{digits}f}".replace("-", "−") for value in values]


def medians_of_the_synthetic_study() -> list[list[str]]:
    """Return the columns of RESULTS.md: alignment and performance, performance and depth, alignment and depth."""
    part = text_of("synthetic/RESULTS.md").split("\nMedians over φ")[1].split("\n\n")[1]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines()[2:]]
    return [[row[column] for row in rows] for column in (1, 3, 5)]


def test_values_of_the_synthetic_study_are_those_of_its_results() -> None:
    table = pd.read_csv(ROOT / "synthetic" / "results" / "maxima.csv")
    page = "docs/synthetic.md"
    largest = table[(table["phi_depth"] == 1) & (table["reference_depth"] == 1)]["unbiased_cka"]
    assert cells(page, "largest unbiased CKA with modality 1, D_φ = 1") == ours(largest, 2)
    performance, depth, _ = medians_of_the_synthetic_study()
    assert cells(page, "median ρ of alignment and accuracy over encoders") == [
        value.split()[0] for value in performance
    ]
    assert cells(page, "median ρ of accuracy and depth") == [value.split()[0] for value in depth]


@pytest.mark.parametrize(
    ("axis", "by", "known"), [("D_φ", "phi_depth", synthetic.RHO), ("U", "uniqueness", synthetic.RHO_OF_PHI)]
)
def test_correlations_of_the_paper_page_are_those_of_results_and_the_published_ones(
    axis: str, by: str, known: dict[tuple[str, int], dict[int, float]]
) -> None:
    table = pd.read_csv(ROOT / "synthetic" / "results" / "maxima.csv")
    values = list(known["unbiased_cka", 1])
    lines = [["", *(f"{axis} = {value}" for value in values)], ["---"] * (len(values) + 1)]
    for (metric, depth), published in known.items():
        name = metric_title(metric) + (f", encoder of modality 1 of depth {depth}" if depth > 1 else "")
        rows = table[table["reference_depth"] == depth]
        measured = ["–"] * len(values)
        if len(rows) and metric in rows:
            other = "uniqueness" if by == "phi_depth" else "phi_depth"
            groups = [rows[rows[by] == value] for value in values]
            measured = [rho_short(correlation(group[other], group[metric])) for group in groups]
        lines += [[f"{name}: ours", *measured], [f"{name}: published", *ours(published.values(), 3)]]
    expected = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    assert expected in text_of("docs/paper.md"), f"docs/paper.md should have this table:\n{expected}"


def test_values_of_the_paper_page_are_those_of_results_and_of_published_tables() -> None:
    page = "docs/paper.md"
    table = pd.read_csv(ROOT / "synthetic" / "results" / "maxima.csv")
    largest = table[(table["phi_depth"] == 1) & (table["reference_depth"] == 1)]["unbiased_cka"]
    assert cells(page, "ours, largest unbiased CKA") == ours(largest, 2)
    assert cells(page, "published, from a figure") == ours(synthetic.MAXIMA.values(), 2)
    for name in ("performance", "depth"):
        values = {"performance": synthetic.ALIGNMENT_PERFORMANCE, "depth": synthetic.ALIGNMENT_DEPTH}[name]
        assert cells(page, f"published, alignment and {name}") == ours(values.values(), 2)
    names = ("alignment and performance", "performance and depth", "alignment and depth")
    for name, column in zip(names, medians_of_the_synthetic_study(), strict=True):
        assert cells(page, f"ours, {name}") == column
    for key, title in multibench.TITLES.items():
        row = [re.findall(r"[−\d.]+", cell) for cell in cells(page, title)]
        pairs = (
            [("image", "audio")] if key == "avmnist" else [("vision", "audio"), ("vision", "text"), ("audio", "text")]
        )
        for numbers, (x, y) in zip(row, pairs, strict=False):
            both = [multibench.TABLE[key, x, y], multibench.TABLE[key, y, x]]
            assert numbers == ours([r.first for r in both] + [r.later for r in both], 3)


def test_every_verb_is_in_the_tables_of_the_readme_and_of_the_reference() -> None:
    reference = set(re.findall(r"^\| `vlalign ([a-z-]+)", text_of("docs/cli.md"), re.M))
    readme = re.findall(r"`([a-z-]+)", text_of("README.md").partition("## Verbs")[2].partition("\n\n`vlalign VERB")[0])
    assert reference == set(VERBS)
    assert set(readme) - {"vlalign"} == set(VERBS) - {"demo"}


def test_public_names_are_in_the_python_reference() -> None:
    shown: dict[str, set[str]] = {}
    for package, options in re.findall(r"^::: (vlalign\S*)\n +options: (\{.*\})$", text_of("docs/python.md"), re.M):
        members = yaml.safe_load(options).get("members")
        shown[package] = set(members or import_module(package).__all__)
    inside = {"vlalign.cli", "vlalign.display"}  # used by the commands, not by users
    for path in sorted((ROOT / "vlalign").glob("*/__init__.py")):
        package = f"vlalign.{path.parent.name}"
        public = set(getattr(import_module(package), "__all__", ()))
        if package not in inside:
            assert public <= shown.get(package, set()) | shown["vlalign"], package


def test_arrays_of_the_first_page_are_aligned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = [text for language, text in blocks(ROOT / "docs" / "start.md") if language == "python"]
    exec(code, {})
    images, texts = (vlalign.read_embeddings(f"{name}.npy").features for name in ("image", "text"))
    record = vlalign.score(images, texts, permutations=99)
    assert record.p_value == 0.01


def test_costs_at_scale_are_those_of_the_script() -> None:
    for table in run_path(str(ROOT / "benchmarks" / "scale.py"))["tables"]():
        assert table in text_of("docs/scale.md")


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "speed").glob("*.json")), ids=lambda path: path.stem)
def test_speeds_are_those_of_the_benchmark(path: Path) -> None:
    table = run_path(str(ROOT / "benchmarks" / "measure.py"))["markdown_of"](path)
    assert table.count("\n| ") == 1 + len(json.loads(path.read_text(encoding="utf-8"))["rows"])
    assert table in text_of("docs/speed.md"), f"docs/speed.md should have:\n{table}"


def test_correlations_of_spoken_digits_are_those_of_the_results() -> None:
    table = pd.read_csv(ROOT / "multibench" / "results" / "correlations.csv").set_index(
        ["modality", "metric", "method", "independent"]
    )
    for modality, other in (("image", "audio"), ("audio", "image")):
        row = cells("multibench/README.md", f"{modality}, with the best {other} encoder")
        one = table.loc[modality, "unbiased_cka", "pearson", "encoders"]
        depths = table.loc[modality, "unbiased_cka", "pearson", "depths"]
        assert row[1] == f"{one.r:.3f} ({one.low:.2f} to {one.high:.2f})"
        assert float(row[2].removeprefix("≤ ")) == pytest.approx(one.p)
        assert row[3] == f"{depths.low:.2f} to {depths.high:.2f}, {depths.p:.2g}".replace("-", "−")
        assert row[4] == f"{table.loc[modality, 'unbiased_cka', 'spearman', 'encoders'].r:.2f}"
        for page in ("docs/multibench.md", "docs/paper.md"):
            assert f"{one.r:.3f} ({one.low:.2f} to {one.high:.2f}" in text_of(page).replace("\n", " ")


def test_information_of_the_synthetic_task_is_that_of_the_results() -> None:
    """Rows of the page, and that every exact value is inside its interval."""
    table = pd.read_csv(ROOT / "docs" / "information.csv")
    text = text_of("docs/information.md")
    assert len(table) == 3 * 4 * 7
    assert ((table["low"] <= table["exact"]) & (table["exact"] <= table["high"])).all()
    errors = (table["value"] - table["exact"]).abs().groupby([table["features"], table["samples"]]).max()
    assert f"the largest error is {errors['phi', 45875]:.3f}:" in text
    assert f"the largest error is {errors['bits', 45875]:.3f}, and all exact" in text
    for samples in (4000, 45875):
        for u in (0, 2, 4, 8):
            rows = table.query("features == 'phi' and samples == @samples and uniqueness == @u")
            shown = [f"{row.value:.3f}{'' if row.detected else ' (not detected)'}" for row in rows.itertuples()]
            exact = [f"{value:.3f}" if value else "0" for value in rows["exact"]]
            start = f"| U = {u}, exact | {' | '.join(exact)} |\n| estimated" if samples == 4000 else f"| U = {u}"
            assert f"{start} | {' | '.join(shown)} |" in text


def test_effects_of_the_contrastive_term_are_those_of_the_results() -> None:
    """Rows of one draw; bold where the interval excludes 0."""
    text, found = text_of("docs/advise.md"), 0
    groups = ["uniqueness", "labels", "pairs", "draws", "weight"]
    for (u, labels, pairs, draws, weight), rows in pd.read_csv(ROOT / "docs" / "advise.csv").groupby(groups):
        samples = f"{labels:,}" + (f", {pairs:,}" if pairs else "") + (", six draws" if draws == 6 else "")
        start = f"| {u} | {samples} | {weight:g} |"
        if start not in text:
            continue
        found += 1
        for cell, row in zip(
            text.split(start)[1].split("\n")[0].strip(" |").split(" | "), rows.itertuples(), strict=True
        ):
            numbers = [float(number) for number in re.findall(r"-?\d\.\d{3}", cell.replace("−", "-"))]
            assert numbers == pytest.approx([row.mean, row.low, row.high], abs=0.00051)
            assert cell.startswith("**") == (row.low > 0 or row.high < 0)
    assert found == 6


def test_alignment_of_edited_captions_is_that_of_the_results() -> None:
    table = pd.read_csv(ROOT / "docs" / "uniqueness.csv")
    page, text = "docs/uniqueness.md", text_of("docs/uniqueness.md")
    best = table.loc[table.groupby(["x_family", "rate"])["score"].idxmax()].set_index(["x_family", "rate"])
    assert {f"{value:.3f}" for value in best["threshold"]} == {"0.013", "0.014"}
    similarity = table.groupby("rate")["similarity"].first()
    assert cells(page, "cosine to the original") == [*ours(similarity, 2), ""]
    lines = []
    for family, title in (("dinov2", "DINOv2"), ("efficientnet", "EfficientNet")):
        scores = best.loc[family]["score"]
        *shown, rho = cells(page, title)
        assert shown == ours(scores, 3)
        assert rho.split(" ")[0] == rho_short(correlation(scores.index, scores)).split(" ")[0]
        lines.append([np.corrcoef(axis, scores)[0, 1] ** 2 for axis in (similarity, scores.index)])
    assert {f"{line[0]:.3f}" for line in lines} == {"0.988"}
    assert {f"{line[1]:.2f}" for line in lines} == {"0.72"}
    assert "r² = 0.988 for both families, where against U it is 0.72." in text
    last = [
        f"{best.loc[family, 90][column]:.4f}"
        for column in ("score", "threshold")
        for family in ("dinov2", "efficientnet")
    ]
    for value in last:
        assert value in text


def test_alignment_of_languages_is_that_of_the_results() -> None:
    table = pd.read_csv(ROOT / "docs" / "languages.csv")
    known = {(row.features, row.x, row.y): f"{row.score:.3f}" for row in table.itertuples()}
    model, page = "all-MiniLM-L6", "docs/languages.md"
    languages = ["German", "French", "Spanish", "Portuguese", "Russian", "Hindi", "Japanese", "Chinese"]
    for i, language in enumerate(["English", *languages]):
        others = [known[model, language, other] for other in languages[i:]]
        assert cells(page, language) == [*[""] * i, *others, known[model, "images", language]]
    for features in table["features"].unique()[1:]:
        assert cells(page, features) == [known[features, "English", other] for other in languages]
    pairs = [(x, y) for features, x, y in known if features == "character n-grams"]
    assert len(pairs) == 36
    assert all(float(known["character n-grams", x, y]) > float(known[model, x, y]) for x, y in pairs)
