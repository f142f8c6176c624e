"""Measure the time of help pages: ``vlalign --help``, and the slowest of all verbs and their actions.

python benchmarks/cpu.py --only help
"""

from __future__ import annotations

import subprocess
import sys

from measure import Row, clock, row_of

from vlalign.cli.app import VERBS

ACTIONS = ("study uniqueness", "synthetic run", "synthetic data", "multibench run", "multibench prepare custom")


def rows(quick: bool = False) -> list[Row]:
    """Return a row for the program and one for its slowest verb, seconds of the whole process."""

    def seconds(words: str) -> float:
        command = [sys.executable, "-m", "vlalign", *words.split(), "--help"]
        return min(
            clock(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(1 if quick else 5)
        )

    times = {words: seconds(words) for words in (*VERBS, *ACTIONS)}
    slowest = max(times, key=lambda words: times[words])
    return [
        row_of("vlalign --help", "–", seconds(""), None, "s", below=0.3),
        row_of(f"vlalign {slowest} --help, the slowest", "–", times[slowest], None, "s", below=0.6),
    ]
