"""README.md and the pages of the site: size, plain English, blocks, values of tables, commands outside of blocks."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from end_to_end.conftest import ROOT
from end_to_end.test_documented_commands import OTHER_BLOCKS, blocks, documented_commands, pages
from test_plain_english import BANNED_PATTERN, QUOTED

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
    assert languages == {"bash", *OTHER_BLOCKS}


def test_commands_of_tables_are_those_of_blocks() -> None:
    commands = documented_commands()
    table = [line for line in text_of("README.md").splitlines() if line.startswith("| ")]
    named = [command for line in table for command in re.findall(r"`((?:vlalign|accelerate) \w[^`]*)`", line)]
    assert len(named) >= 6
    assert set(named) <= set(commands)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_are_plain_english(path: object) -> None:
    text = QUOTED.sub("…", path.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    found = [f"{match[0]!r}: {' '.join(text[max(0, match.start() - 40) : match.end() + 20].split())}"
             for match in BANNED_PATTERN.finditer(text)]  # fmt: skip
    assert not found, "\n".join(found)


def test_values_of_the_synthetic_study_are_those_of_its_results() -> None:
    table = pd.read_csv(ROOT / "synthetic" / "results" / "alignment.csv")
    largest = table[table["phi_depth"] == 1].groupby("uniqueness")["unbiased_cka"].max()
    page, results = "docs/synthetic.md", text_of("synthetic/RESULTS.md")
    assert cells(page, "largest unbiased CKA with modality 1, D_φ = 1") == [f"{value:.2f}" for value in largest]
    medians = re.findall(r"^\| \d \| (-?[\d.−]+) \| [\d.−]+ \| ([\d.−]+) \| .* to ", results, re.M)
    assert cells(page, "median ρ of alignment and accuracy over encoders") == [row[0] for row in medians]
    assert cells(page, "median ρ of accuracy and depth") == [row[1] for row in medians]
