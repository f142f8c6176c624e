"""The rooms import each other in one direction only, and importing the package stays quick."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "vlalign"

#: leaves that every room may use
SHARED = {
    "display", "environment", "errors", "files", "paths", "jobs", "processes", "remote", "settings", "tables", "version"
}  # fmt: skip

ALLOWED: dict[str, set[str]] = {
    "models": set(),
    "data": set(),
    "store": set(),
    "metrics": set(),
    "perturb": {"data"},
    "extract": {"models", "data", "perturb", "store"},
    "stats": {"metrics"},
    "score": {"store", "metrics", "stats"},
    "reproduce": {"metrics", "score"},
    "study": {"models", "data", "perturb", "extract", "store", "metrics", "stats", "score"},
    "synthetic": {"store", "metrics", "stats", "score"},
    "multibench": {"store", "metrics", "stats", "score"},
    "hub": {"data", "models", "perturb", "store", "metrics", "stats", "score", "synthetic"},
    "report": {
        "data",
        "models",
        "perturb",
        "extract",
        "store",
        "metrics",
        "stats",
        "score",
        "reproduce",
        "study",
        "synthetic",
        "multibench",
    },
    "cli": {
        "models",
        "data",
        "perturb",
        "extract",
        "store",
        "metrics",
        "stats",
        "score",
        "reproduce",
        "study",
        "synthetic",
        "multibench",
        "report",
        "hub",
    },
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


def test_importing_the_package_imports_no_heavy_library() -> None:
    heavy = ["torch", "transformers", "timm", "datasets", "matplotlib", "accelerate", "pandas"]
    code = f"import sys, vlalign, vlalign.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_functions_are_not_shadowed_by_their_rooms() -> None:
    code = (
        "import vlalign.score.api, vlalign.extract.engine, vlalign\n"
        "assert callable(vlalign.score) and callable(vlalign.extract)\n"
        "from vlalign import score, extract\nassert callable(score) and callable(extract)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
