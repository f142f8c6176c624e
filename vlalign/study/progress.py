"""Progress of a study, with the time left estimated from measured speeds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Self

from vlalign.display import visible
from vlalign.tracking import LOG_SECONDS

_LOOK = 5.0  # seconds between looks for the files of other processes
_MARKS = (0.05, 0.1, 0.25, 0.5, 0.75)  # of the whole time: where the estimate is compared with the truth


@dataclass
class Work:
    """A part of a study whose cost per unit is one number: a model's forward passes, or the scores.

    Attributes:
        kind: ``text``, ``vision``, ``score`` …: parts of one kind are assumed to err alike.
        amount: units in all (tokens, images, layer pairs).
        expected: seconds that all of it should take, as far as is known beforehand.
        done: units done.
        seconds: that they took.
    """

    kind: str
    amount: float
    expected: float = 0.0
    done: float = 0.0
    seconds: float = 0.0


@dataclass
class Forecast:
    """Seconds left of several parts, from amounts done and seconds they took.

    >>> forecast = Forecast({"a": Work("text", 100, 10.0), "b": Work("text", 50, 5.0)})
    >>> forecast.add("a", 50, 10.0)  # twice as slow as expected
    >>> forecast.left()
    20.0
    """

    works: dict[Hashable, Work] = field(default_factory=dict)

    def add(self, name: Hashable, amount: float, seconds: float) -> None:
        """Count an amount of a part that was done in some seconds."""
        work = self.works[name]
        work.done += amount
        work.seconds += seconds

    def left(self) -> float:
        """Estimate the seconds left at measured speeds; a part without one has that of its kind, else of all parts."""
        return sum(max(0.0, work.amount - work.done) * self._pace(work) for work in self.works.values())

    def _pace(self, work: Work) -> float:
        """Return seconds per unit."""
        if work.done > 0 and work.seconds > 0:
            return work.seconds / work.done
        measured = [other for other in self.works.values() if other.done > 0]
        similar = [other for other in measured if other.kind == work.kind] or measured
        expected = sum(other.expected * other.done / other.amount for other in similar)
        slower = sum(other.seconds for other in similar) / expected if expected > 0 else 1.0
        return work.expected / work.amount * slower if work.amount else 0.0


class StudyProgress:
    """A bar over the work of all processes, with the time left; its estimates are kept, to compare with the truth.

    Args:
        works: the parts of the work, by name.
        title: of the work.
        shown: whether the bar is drawn.
        others: work of other processes: (name of the part, amount, files that exist when it is done).
        log: function that now and then, and at the end, receives the seconds left and the share done.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        works: dict[Hashable, Work],
        title: str = "",
        *,
        shown: bool = True,
        others: Iterable[tuple[Hashable, float, Sequence[Path]]] = (),
        log: Callable[[dict[str, float]], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from tqdm import tqdm

        self._forecast, self._title, self._others = Forecast(works), title, list(others)
        self._clock, self._lock, self._log = clock, Lock(), log
        self._start = self._last = self._looked = self._drawn = self._logged = clock()
        self.estimates: list[tuple[float, float]] = []
        self._bar: Any = tqdm(
            total=100,
            disable=not shown or not any(work.amount for work in works.values()),
            desc=title or None,
            bar_format="{l_bar}{bar}| {elapsed} passed{postfix}",
            mininterval=0.5,
            dynamic_ncols=True,
        )

    @classmethod
    def over(cls, amount: float, title: str, shown: bool) -> Self:
        """Return the progress of one part, named after its title."""
        return cls({title: Work(title, amount)}, title, shown=shown)

    def advance(self, amount: float = 1.0, name: Hashable = None, detail: str = "") -> None:
        """Count work that was done since the last call.

        Args:
            amount: of the part.
            name: of the part; None for the only one.
            detail: what is being done, shown beside the bar.
        """
        with self._lock:
            now = self._clock()
            self._forecast.add(self._title if name is None else name, amount, now - self._last)
            self._last = now
            if self._others and now - self._looked > _LOOK:
                self._looked = now
                done = [entry for entry in self._others if all(os.path.exists(path) for path in entry[2])]
                self._others = [entry for entry in self._others if entry not in done]
                for part, cost, _ in done:
                    self._forecast.add(part, cost, 0.0)
            self.show(detail)

    def show(self, detail: str = "") -> None:
        """Draw the bar with the current estimate, at most ten times a second."""
        now, left = self._clock(), self.left
        passed = now - self._start
        self.estimates.append((passed, left))
        share = int(100 * passed / (passed + left)) if passed + left > 0 else 0
        self._bar.set_postfix_str(
            f"about {_text(left)} left" + (f": {visible(detail)}" if detail else ""), refresh=False
        )
        self._bar.update(max(0, min(99, share) - self._bar.n))
        if now - self._drawn > 0.1:
            self._drawn = now
            self._bar.refresh()
        if self._log is not None and now - self._logged >= LOG_SECONDS:
            self._logged = now
            self._log({"seconds left": left, "share done": passed / (passed + left)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._bar.set_postfix_str("", refresh=False)
            self._bar.update(100 - self._bar.n)
            if self._log is not None:
                self._log({"seconds left": 0.0, "share done": 1.0})
        self._bar.close()

    @property
    def left(self) -> float:
        """Seconds left, as estimated now."""
        return self._forecast.left()

    def accuracy(self) -> dict[str, float]:
        """Return estimated over true time left where 5, 10, 25, 50 and 75 % of the whole time had passed.

        Time left is counted from that moment to now: call it at the end. Marks without an estimate are left out.
        """
        whole = self._clock() - self._start
        ratios = {}
        for mark in _MARKS:
            passed = [(at, left) for at, left in self.estimates if at <= mark * whole]
            if passed and passed[-1][0] < whole:
                at, left = passed[-1]
                ratios[f"{mark:.0%}"] = round(left / (whole - at), 3)
        return ratios


class Stopwatch:
    """Seconds of each stage of a run, in ``seconds`` by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a stage, which began when the last one ended."""
        now = time.perf_counter()
        self.seconds[name], self._last = round(now - self._last, 3), now


def _text(seconds: float) -> str:
    """Return seconds in the unit that they are read in.

    >>> _text(12), _text(300), _text(9000)
    ('12 s', '5 min', '2 h 30 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
