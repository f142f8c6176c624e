"""Findings of a study as plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from vlalign.study.analysis import FamilyCurve, PerformanceFit
from vlalign.study.points import Point


def about_curve(curve: FamilyCurve) -> list[str]:
    """How the maximum of one family changes with the rate."""
    return []


def about_fits(fits: Sequence[PerformanceFit]) -> list[str]:
    """How alignment and performance go together."""
    return []


def about_points(curves: Sequence[FamilyCurve], points: Sequence[Point]) -> list[str]:
    """What was left out, and what the curves do not say."""
    return []
