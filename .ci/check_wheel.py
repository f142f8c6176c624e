"""Checks that a wheel holds what users need and nothing else: modules, built-in data, cards, licences.

python .ci/check_wheel.py dist/vlalign-0.2.0-py3-none-any.whl [--version 0.2.0]
"""

import argparse
import sys
import zipfile
from pathlib import Path


def main(path: str, version: str | None) -> int:
    names = set(zipfile.ZipFile(path).namelist())
    tree = {str(p) for p in Path("vlalign").rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    tree |= {f"vlalign/{p}" for p in Path("cards").rglob("*") if p.is_file()}
    missing = sorted(tree - names)
    foreign = sorted(n for n in names if not n.startswith("vlalign/") and ".dist-info/" not in n)
    licence = [n for n in names if n.endswith("licenses/LICENSE")]
    size = Path(path).stat().st_size
    print(f"{path}: {len(names)} files, {size / 1e6:.1f} MB")
    for problem in [f"missing: {n}" for n in missing] + [f"foreign: {n}" for n in foreign]:
        print(problem, file=sys.stderr)
    if not licence:
        print("missing: LICENSE", file=sys.stderr)
    if size > 8e6:
        print("larger than 8 MB", file=sys.stderr)
    other = version is not None and Path(path).name.split("-")[1] != version
    if other:
        print(f"not version {version}: set it in pyproject.toml", file=sys.stderr)
    return int(bool(missing or foreign or not licence or size > 8e6 or other))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="check what a wheel holds")
    parser.add_argument("wheel")
    parser.add_argument("--version", help="that its name must state")
    given = parser.parse_args()
    sys.exit(main(given.wheel, given.version))
