"""Names that hold markup, escape codes, line ends, formulas and lone surrogates, through every verb that shows them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from support.commands import status_of
from support.features import make_key, make_run

from vlalign.display import visible

NAME = "[ft]$x^{|`b` \x1b]0;owned\x07\x1b[2J<i>\r=1+1\n\u202e\udcff{{y}}"
SHOWN = r"[ft]$x^{|`b` \x1b]0;owned\x07\x1b[2J<i>\r=1+1\n\u202e\udcff{{y}}"
FILE = NAME.replace("\udcff", "")  # safetensors opens no path that is not UTF-8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names")
    for i, modality in enumerate(["text", "vision", "vision"]):
        make_run(
            folder / f"s{FILE}",
            make_key(f"{i}{NAME}", modality),
            ids=[f"{row}{NAME}" for row in range(40)],
            n=40,
            widths=(6, 6),
        )
    rows = [{"id": f"{i}{FILE}", "text": f"a dog {i} {FILE}"} for i in range(5)]
    (folder / f"d{FILE}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    np.savez(folder / f"a{FILE}.npz", **{f"v{FILE}": np.ones((9, 4)), "labels": np.arange(9)})
    return folder


def shown(capsys: pytest.CaptureFixture[str], *line: str, status: int = 0) -> str:
    """What a command prints; nothing in it acts on a terminal."""
    capsys.readouterr()
    assert status_of(line) == status
    said = capsys.readouterr()
    text = said.out + said.err
    text.encode()
    hidden = set(re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", text))
    assert not hidden - ({"\r"} if "%|" in said.err else set())
    return text


def test_every_verb(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "400")
    store, results, data = f"s{FILE}", f"o{FILE}", f"d{FILE}.jsonl"
    quick = ["--k", "3", "--permutations", "20", "--half-samples", "5", "-q"]
    assert f"0{SHOWN}" in shown(capsys, "runs", store)
    assert "3 complete run(s)" in shown(capsys, "verify", store)
    assert SHOWN in shown(capsys, "score", store, f"1{NAME}", f"0{NAME}", "--out", results, "--report", "full", *quick)
    shown(capsys, "score", store, "--out", results, "--no-figure", *quick)
    pair = [f"1{NAME}", f"2{NAME}", "--reference", f"0{NAME}"]
    shown(capsys, "compare", *pair, "--store", store, "--k", "3", "--half-samples", "5")
    shown(capsys, "reproduce", "platonic", f"0{NAME}", f"1{NAME}", "--store", store, "--k", "3")
    for line in (["runs", store], ["verify", store], ["compare", *pair, "--store", store, "--k", "3"]):
        document = json.loads(shown(capsys, *line, "--json", "-q"))
        assert line[0] != "runs" or NAME in document["runs"][0]["model"]
    Path(results, f"x{FILE}.json").write_text("{}")
    assert visible(f"x{FILE}.json") in shown(capsys, "leaderboard", results, "--out", f"site{FILE}", "-q")
    shown(capsys, "perturb", data, "--op", "char_delete:10", "--no-sheet")
    shown(capsys, "multibench", "inspect", f"a{FILE}.npz")
    for line in (
        ["runs", f"no{NAME}"],
        ["score", store, f"no{NAME}", f"0{NAME}"],
        ["extract", "--model", f"./no{NAME}", "--data", data],
        ["extract", "--model", "llama-7b", "--data", data, "--text-column", NAME],
        ["perturb", data, "--op", "char_delete:10", "--ids", NAME],
        ["synthetic", "run", "--config", f"no{NAME}"],
        ["multibench", "inspect", f"no{NAME}"],
        ["models", "--family", NAME],
        ["push", store, "--repo", f"a/{NAME}"],
        ["pull", f"a/{NAME}"],
    ):
        assert shown(capsys, *line, status=2 if "--config" in line else 1).count("\n") == 1


def test_no_line_of_a_table_is_a_formula(folder: Path) -> None:
    tables = sorted(folder.rglob("*.csv"))
    assert len(tables) == 2
    for path in tables:
        for line in re.split(rb"[\r\n]+", path.read_bytes()):
            assert line.lstrip(b'" \t')[:1] not in (b"=", b"+", b"@"), path


def test_pages_hold_no_control_characters(folder: Path) -> None:
    pages = [path for path in folder.rglob("*") if path.suffix in (".html", ".md")]
    assert len(pages) >= 3
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert not set("\x1b\x07\r\u202e") & set(text), path
        assert "<i>" not in text
