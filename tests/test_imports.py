"""The rooms import each other in one direction only, and importing the package stays quick."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "vlalign"

#: leaves that every room may use
SHARED = {
    "arithmetic", "arrays", "config", "display", "environment", "errors", "files", "lazy_names", "lazy_torch",
    "option_types", "paths", "processes", "remote", "row_ids", "tracking", "version", "yaml_files",
}  # fmt: skip

SCORES = {"store", "metrics", "stats", "scoring"}
STUDIES = {"uniqueness", "synthetic", "multibench", "advice"}
EXTRACTION = {"models", "data", "perturb", "extraction"}

ALLOWED: dict[str, set[str]] = {
    "models": set(),
    "display": set(),
    "data": set(),
    "store": set(),
    "demo": {"data", "extraction", "models", "scoring"},
    "metrics": set(),
    "perturb": {"data"},
    "extraction": {"models", "data", "perturb", "store"},
    "baseline": {"models", "data", "extraction", "store"},
    "stats": {"metrics"},
    "scoring": {"store", "metrics", "stats"},
    "decomposition": {"scoring", "stats"},
    "probing": SCORES | {"data", "models"},
    "reproduce": {"metrics", "scoring"},
    "report": EXTRACTION | SCORES | {"baseline", "decomposition", "probing", "reproduce"},
    "study": SCORES,
    "uniqueness": EXTRACTION | SCORES | {"study", "report"},
    "synthetic": SCORES | {"decomposition", "study", "report"},
    "multibench": SCORES | {"study", "report"},
    "advice": SCORES | {"data", "decomposition", "multibench", "study", "report"},
    "hub": EXTRACTION | SCORES | {"study", "synthetic"},
    "cli": EXTRACTION
    | SCORES
    | STUDIES
    | {"baseline", "decomposition", "demo", "probing", "reproduce", "report", "hub"},
}


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "vlalign" else [f"vlalign.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("vlalign.")}
    return found


def test_every_room_has_its_rule() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == set(ALLOWED)


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_import_direction(room: str) -> None:
    for path in (PACKAGE / room).rglob("*.py"):
        strangers = imported_rooms(path) - ALLOWED[room] - SHARED - {room}
        assert not strangers, f"{path.relative_to(PACKAGE)} imports {sorted(strangers)}"


HEAVY = {"torch", "scipy", "matplotlib", "pandas", "pyarrow", "transformers", "timm", "datasets", "accelerate"}
#: what each command may import of these; each takes longer than the start of the command line
COMMANDS: dict[str, set[str]] = {
    "--version": set(),
    "models": set(),
    f"runs {Path(__file__).parent / 'golden' / 'v1' / 'study-store'}": set(),
    "metrics": {"numpy"},
    "score a.npy b.npy --no-figure": {"torch", "scipy", "pyarrow", "numpy", "pydantic"},
    "score a.npy b.npy": {"torch", "scipy", "matplotlib", "pyarrow", "numpy", "pydantic"},
}


def test_commands_import_no_heavy_library_that_they_do_not_need(tmp_path: Path) -> None:
    """Nor does ``import vlalign``; of SciPy, a score of two arrays needs the special functions, not its statistics."""
    for seed, name in enumerate("ab"):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(seed).normal(size=(30, 4)))
    code = f"""
import contextlib, io, sys, vlalign, vlalign.cli
loaded = lambda: sorted({HEAVY | {"scipy.stats", "torchvision", "pydantic", "numpy"}} & set(sys.modules))
print(loaded())
for words in {[command.split() for command in COMMANDS]}:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        assert not vlalign.cli.main(words)
    print(loaded())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert not done.returncode, done.stderr
    assert done.stdout.splitlines() == [str(sorted(needed)) for needed in [set(), *COMMANDS.values()]]


def test_every_module_can_be_imported_by_its_path() -> None:
    """``import vlalign.a.b as b`` gives the module after ``import vlalign``, whatever functions bear its name."""
    paths = [path.relative_to(PACKAGE.parent).with_suffix("") for path in PACKAGE.rglob("*.py")]
    names = [".".join(path.parts).removesuffix(".__init__") for path in paths if path.name != "__main__"]
    lines = ["import vlalign, types"]
    for name in names:
        lines += [f"import {name} as m", f"assert isinstance(m, types.ModuleType) and m.__name__ == {name!r}, {name!r}"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert not done.returncode, done.stderr
