"""The program and its surroundings: interrupts, errors of the system, streams that are closed, full or ASCII."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from vlalign.cli import main
from vlalign.errors import VlalignError

INTERRUPT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


def program(*words: str, hook: Path | None = None, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """``python -m vlalign WORDS``."""
    env = dict(os.environ) | options.pop("env", {})
    if hook is not None:
        env["PYTHONPATH"] = str(hook)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 120} | options
    return subprocess.run([sys.executable, "-m", "vlalign", *words], env=env, **options)


@pytest.mark.parametrize("name", ["vlalign.cli.app", "vlalign.cli.runs", "vlalign.report.extraction"])
def test_interrupted_while_it_starts(tmp_path: Path, name: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT.format(name=name))
    done = program("runs", "nowhere", hook=tmp_path)
    assert done.returncode == 130
    lines = [line for line in done.stderr.decode().splitlines() if line.strip()]
    assert lines == ["vlalign runs: interrupted" if "report" in name else "vlalign: interrupted"]


def test_the_package_is_imported_lazily() -> None:
    code = "import sys, vlalign, vlalign.cli; print(sorted(name for name in sys.modules if name.startswith('vlalign')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['vlalign', 'vlalign.cli']\n"


def test_public_names_stay_functions_when_their_rooms_are_imported() -> None:
    import vlalign
    import vlalign.extraction.engine
    import vlalign.scoring.batch
    from vlalign import __all__, extract, score

    assert vlalign.score is score
    assert vlalign.extract is extract
    assert (score.__name__, extract.__name__) == ("score", "extract")
    assert set(__all__) <= set(dir(vlalign))
    assert all(getattr(vlalign, name) is not None for name in __all__)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (KeyboardInterrupt(), 130, "vlalign runs: interrupted"),
        (VlalignError("a\nb\x1b"), 1, r"vlalign runs: error: a\nb\x1b"),
        (VlalignError("x" * 600_000), 1, "vlalign runs: error: xxxx"),
        (OSError(28, "", "some/file"), 1, "vlalign runs: error: some/file: No space left on device; make room there"),
        (PermissionError(13, "", "a", None, "b"), 1, "vlalign runs: error: a and b: Permission denied"),
        (MemoryError(), 1, "vlalign runs: error: out of memory: use fewer samples or smaller batches"),
        (KeyError("x\ny"), 1, r"vlalign runs: error: unexpected KeyError: 'x\ny': a fault of vlalign; please report"),
    ],
)
def test_errors_are_one_line(
    error: BaseException,
    status: int,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> int:
        raise error

    monkeypatch.setattr("vlalign.cli.runs.run", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["runs"]) == status
    said = capsys.readouterr().err.lstrip("\n")
    assert said.startswith(line)
    assert said.count("\n") == 1
    assert len(said) < 2000
    if "fault of vlalign" in said:
        (file,) = tmp_path.iterdir()
        assert str(file) in said
        assert "Traceback" in file.read_text()
        assert "KeyError" in file.read_text()
    if not isinstance(error, KeyboardInterrupt):
        with pytest.raises(type(error)):
            main(["runs", "--debug"])


def test_an_interrupted_verb_that_resumes_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("vlalign.cli.extract.run", stop)
    assert main(["extract"]) == 130
    assert "interrupted; what is finished is kept" in capsys.readouterr().err


def test_output_that_nobody_reads() -> None:
    read, write = os.pipe()
    os.close(read)
    done = program("models", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_output_on_a_full_disk() -> None:
    with open("/dev/full", "wb") as full:
        done = program("models", stdout=full)
    assert done.returncode == 1
    assert re.fullmatch(rb"vlalign.*: error: .*No space left on device.*\n", done.stderr)


def test_output_that_is_closed(tmp_path: Path) -> None:
    done = program("models", stdout=None, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, b"")


def test_output_in_ascii() -> None:
    done = program("models", env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"dinov2-small" in done.stdout
    assert done.stdout.isascii()


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        INTERRUPT.format(name="vlalign.report.extraction")
        + "import atexit\natexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
    )
    done = program("runs", "nowhere", hook=tmp_path)
    assert done.returncode == -signal.SIGINT
    assert done.stderr.decode().strip() == "vlalign runs: interrupted"


@pytest.mark.parametrize("verb", ["models", "push_results"])
def test_a_verb_runs_as_a_module(verb: str) -> None:
    words = [sys.executable, "-m", f"vlalign.cli.{verb}", "--nonsense"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2
    assert "unknown flag --nonsense" in done.stderr
