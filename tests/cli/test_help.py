"""Pages of help: placeholders, order, widths and defaults."""

from __future__ import annotations

import re

import pytest
from support.commands import status_of

from vlalign.cli.app import VERBS

PAGES = [
    *VERBS,
    "leaderboard check",
    *(f"synthetic {action}" for action in ("describe", "run", "report", "data", "tune")),
    *(
        f"multibench {action}"
        for action in ("inspect", "prepare", "prepare avmnist", "prepare mmimdb", "prepare custom", "run", "report")
    ),
]


@pytest.fixture
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    verb, width = request.param
    monkeypatch.setenv("COLUMNS", str(width))
    assert status_of([*verb.split(), "--help"]) == 0
    return capsys.readouterr().out


def pages(*verbs: str, width: int = 80) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", [(verb, width) for verb in verbs], indirect=True, ids=verbs)


@pages(*PAGES)
def test_every_page(page: str) -> None:
    assert "STR" not in page  # the placeholder states what the text is
    prose, _, panels = page.partition("╭")
    examples = [line for line in prose.splitlines() if len(line) > 80]
    assert all(line.startswith("  ") for line in examples)
    assert all(len(line) <= 80 and line == line.rstrip() for line in panels.splitlines())
    assert ("A flag with ... takes one value or several, and may be repeated." in page) == bool(
        re.search(r"^│[ *]+--\S+ \S+\.\.\.", page, re.MULTILINE)
    )


@pages("extract")
def test_placeholders(page: str) -> None:
    for words in (
        "--model MODEL...",
        "--perturb EDIT...",
        "--store FOLDER",
        "--text-column COLUMN",
        "--model-set CHOICE...",
    ):
        assert f"{words} " in page
    flags = re.findall(r"^│ +(--\S+)", page, re.MULTILINE)
    assert flags[0] == "--model"  # the flags of the verb, then those of data and features
    assert flags.index("--dry-run") < flags.index("--data") < flags.index("--dtype") < flags.index("--debug")


@pages("score", width=120)
def test_score(page: str) -> None:
    assert page.startswith("vlalign score STORE [ARGS...] [OPTIONS]\n")
    assert "write figures [default: --figure]" in page
    assert page.index("--out FOLDER") < page.index("--metric METRIC...") < page.index("--permutations INT")
    assert "--full" not in page  # which is --report full


@pages("study")
def test_what_a_settings_file_may_give_is_not_required(page: str) -> None:
    assert page.startswith("vlalign study STUDY [OPTIONS]\n")
    assert page.count("[required]") == 1
    assert page.index("--config FILE") < page.index("--x MODEL...") < page.index("--op OP") < page.index("--dtype")


@pages("push")
def test_required_flags_come_first(page: str) -> None:
    assert page.startswith("vlalign push STORE --repo REPO [OPTIONS]\n")
    assert re.findall(r"^│[ *]+(--\S+)", page, re.MULTILINE)[0] == "--repo"


@pages("perturb")
def test_the_data_set_is_one_row(page: str) -> None:
    assert page.count("--data ") == 1


def test_several_values_after_one_flag_or_several_flags(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ("--metric cka nosuch", "--metric cka --metric nosuch"):
        assert status_of(["score", "nowhere", *words.split()]) == 1
        assert "nowhere does not exist" in capsys.readouterr().err
