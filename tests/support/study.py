"""Made-up points, results and records of uniqueness studies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vlalign.scoring import ScoreRecord
from vlalign.uniqueness import Point, UniquenessResult

RATES = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90)
CHANCE = 10 / 1023


def made_up_points(
    families: int = 2,
    models: int = 2,
    rates: Sequence[float] = RATES,
    languages: int = 2,
    *,
    nulls: bool = True,
    intervals: bool = True,
    performances: bool = True,
    name: Callable[[str], str] = str,
) -> list[Point]:
    """Alignment that falls with the rate: ``families`` of ``models`` vision models with ``languages`` language models.

    ``name`` changes the names of models and families.
    """
    draw = np.random.default_rng(0)
    points = []
    for f in range(families):
        for m in range(models):
            for j in range(languages):
                for rate in rates:
                    top = 0.1 + 0.012 * m + 0.006 * j - 0.008 * f
                    score = max(CHANCE, top * (1 - rate / 110) + float(draw.normal(0, 0.001)))
                    x, y = f"vision-{'abcdefgh'[f]}-{m + 1}", f"llm-{j + 1}b"
                    points.append(
                        Point(
                            x=name(x), y=name(y), x_family=name(f"vision-{'abcdefgh'[f]}"),
                            y_family=name(f"llm-{'odd' if j % 2 else 'even'}"), rate=rate, n=1024, score=score,
                            x_layer=f"block_{m}", y_layer=f"block_{j}", chance=CHANCE if nulls else None,
                            p_value=1 / 1001 if nulls else None, calibrated=score - 0.014 if nulls else None,
                            low=score - 0.006 if intervals else None, high=score + 0.006 if intervals else None,
                            threshold=0.0142 if nulls else None,
                            performance=-1.9 + 0.07 * j - rate / 90 if performances else None,
                            performance_unedited=-1.9 + 0.07 * j if performances else None,
                            record=f"records/{f}-{m}-{j}-{rate:g}.json",
                        )
                    )  # fmt: skip
    return points


def made_up_study(*args: Any, config: dict[str, Any] | None = None, **options: Any) -> UniquenessResult:
    """The result of :func:`made_up_points`; ``config`` changes its settings."""
    points = made_up_points(*args, **options)
    return study_of(points, config)


def study_of(points: Sequence[Point], config: dict[str, Any] | None = None) -> UniquenessResult:
    """A result with these points."""
    settings = {
        "x": sorted({point.x for point in points}),
        "y": sorted({point.y for point in points}),
        "op": "char_delete",
        "rates": sorted({point.rate for point in points}),
        "seed": 0,
        "side": "auto",
        "metric": "mutual_knn",
        "k": 10,
        "preset": "platonic",
        "permutations": 1000,
    }
    return UniquenessResult.from_points(
        points,
        config=settings | (config or {}),
        data={"name": "builtin:emoji", "n": 1024, "reads": {"x": "vision", "y": "text"}, "edited": "y"},
        seconds={"extract": 61.0, "score": 3.2},
        environment={"python": "3.12.1", "packages": {"torch": "2.8.0"}, "git": None},
    )


def made_up_record(point: Point, rows: int = 12, columns: int = 31) -> ScoreRecord:
    """A record of a point with a matrix [rows, columns]; its best cell moves with the rate."""
    matrix = np.random.default_rng(int(point.rate)).uniform(0.5, 0.9, (rows, columns))
    i, j = min(rows - 1, 2 + int(point.rate) // 15), min(columns - 1, 4 + int(point.rate) // 5)
    matrix[i, j] = 1.0
    matrix *= point.score or 0.0
    axes = {
        side: [{"index": at, "name": f"block_{at}", "width": 8, "convention": ""} for at in range(count)]
        for side, count in (("x", rows), ("y", columns))
    }
    best = {side: {"position": at, "index": at, "name": f"block_{at}"} for side, at in (("x", i), ("y", j))}
    return ScoreRecord(
        x={"model": point.x, "modality": "vision", "run": None, "tensor": None},
        y={"model": point.y, "modality": "text", "run": None, "tensor": None},
        metric={"name": "mutual_knn", "params": {"k": 10}},
        preprocessing={"preset": "platonic"},
        pairing={"by": "id", "reordered": False},
        n=point.n,
        axes=axes,
        matrix=matrix.tolist(),
        best={**best, "score": float(matrix[i, j])},
        chance=point.chance,
        moments=None,
        null=None,
        interval=None,
        curves=None,
        checks={"x": {}, "y": {}, "notes": []},
        performance={"x": None, "y": None},
        environment={},
        seconds={},
    )


def point(score: float | None, rate: float = 0, x: str = "dino-s", y: str = "llama", **values: Any) -> Point:
    """A point whose families are the names up to the first dash; further fields as given."""
    fields: dict[str, Any] = dict.fromkeys(("x_layer", "y_layer", "chance", "p_value", "calibrated"))
    fields |= dict.fromkeys(("low", "high", "threshold", "performance", "performance_unedited", "record"))
    families = {"x_family": x.partition("-")[0], "y_family": y.partition("-")[0]}
    return Point(**{"x": x, "y": y, **families, "rate": rate, "n": 100, "score": score, **fields, **values})


def line(scores: Sequence[float | None], **values: Any) -> list[Point]:
    """Points of one pair at 0, 10, 20, … percent."""
    return [point(score, 10 * i, **values) for i, score in enumerate(scores)]
