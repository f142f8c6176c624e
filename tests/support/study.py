"""Points of made-up studies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlalign.study import Point


def point(score: float | None, rate: float = 0, x: str = "dino-s", y: str = "llama", **values: Any) -> Point:
    """A point whose families are the names up to the first dash; further fields as given."""
    fields: dict[str, Any] = dict.fromkeys(("x_layer", "y_layer", "chance", "p_value", "calibrated"))
    fields |= dict.fromkeys(("low", "high", "threshold", "performance", "performance_unedited", "record"))
    families = {"x_family": x.partition("-")[0], "y_family": y.partition("-")[0]}
    return Point(**{"x": x, "y": y, **families, "rate": rate, "n": 100, "score": score, **fields, **values})


def line(scores: Sequence[float | None], **values: Any) -> list[Point]:
    """Points of one pair at 0, 10, 20, … percent."""
    return [point(score, 10 * i, **values) for i, score in enumerate(scores)]
