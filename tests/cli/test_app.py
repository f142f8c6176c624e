"""Dispatch, help and one-line errors."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import status_of

from vlalign.cli import main
from vlalign.cli.app import VERBS
from vlalign.errors import VlalignError
from vlalign.version import __version__

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):
        main([verb, "--help"])
    said = capsys.readouterr().out
    assert f"vlalign {verb}" in said  # an example to copy
    assert "--debug" in said


def test_python_dash_m() -> None:
    done = subprocess.run([sys.executable, "-m", "vlalign", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert __version__ in done.stdout


def test_flags_of_all_verbs_stand_before_and_after_an_action(capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("synthetic --debug describe --uniqueness 9", "synthetic describe --uniqueness 9 --debug"):
        with pytest.raises(VlalignError, match="uniqueness"):
            main(line.split())
    assert status_of(["synthetic", "describe", "--uniqueness", "9"]) == 2
    assert "vlalign synthetic describe: error: uniqueness" in capsys.readouterr().err


def test_the_list_of_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(verb in said for verb in VERBS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"vlalign {__version__}"


TYPOS: list[list[str]] = [
    [],
    ["scoer"],
    ["extract", "--modle", "x"],
    ["extract", "--quant", "nf4"],
    ["demo", "--k", "x"],
]


@pytest.mark.parametrize("argv", TYPOS)
def test_typos_are_not_swallowed(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == said.err.count("error: ") == 1
    assert said.err.endswith("--help)\n")


def test_close_names_are_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    for line, words in (
        ("scoer x", "vlalign: error: unknown verb 'scoer' (did you mean score?)"),
        ("extract --modle x", "vlalign extract: error: unknown flag --modle (did you mean --model"),
        ("multibench prepare custom --lables=x", "custom: error: unknown flag --lables (did you mean --labels"),
        (
            "extract --dtype flaot16",
            "extract: error: --dtype: expected auto, float32, bfloat16 or float16 (did you mean float16",
        ),
        ("runs a b", "vlalign runs: error: unexpected argument 'b'"),
        ("--install-completion --shell csh", "--shell: expected bash, zsh or fish, got 'csh' (see"),
    ):
        with pytest.raises(SystemExit):
            main(line.split())
        assert words in capsys.readouterr().err


def test_a_folder_without_runs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path} holds no runs\n"
    assert main(["runs", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == []


def test_debug_shows_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from vlalign.errors import VlalignError

    assert main(["verify", str(tmp_path / "none")]) == 1
    assert "Traceback" not in capsys.readouterr().err
    with pytest.raises(VlalignError):
        main(["verify", str(tmp_path / "none"), "--debug"])
    logging.getLogger("vlalign").setLevel(logging.WARNING)


@pytest.mark.parametrize("program", [["scripts/extract.py"], ["scripts/score.py"]])
def test_scripts_are_the_verbs(program: list[str]) -> None:
    done = subprocess.run([sys.executable, *program, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--preset" in done.stdout
