"""An option is declared once: flag, help, YAML key, keyword and stored settings follow from the field."""

from __future__ import annotations

import dataclasses
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import pytest
from annotated_types import Ge
from support.commands import status_of

import vlalign
from vlalign.baseline import BaselineOptions
from vlalign.cli import main
from vlalign.cli.app import VERBS, Flags, SettingsFile, program
from vlalign.config import Many, Number, Options, descriptions, keywords, plain, read_options, yaml_text
from vlalign.data import DataSpec
from vlalign.errors import VlalignError
from vlalign.extraction import ExtractOptions
from vlalign.metrics import get_metric
from vlalign.scoring.options import CompareOptions, ScoreOptions

#: class, verb that has its flags, and function that has its keywords
PLACES = [
    (DataSpec, "extract", DataSpec),
    (DataSpec, "perturb", DataSpec),
    (ExtractOptions, "extract", vlalign.extract),
    (BaselineOptions, "baselines", vlalign.baselines),
    (CompareOptions, "compare", vlalign.compare),
    (ScoreOptions, "score", vlalign.score),
    (ScoreOptions, "score", vlalign.score_pairs),
]


def flags(verb: str) -> dict[str, tuple[str, ...]]:
    """Return the flags of each field of options that a verb has."""
    arguments = program()[verb].assemble_argument_collection()
    return {argument.keys[-1]: argument.names for argument in arguments if argument.keys and not argument.children}


@pytest.mark.parametrize(("cls", "verb", "function"), PLACES)
def test_every_field_is_flag_help_and_keyword(
    cls: type[Options], verb: str, function: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    keyword = inspect.signature(function).parameters
    documented = " ".join((function.__doc__ or "").split())
    texts, known = descriptions(cls), flags(verb)
    for field in dataclasses.fields(cls):
        assert field.name in keyword
        assert texts[field.name], f"{field.name} is not described"
        if function is not cls:
            assert f"{field.name}: {texts[field.name]}" in documented
        if field.name in ("data", "full"):
            continue  # whose fields are flags; --report full
        (flag, *_) = known[field.name]
        assert f"{flag} " in shown
        assert texts[field.name] in shown


@pytest.mark.parametrize("cls", [DataSpec, ExtractOptions, CompareOptions, ScoreOptions])
def test_every_field_is_a_yaml_key(cls: type[Options], tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_text(yaml_text(plain(cls())))
    values = read_options(cls, path)
    assert list(values) == [field.name for field in dataclasses.fields(cls)]
    if "data" in values:
        values["data"] = DataSpec(**values["data"])
    assert cls(**values) == cls()


def test_every_option_of_a_score_is_in_its_settings() -> None:
    settings = ScoreOptions(half_samples=4).settings(get_metric("mutual_knn", k=5))
    expected = {field.name for field in dataclasses.fields(ScoreOptions)}
    expected -= {"k", "device", "within", "positives"}  # k is in the metric, labels of samples count by their values
    exact = expected - {"neighbours"}  # as in earlier records
    assert set(settings) == exact
    assert settings == ScoreOptions(half_samples=4, null="analytic").settings(get_metric("mutual_knn", k=5))
    assert set(ScoreOptions(neighbours="faiss").settings(get_metric("mutual_knn"))) == expected
    for options, metric in (
        ({"permutations": 1000}, "mutual_knn"), ({"null": "permutation"}, "rnx"), ({"groups": "exact"}, "mutual_knn"),
        ({"permutations": 200}, "cka"), ({}, "cknna"),
    ):  # fmt: skip
        assert set(ScoreOptions(**options).settings(get_metric(metric))) == exact - {"null"}  # as in earlier records
    assert ScoreOptions().settings(get_metric("cka"))["null"] == "analytic"
    assert json.loads(json.dumps(settings)) == settings
    assert (settings["half_samples"], settings["permutations"], settings["metric"]) == (4, 1000, "mutual_knn:k=5")


class MoreOptions(ScoreOptions):
    """Options of a score and others."""

    extra: Annotated[int, Ge(1)] = 1
    """extra things to do"""

    rates: Many[Number] = ()
    """rates in percent"""

    data: Annotated[DataSpec, Flags] = DataSpec()
    """data set"""


def test_one_more_field_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    app = program()

    @app.command(name="more")
    def run(*, options: Annotated[MoreOptions, Flags] = MoreOptions()) -> MoreOptions:
        return options

    @keywords(MoreOptions)
    def more(options: MoreOptions) -> MoreOptions:
        return options

    assert app(["more", "--extra", "3"], exit_on_error=False) == more(extra=3) == MoreOptions(extra=3)
    assert more(extra=3).settings(get_metric("cka"))["extra"] == 3
    app(["more", "--help"])
    assert "extra things to do" in capsys.readouterr().out


def test_settings_files(tmp_path: Path) -> None:
    app = program()

    @app.command(name="more")
    def run(
        *,
        config: Annotated[str | None, SettingsFile(MoreOptions)] = None,
        options: Annotated[MoreOptions, Flags] = MoreOptions(),
    ) -> MoreOptions:
        return options

    def made(text: str, *words: str) -> Any:
        path = tmp_path / "more.yaml"
        path.write_text(text)
        return app(["more", "--config", str(path), *words], exit_on_error=False, print_error=False)

    text = (
        "extra: 3\nrates: [1, 2e-1]\nconcat: true\nhalf_samples: null\nmetric: cka\ndata: {source: s.csv, caption: 2}\n"
    )
    whole = MoreOptions(extra=3, rates=[1, 0.2], concat=True, metric="cka", data=DataSpec("s.csv", caption=2))
    assert made(text) == whole
    assert made(text, "--extra", "4", "--caption", "0") == dataclasses.replace(
        whole, extra=4, data=DataSpec("s.csv", caption=0)
    )
    assert made(text, "--data", "s.csv") == whole
    assert made(text, "--data", "other.csv").data == DataSpec("other.csv")
    assert made("data: s.csv").data == DataSpec("s.csv")
    assert made("") == MoreOptions()
    for wrong, message in (
        ("extra: 0", r"more\.yaml: extra: expected a whole number of at least 1, got 0"),
        ("exta: 1", r"more\.yaml: unknown key exta \(did you mean extra\?\)"),
        ("data: {captions: 1}", r"unknown key data\.captions \(did you mean caption\?\)"),
        ("half-samples: 1", r"unknown key half-samples \(did you mean half_samples\?\)"),
        ("max-samples: 1", r"unknown key max-samples \(did you mean data\.max_samples\?\)"),
    ):
        with pytest.raises(VlalignError, match=message):
            made(wrong)


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    """Completion for each shell, which takes seconds to generate."""
    return {shell: program().generate_completion(shell=shell) for shell in ("bash", "zsh", "fish")}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, scripts: dict[str, str]) -> None:
    script = scripts[shell]
    assert all(verb in script for verb in VERBS)
    assert all(name in script for name in ("half-samples", "on-bad-sample", "bfloat16", "prh-text"))


def test_completion_is_installed(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    words = [sys.executable, "-m", "vlalign", "--install-completion", "--shell", "bash"]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert any("vlalign" in path.name for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("startup", ["", "autoload -U compinit; compinit\n"])
def test_zsh_loads_its_completion(
    tmp_path: Path, startup: str, scripts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cyclopts.App, "generate_completion", lambda app, shell: scripts[shell])
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".zshrc").write_text(startup)
    for _ in range(2):
        assert status_of(["--install-completion", "--shell", "zsh"]) == 0
    (installed,) = tmp_path.rglob("*vlalign*")
    assert installed.read_text() == scripts["zsh"]
    lines = (tmp_path / ".zshrc").read_text().splitlines()
    (path,) = [i for i, line in enumerate(lines) if line.startswith("fpath=")]
    (load,) = [i for i, line in enumerate(lines) if "compinit" in line]
    assert path < load


HEAVY = [
    "torch",
    "pandas",
    "transformers",
    "datasets",
    "timm",
    "accelerate",
    "scipy",
    "matplotlib",
    "pyarrow",
    "pydantic",
]


def test_help_imports_no_heavy_library() -> None:
    """Help stays quick; ``benchmarks/cpu.py --only help`` measures it. Each verb is called in a fork."""
    verbs = ["", *VERBS, "study uniqueness", "synthetic run", "multibench run"]
    code = (
        "import os, sys\nfrom vlalign.cli import main\n"
        f"for verb in {verbs}:\n"
        "    if os.fork():\n        os.wait()\n        continue\n"
        "    try: main([*verb.split(), '--help'])\n    except SystemExit: pass\n"
        f"    print('\\nheavy:', verb, [name for name in {HEAVY} if name in sys.modules], flush=True)\n"
        "    os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("heavy:")]
    assert lines == [f"heavy: {verb} []" for verb in verbs]
