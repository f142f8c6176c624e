"""Measurement of one pair of models at one rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vlalign.errors import VlalignError


@dataclass(frozen=True)
class Point:
    """The alignment of one pair of models at one rate of edits.

    Attributes:
        x, y: names of the models; ``x_family``, ``y_family``: their families.
        rate: of the edits, in percent.
        n: paired samples.
        score: best over layer pairs; None where it could not be computed (``note`` states why).
        x_layer, y_layer: names of the layers of the best pair.
        chance: mean score under a random pairing.
        p_value, calibrated, threshold: from the permutation null of the maximum over layers; ``threshold`` is its 95 %
            point.
        low, high: 95 % interval of the score.
        performance: −bits per byte of the language model on the captions of this rate; None without a loss.
        performance_unedited: the same on the unedited captions.
        record: path of the score record's JSON, relative to the study's folder.
        note: what a reader must know of this point.
        performance_of: side (``x`` or ``y``) of the language model whose performance this is.

    Raises:
        VlalignError: a rate outside 0 to 100, a score that is not finite, or an unknown side.
    """

    x: str
    y: str
    x_family: str
    y_family: str
    rate: float
    n: int
    score: float | None
    x_layer: str | None
    y_layer: str | None
    chance: float | None
    p_value: float | None
    calibrated: float | None
    low: float | None
    high: float | None
    threshold: float | None
    performance: float | None
    performance_unedited: float | None
    record: str | None
    note: str = ""
    performance_of: str = "y"

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 100:
            raise VlalignError(f"{self.title}: the rate is in percent, 0 to 100, not {self.rate}")
        if self.score is not None and not math.isfinite(self.score):
            raise VlalignError(f"{self.title} at {self.rate:g} %: the score is {self.score}: give None and a note")
        if self.performance_of not in ("x", "y"):
            raise VlalignError(f"{self.title}: performance_of is {self.performance_of!r}: give x or y")

    @property
    def title(self) -> str:
        """``x × y``."""
        return f"{self.x} × {self.y}"
