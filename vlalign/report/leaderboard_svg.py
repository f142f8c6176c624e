"""Small pictures of a pair's page as SVG that takes its colours from the page: the null and the curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from vlalign.score import ScoreRecord

_WIDTH, _HEIGHT = 520, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 16, 42


def null_svg(record: ScoreRecord) -> str:
    """Histogram of the null's maxima with its 95 % point, the chance level and the score; empty without maxima."""
    null = record.null
    if null is None or not null.get("maxima"):
        return ""
    maxima = np.asarray(null["maxima"], dtype=float)
    marks = [("limit", null.get("threshold")), ("chance", record.chance), ("score", record.score)]
    known = [(kind, float(value)) for kind, value in marks if value is not None]
    low, high = _bounds([float(maxima.min()), float(maxima.max()), *(value for _, value in known)])
    counts, edges = np.histogram(maxima, bins=min(20, max(5, len(maxima) // 10)))
    frame = _Frame((low, high), (0.0, float(counts.max()) * 1.05))
    parts = frame.axes("largest over all layer pairs", "random pairings")
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        x, top = frame.x(left), frame.y(float(count))
        width = max(1.0, frame.x(right) - x)
        parts.append(_tag("rect", "bar", x=x, y=top, width=width, height=frame.y(0) - top))
    parts += [_tag("line", kind, x1=frame.x(v), x2=frame.x(v), y1=_TOP, y2=frame.y(0)) for kind, v in known]
    told = ", ".join(f"{name} {value:.4f}" for name, value in zip(("95 % point", "chance", "score"), _values(marks)) if value is not None)
    return _svg(parts, f"Histogram of {len(maxima)} random pairings; {told}")


def curve_svg(points: Sequence[dict[str, Any]], name: str) -> str:
    """Score against N or k on a logarithmic axis: largest and at the fixed layers, raw and above chance (dashed)."""
    lines = []
    for which, kind in (("largest", "first"), ("fixed", "second")):
        for suffix, dashed in (("", ""), ("_corrected", " dashed")):
            known = [(float(p["at"]), float(p[which + suffix]["mean"])) for p in points if p.get(which + suffix)]
            if len(known) > 1:
                lines.append((kind + dashed, known))
    if not lines:
        return ""
    values = [value for _, known in lines for _, value in known]
    frame = _Frame(_bounds([math.log10(p["at"]) for p in points]), _bounds([0.0, *values]))
    parts = frame.axes(name, "score", [(math.log10(p["at"]), str(p["at"])) for p in points])
    for kind, known in lines:
        path = "L".join(f"{frame.x(math.log10(at)):.1f} {frame.y(value):.1f}" for at, value in known)
        parts.append(_tag("path", kind, d=f"M{path}"))
        dot = "dot1" if kind.startswith("first") else "dot2"
        parts += [_tag("circle", dot, cx=frame.x(math.log10(at)), cy=frame.y(value), r=2.6) for at, value in known]
    return _svg(parts, f"Score against {name}; the numbers stand in the table below")


class _Frame:
    """From values to places in the picture."""

    def __init__(self, across: tuple[float, float], tall: tuple[float, float]) -> None:
        self.across, self.tall = across, tall

    def x(self, value: float) -> float:
        low, high = self.across
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self.tall
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _BOTTOM - _TOP)

    def axes(self, below: str, beside: str, at: Sequence[tuple[float, str]] | None = None) -> list[str]:
        """Both axes with ticks at round numbers, or below at those given."""
        bottom = _HEIGHT - _BOTTOM
        parts = [_tag("path", "axis", d=f"M{_LEFT} {_TOP}V{bottom}H{_WIDTH - _RIGHT}")]
        for value, text in _ticks(*self.tall, 5):
            parts.append(_tag("line", "grid", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=self.y(value), y2=self.y(value)))
            parts.append(_words(text, _LEFT - 6, self.y(value) + 4, "end"))
        last = -math.inf
        for value, text in _ticks(*self.across, 6) if at is None else at:
            if self.x(value) - last > 7 * len(text) + 4:  # labels do not touch
                last = self.x(value)
                parts.append(_words(text, last, bottom + 15, "middle"))
        parts.append(_words(below, (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, "middle"))
        turned = f"translate(13 {(_TOP + bottom) / 2:.1f}) rotate(-90)"
        return [*parts, f'<text transform="{turned}" text-anchor="middle">{escape(beside)}</text>']


def _ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """At most so many round numbers between two, with their texts."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough * (1 - 1e-9))
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [(i * step, f"{i * step:.{digits}f}") for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def _values(marks: Sequence[tuple[str, Any]]) -> list[Any]:
    return [value for _, value in marks]


def _tag(name: str, kind: str, **numbers: float | str) -> str:
    told = " ".join(f'{k}="{v if isinstance(v, str) else format(v, ".1f")}"' for k, v in numbers.items())
    return f'<{name} class="{kind}" {told}/>'


def _words(text: str, x: float, y: float, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(parts: Sequence[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
